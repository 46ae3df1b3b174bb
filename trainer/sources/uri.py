"""Data sources by URI: those that packages bring (`builtin:NAME`) and `npz:PATH`."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from fleet_contract.errors import ConfigError
from trainer.sources.bundled_breast_cancer import load_breast_cancer
from trainer.sources.bundled_motions import load_basic_motions
from trainer.sources.digits import load_digits
from trainer.sources.fashion_mnist import load_fashion_mnist
from trainer.sources.npz import load_npz

if TYPE_CHECKING:
    from trainer.dataset import Dataset
    from trainer.settings import DataSection

FASHION_MNIST_FOLDER: Final = Path("/usr/share/datasets/fashion-mnist")
"""Where the Debian package dataset-fashion-mnist puts its files."""

SOURCES: Final = (
    "builtin:auto",
    "builtin:basic-motions",
    "builtin:breast-cancer",
    "builtin:digits",
    "builtin:fashion-mnist",
    "npz:PATH",
)


def load_source(settings: DataSection, project_folder: Path, *, fashion_folder: Path = FASHION_MNIST_FOLDER) -> Dataset:
    """The rows that `[data]` asks for, at most `limit` of them, chosen by the split's seed.

    Raises:
        ConfigError: a source that is not one.
        DataError: a file that is missing, truncated or corrupt.
    """
    data = _load(settings, project_folder, fashion_folder)
    if settings.limit == 0 or settings.limit >= len(data):
        return data
    rng = np.random.default_rng(settings.split.seed)
    return data.rows(np.sort(rng.permutation(len(data))[: settings.limit]))


def _load(settings: DataSection, project_folder: Path, fashion_folder: Path) -> Dataset:
    scheme, _, rest = settings.source.partition(":")
    match scheme, rest:
        case "npz", path if path:
            return load_npz(project_folder / path, slices_name=settings.slices)
        case "builtin", "digits":
            return load_digits()
        case "builtin", "basic-motions":
            return load_basic_motions()
        case "builtin", "breast-cancer":
            return load_breast_cancer()
        case "builtin", "fashion-mnist":
            return load_fashion_mnist(fashion_folder)
        case "builtin", "auto":
            return load_fashion_mnist(fashion_folder) if fashion_folder.is_dir() else load_digits()
    nearest = difflib.get_close_matches(settings.source, SOURCES, n=1)
    raise ConfigError(
        f"[data] source: got {settings.source!r}, expected one of {', '.join(SOURCES)}",
        hint=f"did you mean {nearest[0]!r}?" if nearest else "",
    )
