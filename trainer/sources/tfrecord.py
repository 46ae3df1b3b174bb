"""TFRecord files of tf.train.Example as a data set: encoded images, or lists of numbers of one length.

TensorFlow reads the records, which checks both checksums of each; it is imported only when a file is read, and used so
that its number of threads can still be chosen later.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fleet_contract.errors import ConfigError, DataError
from fleet_contract.release import Feature
from fleet_rows.image_file import ImageForm, choose_form, decode_image
from fleet_rows.listing import cannot_read
from trainer.data.dataset import Dataset, no_slices
from trainer.sources.column_scan import ColumnScan
from trainer.sources.image_folder import require_channels
from trainer.sources.label_choice import choose_classes
from trainer.sources.limits import MAX_CLASSES, require_fits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.data.dataset import Labels
    from trainer.settings import DataSection

FRAME_BYTES: Final = 16
"""What frames a record: its length (8), the checksum of that (4), and the checksum of the data (4)."""
SUFFIXES: Final = (".tfrecord", ".tfrecords")

Values = bytes | int | float


@dataclass(slots=True)
class _Rows:
    """Rows as they are read; the first says what all of them are like."""

    settings: DataSection
    source: str
    inputs: list[NDArray[Any]] = field(default_factory=list)
    labels: list[Values] = field(default_factory=list)
    names: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    form: ImageForm | None = None

    def add(self, example: dict[str, list[Any]]) -> None:
        """Keeps one example.

        Raises:
            ValueError: it lacks a feature, or is not like the first.
        """
        label = self._values(example, self.settings.label)
        if len(label) != 1:
            raise ValueError(f"feature {self.settings.label!r}: got {len(label)} labels, expected one")
        if not self.inputs:
            self.names = self.settings.features or tuple(sorted(set(example) - {self.settings.label}))
        row_N = self._input({name: self._values(example, name) for name in self.names})
        require_fits(self.source, (len(self.inputs) + 1) * row_N.nbytes, self.settings.max_bytes)
        self.inputs.append(row_N)
        self.labels.append(label[0])

    def _values(self, example: dict[str, list[Any]], name: str) -> list[Any]:
        if name not in example:
            raise ValueError(f"got features {sorted(example)[:20]}, expected one named {name!r}")
        return example[name]

    def _input(self, values: dict[str, list[Any]]) -> NDArray[Any]:
        lists = list(values.values())
        if not lists:
            raise ValueError(f"got no feature but {self.settings.label!r}, expected at least one")
        if any(isinstance(value, bytes) for value in (value for values in lists for value in values)):
            return self._image(values)
        sizes = tuple(len(values) for values in lists)
        self.sizes = self.sizes or sizes
        if sizes != self.sizes or not sum(sizes):
            got = ", ".join(f"{name!r}: {size}" for name, size in zip(values, sizes, strict=True))
            raise ValueError(
                f"got lists of lengths {got}, expected {list(self.sizes)} as the first, none of them empty"
            )
        return np.concatenate([np.asarray(values, np.float32) for values in lists])

    def _image(self, values: dict[str, list[Any]]) -> NDArray[Any]:
        if [len(found) for found in values.values()] != [1]:
            raise ValueError(
                f"got features {list(values)} with bytes among them, expected one with one encoded image, or numbers"
            )
        encoded = next(iter(values.values()))[0]
        self.form = self.form or choose_form(encoded, self.settings.image_size, self.settings.channels)
        return decode_image(encoded, self.form)


def load_tfrecord(files: Sequence[Path], settings: DataSection, *, source: str) -> Dataset:
    """All examples of `files`; numbers become float32, encoded PNG or JPEG images unsigned bytes (B, H, W, C).

    Raises:
        ConfigError: settings that TFRecord files do not have, or a shape that does not fit.
        DataError: damaged, truncated or unequal records, named with file and number.
        MissingExtraError: TensorFlow is not installed.
    """
    _check_settings(settings)
    rows = _Rows(settings, source)
    for path in files:
        for number, example in enumerate(_examples(path)):
            try:
                rows.add(example)
            except ValueError as error:
                hint = "name features with [data] label and features"
                raise DataError(f"{path}: record {number:,}: {error}", hint=hint) from error
    if not rows.inputs:
        raise DataError(f"{source}: got no records, expected some")
    labels_B, label_names = _classes(rows)
    return Dataset(
        inputs_B=_shaped(np.stack(rows.inputs), settings),
        labels_B=labels_B,
        label_names=label_names,
        slices_B=no_slices(len(rows.inputs)),
        source=source,
        images=rows.form.input if rows.form else None,
        features=tuple(Feature(name=name) for name in rows.names) if set(rows.sizes) == {1} else (),
    )


def _check_settings(settings: DataSection) -> None:
    require_channels(settings.channels)
    for name in ("slices", "group", "time"):
        if getattr(settings, name):
            raise ConfigError(f"[data] {name}: TFRecord files are read without it", hint="use Parquet or NPZ")


def _shaped(inputs_B: NDArray[Any], settings: DataSection) -> NDArray[Any]:
    if not settings.shape:
        return inputs_B
    if int(np.prod(settings.shape)) != inputs_B[0].size:
        raise ConfigError(f"[data] shape: got {list(settings.shape)}, expected {inputs_B[0].size:,} numbers in all")
    return inputs_B.reshape(len(inputs_B), *settings.shape)


def _classes(rows: _Rows) -> tuple[Labels, tuple[str, ...]]:
    import pyarrow as pa

    name, source = rows.settings.label, rows.source
    try:
        words = [label.decode() if isinstance(label, bytes) else label for label in rows.labels]
        column_B = pa.array(words)
    except (UnicodeDecodeError, pa.ArrowException) as error:
        raise DataError(f"{source}: label {name!r}: got {error}, expected numbers, or text in UTF-8") from error
    scan = ColumnScan(name, collect=True, max_words=MAX_CLASSES)
    scan.add(column_B, typed=True, file=source, first_row=0)
    classes = choose_classes(scan, source=source, declared=name in rows.settings.categorical)
    return classes.index(column_B), classes.names


def _examples(path: Path) -> Iterator[dict[str, list[Any]]]:
    """Each record's features by name."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it brings no types

    from trainer.training.keras_runtime import import_keras

    import_keras()
    import tensorflow as tf

    read_bytes = 0
    try:
        with _quiet(tf):
            records = tf.compat.v1.io.tf_record_iterator(str(path))
        for record in records:
            read_bytes += len(record) + FRAME_BYTES
            yield _features(tf.train.Example.FromString(record))
        size_bytes = path.stat().st_size
    except (tf.errors.OpError, DecodeError) as error:
        raise DataError(
            f"{path}: got {str(error).splitlines()[0] if str(error) else 'no tf.train.Example'} after "
            f"{read_bytes:,} bytes, expected whole records of tf.train.Example"
        ) from error
    except OSError as error:
        raise cannot_read(path, error) from error
    if read_bytes != size_bytes:
        raise DataError(
            f"{path}: got a record cut short after {read_bytes:,} of {size_bytes:,} bytes, expected it whole"
        )


def _features(example: Any) -> dict[str, list[Any]]:
    found = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        found[name] = list(getattr(feature, kind).value) if kind else []
    return found


@contextmanager
def _quiet(tf: Any) -> Iterator[None]:
    """Without the advice to read records through tf.data, which would fix the number of threads at once."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
