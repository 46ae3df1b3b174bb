"""TFRecord files, plain or gzipped, as examples one by one.

TensorFlow reads the records, which checks both checksums of each; it is imported only when a file is read, and used so
that its number of threads can still be chosen later.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from fleet_contract.errors import DataError
from fleet_rows.listing import cannot_read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIXES: Final = (".tfrecord", ".tfrecords", ".tfrecord.gz", ".tfrecords.gz")
FRAME_BYTES: Final = 16
"""What frames a record: its length (8), the checksum of that (4), and the checksum of the data (4)."""
GZIP_MAGIC: Final = b"\x1f\x8b\x08"
GZIP_WINDOW: Final = 31
"""Tells zlib to expect a header of gzip."""
PROBE_BYTES: Final = 4096
READ_BYTES: Final = 1024**2

Values = list[bytes] | list[int] | list[float]


def read_examples(path: Path) -> Iterator[dict[str, Values]]:
    """Each record's features by name.

    Raises:
        DataError: the file cannot be read, or a record is damaged, cut short, or no tf.train.Example.
        MissingExtraError: TensorFlow is not installed.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it brings no types

    from trainer.training.keras_runtime import import_keras

    import_keras()
    import tensorflow as tf

    packed = _is_gzip(path)
    size_bytes, read_bytes = _size_bytes(path, packed=packed), 0
    try:
        for record in _records(tf, path, packed=packed):
            read_bytes += len(record) + FRAME_BYTES
            yield _features(tf.train.Example.FromString(record))
    except (tf.errors.OpError, DecodeError) as error:
        raise DataError(
            f"{path}: got {str(error).splitlines()[0] if str(error) else 'no tf.train.Example'} after "
            f"{read_bytes:,} bytes, expected whole records of tf.train.Example"
        ) from error
    if read_bytes != size_bytes:
        raise DataError(
            f"{path}: got a record cut short after {read_bytes:,} of {size_bytes:,} bytes, expected it whole"
        )


def _is_gzip(path: Path) -> bool:
    """By content, whatever the name; a length of records can look like gzip's first bytes, but then nothing unpacks."""
    try:
        with path.open("rb") as file:
            head = file.read(PROBE_BYTES)
    except OSError as error:
        raise cannot_read(path, error) from error
    if not head.startswith(GZIP_MAGIC):
        return False
    try:
        zlib.decompressobj(GZIP_WINDOW).decompress(head)
    except zlib.error:
        return False
    return True


def _size_bytes(path: Path, *, packed: bool) -> int:
    """Bytes of the records; a gzipped file is unpacked for it once, since TensorFlow takes a cut one for whole."""
    try:
        if not packed:
            return path.stat().st_size
        with gzip.open(path) as file:
            return sum(map(len, iter(lambda: file.read(READ_BYTES), b"")))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: got {error}, expected a whole gzip file") from error
    except OSError as error:
        raise cannot_read(path, error) from error


def _records(tf: Any, path: Path, *, packed: bool) -> Any:
    """Without the advice to read through tf.data, which would fix the number of threads at once."""
    with _quiet(tf):
        return tf.compat.v1.io.tf_record_iterator(str(path), tf.io.TFRecordOptions("GZIP" if packed else ""))


def _features(example: Any) -> dict[str, Values]:
    found = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        found[name] = list(getattr(feature, kind).value) if kind else []
    return found


@contextmanager
def _quiet(tf: Any) -> Iterator[None]:
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
