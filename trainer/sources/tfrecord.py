"""TFRecord files of tf.train.Example as a data set: encoded images, or numbers and text by name.

Features of one value are what columns of Parquet are, categories, labels, slices, groups and times included; lists of
numbers are so many inputs side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fleet_contract.errors import ConfigError, DataError
from fleet_contract.release import Feature
from fleet_rows.columns import column_values
from trainer.data.dataset import Dataset, no_slices
from trainer.data.places import Places
from trainer.sources.column_scan import ColumnScan
from trainer.sources.feature_choice import choose_features
from trainer.sources.image_folder import require_channels
from trainer.sources.label_choice import choose_classes
from trainer.sources.limits import MAX_CLASSES
from trainer.sources.role_values import read_names, read_times
from trainer.sources.tfrecord_file import read_examples
from trainer.sources.tfrecord_rows import Gathered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.settings import DataSection
    from trainer.sources.label_choice import Classes


def load_tfrecord(
    files: Sequence[Path], settings: DataSection, *, source: str, known: Sequence[Feature] = ()
) -> Dataset:
    """All examples of `files`; numbers and codes become float32, encoded images unsigned bytes (B, H, W, C).

    Args:
        files: plain or gzipped, at least one.
        settings: which features are for what.
        source: what to call the data in words.
        known: features of the reviewed schema, whose vocabularies hold; empty before there is one.

    Raises:
        ConfigError: settings contradict one another, or a shape does not fit.
        DataError: damaged, truncated or unequal records, named with file and number.
        MissingExtraError: TensorFlow is not installed.
    """
    require_channels(settings.channels)
    gathered, counts = Gathered(settings, source), []
    for path in files:
        before = gathered.count
        for number, example in enumerate(read_examples(path)):
            gathered.add(example, f"{path.name} record {number:,}")
        counts.append(gathered.count - before)
    gathered.require_flawless()
    if not gathered.count:
        raise DataError(f"{source}: got no records, expected some")
    return _dataset(gathered, _Files(tuple(files), tuple(counts)), known)


@dataclass(frozen=True, slots=True)
class _Files:
    """The files with the number of records in each."""

    paths: tuple[Path, ...]
    counts: tuple[int, ...]

    def parts(self, array_B: Any) -> Iterator[tuple[Path, Any]]:
        """The part of a column that stands in each file."""
        begin = 0
        for path, count in zip(self.paths, self.counts, strict=True):
            yield path, array_B.slice(begin, count)
            begin += count


def _dataset(gathered: Gathered, files: _Files, known: Sequence[Feature]) -> Dataset:
    roles, settings = gathered.roles, gathered.settings
    assert roles is not None
    columns = {name: _column(gathered, name) for name in gathered.singles}
    features = _features(gathered, files, columns, known)
    classes = _classes(gathered, files, columns[roles.label])
    raw_B: NDArray[Any] = np.stack(gathered.images) if gathered.image else _inputs(gathered, columns, features)
    return Dataset(
        inputs_B=_shaped(raw_B, settings),
        labels_B=classes.index(columns[roles.label]),
        label_names=classes.names,
        slices_B=read_names(columns[roles.slices]) if roles.slices else no_slices(gathered.count),
        source=gathered.source,
        images=gathered.form.input if gathered.form else None,
        features=_named(gathered, features),
        groups_B=read_names(columns[roles.group]) if roles.group else None,
        times_B=_times(files, roles.time, columns[roles.time]) if roles.time else None,
        places=Places.of([path.name for path in files.paths], files.counts),
    )


def _column(gathered: Gathered, name: str) -> Any:
    """The values of a feature as Arrow has them."""
    import pyarrow as pa

    kinds = {bytes: pa.string(), int: pa.int64(), float: pa.float64()}
    kind = gathered.kinds.get(name)
    values = gathered.singles[name]
    if kind is float:
        values = [None if value is None else float(value) for value in values]
    return pa.array(values, kinds[kind] if kind else pa.null())


def _scan(scan: ColumnScan, files: _Files, column_B: Any) -> ColumnScan:
    for path, part_B in files.parts(column_B):
        scan.add(part_B, typed=True, file=path.name, first_row=0)
    return scan


def _features(
    gathered: Gathered, files: _Files, columns: dict[str, Any], known: Sequence[Feature]
) -> dict[str, Feature]:
    """Those of one value, by name."""
    categorical = gathered.settings.categorical
    scans = [
        _scan(ColumnScan(name, collect=name in categorical), files, columns[name])
        for name in gathered.widths
        if name in columns
    ]
    chosen = choose_features(scans, source=gathered.source, categorical=categorical, known=known)
    return {feature.name: feature for feature in chosen}


def _classes(gathered: Gathered, files: _Files, label_B: Any) -> Classes:
    name = gathered.settings.label
    scan = _scan(ColumnScan(name, collect=True, max_words=MAX_CLASSES), files, label_B)
    return choose_classes(scan, source=gathered.source, declared=name in gathered.settings.categorical)


def _inputs(gathered: Gathered, columns: dict[str, Any], features: dict[str, Feature]) -> NDArray[np.float32]:
    inputs_BF = np.empty((gathered.count, sum(gathered.widths.values())), np.float32)
    begin = 0
    for name, width in gathered.widths.items():
        values = column_values(columns[name], features[name])[:, None] if name in columns else gathered.lists[name]
        inputs_BF[:, begin : begin + width] = values
        begin += width
    return inputs_BF


def _shaped(inputs_B: NDArray[Any], settings: DataSection) -> NDArray[Any]:
    if not settings.shape:
        return inputs_B
    if int(np.prod(settings.shape)) != inputs_B[0].size:
        raise ConfigError(f"[data] shape: got {list(settings.shape)}, expected {inputs_B[0].size:,} numbers in all")
    return inputs_B.reshape(len(inputs_B), *settings.shape)


def _named(gathered: Gathered, features: dict[str, Feature]) -> tuple[Feature, ...]:
    """One for each input; none where lists are all there is to name, which have no names for their numbers."""
    if gathered.lists and not any(feature.categories for feature in features.values()):
        return ()
    return tuple(
        feature
        for name, width in gathered.widths.items()
        for feature in (
            [features[name]] if width == 1 else [Feature(name=f"{name}[{index}]") for index in range(width)]
        )
    )


def _times(files: _Files, name: str, column_B: Any) -> NDArray[np.float64]:
    return np.concatenate([read_times(part_B, name, path, 0) for path, part_B in files.parts(column_B)])
