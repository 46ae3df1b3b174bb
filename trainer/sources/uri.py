"""Data sources by URI: `builtin:NAME`, `npz:PATH`, `csv:PATH`, `parquet:PATH`, `images:FOLDER`, `tfrecord:PATH`.

A path is relative to the project; of `csv`, `parquet` and `tfrecord` it may also be a folder of such files.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from fleet_contract.errors import ConfigError
from fleet_rows import csv_text, parquet_file
from fleet_rows.listing import list_files
from trainer.data.places import Places
from trainer.progress import Silent
from trainer.sources import image_folder, tfrecord, tfrecord_file
from trainer.sources.bundled_breast_cancer import load_breast_cancer
from trainer.sources.bundled_motions import load_basic_motions
from trainer.sources.csv_file import open_csv
from trainer.sources.digits import load_digits
from trainer.sources.fashion_mnist import load_fashion_mnist
from trainer.sources.image_listing import list_images
from trainer.sources.npz import load_npz
from trainer.sources.table import load_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet_contract.release import Feature
    from trainer.data.dataset import Dataset
    from trainer.progress import Progress
    from trainer.settings import DataSection

FASHION_MNIST_FOLDER: Final = Path("/usr/share/datasets/fashion-mnist")
"""Where the Debian package dataset-fashion-mnist puts its files."""

SUFFIXES: Final = {
    "npz": (".npz",),
    "csv": csv_text.SUFFIXES,
    "parquet": parquet_file.SUFFIXES,
    "tfrecord": tfrecord_file.SUFFIXES,
}
SOURCES: Final = (
    "builtin:auto",
    "builtin:basic-motions",
    "builtin:breast-cancer",
    "builtin:digits",
    "builtin:fashion-mnist",
    "csv:PATH",
    "images:FOLDER",
    "npz:PATH",
    "parquet:PATH",
    "tfrecord:PATH",
)


def load_source(
    settings: DataSection,
    project_folder: Path,
    *,
    fashion_folder: Path = FASHION_MNIST_FOLDER,
    known: Sequence[Feature] = (),
    progress: Progress | None = None,
) -> Dataset:
    """The rows that `[data]` asks for, at most `limit` of them, chosen by the split's seed.

    Args:
        settings: the section `[data]`.
        project_folder: what paths are relative to.
        fashion_folder: where Fashion-MNIST is, if anywhere.
        known: features of the reviewed schema, whose vocabularies hold; empty before there is one.
        progress: hears of what takes long.

    Raises:
        ConfigError: a source that is not one, or settings that contradict it.
        DataError: a file that is missing, truncated or corrupt, or holds what cannot be trained on.
        MissingExtraError: what reads such files is not installed.
    """
    scheme, _, rest = settings.source.partition(":")
    if scheme == "builtin":
        data = _load_builtin(settings, rest, fashion_folder)
    else:
        data = _load_files(settings, project_folder, known, progress or Silent())
    if data.places is None:
        data = replace(data, places=Places.of([data.source], [len(data)]))
    if settings.limit == 0 or settings.limit >= len(data):
        return data
    rng = np.random.default_rng(settings.split.seed)
    return data.rows(np.sort(rng.permutation(len(data))[: settings.limit]))


def source_files(settings: DataSection, project_folder: Path) -> tuple[Path, ...]:
    """The files that the source is made of, in the order in which they are read; none for a builtin source.

    Raises:
        ConfigError: a source that is not one.
        DataError: nothing is there.
    """
    scheme, path = _place(settings, project_folder)
    if scheme == "builtin":
        return ()
    if scheme == "images":
        return list_images(path).files
    return list_files(path, SUFFIXES[scheme])


def source_root(settings: DataSection, project_folder: Path) -> Path:
    """The file or folder that the source names.

    Raises:
        ConfigError: a source that is not one.
    """
    return _place(settings, project_folder)[1]


def _load_files(settings: DataSection, project_folder: Path, known: Sequence[Feature], progress: Progress) -> Dataset:
    scheme, path = _place(settings, project_folder)
    source = f"{scheme}:{path.name}"
    if scheme == "npz":
        return load_npz(
            path, slices_name=settings.slices, group=settings.group, time=settings.time, max_bytes=settings.max_bytes
        )
    if scheme == "images":
        return image_folder.load_images(list_images(path), settings, source=source, progress=progress)
    files = list_files(path, SUFFIXES[scheme])
    if scheme == "tfrecord":
        return tfrecord.load_tfrecord(files, settings, source=source, known=known)
    tables = [
        open_csv(file, separator=settings.separator) if scheme == "csv" else parquet_file.open_parquet(file)
        for file in files
    ]
    return load_table(tables, settings, source=source, known=known)


def _load_builtin(settings: DataSection, name: str, fashion_folder: Path) -> Dataset:
    match name:
        case "digits":
            return load_digits()
        case "basic-motions":
            return load_basic_motions()
        case "breast-cancer":
            return load_breast_cancer()
        case "fashion-mnist":
            return load_fashion_mnist(fashion_folder)
        case "auto":
            return load_fashion_mnist(fashion_folder) if fashion_folder.is_dir() else load_digits()
    raise _unknown(settings.source)


def _place(settings: DataSection, project_folder: Path) -> tuple[str, Path]:
    """The scheme of the source and its path.

    Raises:
        ConfigError: another scheme, or no path.
    """
    scheme, _, rest = settings.source.partition(":")
    if not rest or scheme not in ("builtin", "images", *SUFFIXES):
        raise _unknown(settings.source)
    return scheme, _shown(project_folder / rest)


def _shown(path: Path) -> Path:
    """The path without `..`, as people want to read it; as it is where a link on the way makes that another place."""
    plain = Path(os.path.normpath(path))
    return plain if os.path.realpath(plain) == os.path.realpath(path) else path


def _unknown(source: str) -> ConfigError:
    nearest = difflib.get_close_matches(source, SOURCES, n=1)
    return ConfigError(
        f"[data] source: got {source!r}, expected one of {', '.join(SOURCES)}",
        hint=f"did you mean {nearest[0]!r}?" if nearest else "",
    )
