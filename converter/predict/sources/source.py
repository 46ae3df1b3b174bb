"""The port of all sources, and which adapter reads what."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from fleet_contract.errors import ConfigError, DataError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from converter.predict.portions import Form, Portion, Position
    from fleet_contract.tensors import TensorSpec

TABLES: Final = (".csv", ".tsv", ".parquet")
ARRAYS: Final = (".npy", ".npz")


class Source(Protocol):
    """Rows of data in order. Reading twice gives the same portions as long as the identity is the same."""

    @property
    def form(self) -> Form:
        """What the bytes of a portion mean."""

    @property
    def key(self) -> str:
        """What names a row in results: `row` or `file`."""

    @property
    def total_rows(self) -> int | None:
        """How many rows there are; None where only reading tells."""

    def identity(self) -> str:
        """A digest that changes when the data do: of name, size and time of change of each file."""

    def portions(self, rows: int, begin: Position) -> Iterator[Portion]:
        """Portions of `rows` rows each, the last one of fewer, from `begin` on.

        Raises:
            DataError: a file is damaged or changed its form.
        """


def open_source(path: Path, raw: TensorSpec, *, columns: Sequence[str] = (), array: str = "") -> Source:
    """The source for the file or folder at `path`, checked as far as its head tells.

    Args:
        path: a CSV, TSV, Parquet, NPY or NPZ file, or a folder of images.
        raw: the input that the rows must make.
        columns: of a table, in the order of the input's values; none takes all.
        array: the member of an NPZ; empty takes `inputs`, or the only one.

    Raises:
        NotFoundError: there is nothing at `path`.
        ConfigError: an option that does not go with the kind of file.
        DataError: the data cannot be read, or cannot be the input's.
    """
    if not path.exists():
        raise NotFoundError(f"{path}: there are no data")
    kind = "folder" if path.is_dir() else path.suffix.lower()
    if columns and kind not in TABLES:
        raise ConfigError(f"--columns: got a source of kind {kind}, expected a table ({', '.join(TABLES)})")
    if array and kind != ".npz":
        raise ConfigError(f"--array: got a source of kind {kind}, expected an .npz")
    return _open(path, kind, raw, columns, array)


def _open(path: Path, kind: str, raw: TensorSpec, columns: Sequence[str], array: str) -> Source:
    match kind:
        case ".csv" | ".tsv":
            from converter.predict.sources.csv_records import CsvSource

            return CsvSource(path, raw, columns)
        case ".parquet":
            from converter.predict.sources.parquet import ParquetSource

            return ParquetSource(path, raw, columns)
        case ".npy" | ".npz":
            from converter.predict.sources.arrays import ArraySource

            return ArraySource(path, raw, array)
        case "folder":
            from converter.predict.sources.images import ImagesSource

            return ImagesSource(path, raw)
    raise DataError(f"{path}: got a file of kind {kind!r}, expected {', '.join((*TABLES, *ARRAYS))} or a folder")


def file_identity(path: Path) -> str:
    """See `Source.identity`, for one file.

    Raises:
        DataError: it cannot be looked at.
    """
    try:
        seen = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    return hashlib.sha256(f"{path.name}\0{seen.st_size}\0{seen.st_mtime_ns}".encode()).hexdigest()


def choose_columns(path: Path, present: Sequence[str], wanted: Sequence[str], raw: TensorSpec) -> tuple[str, ...]:
    """The columns of a table that make the input, in its order.

    Raises:
        DataError: a wanted column is missing, or their number is not the input's.
    """
    chosen = tuple(wanted or present)
    known = frozenset(present)
    missing = [name for name in chosen if name not in known]
    if missing:
        raise DataError(f"{path}: got no column {_some(missing)}, expected columns {_some(chosen)}")
    if len(set(chosen)) != len(chosen):
        raise DataError(f"{path}: got a column twice in {_some(chosen)}, expected each once")
    width = int(np.prod(raw.shape, dtype=np.int64))
    if len(chosen) != width:
        raise DataError(
            f"{path}: got {len(chosen)} columns ({_some(chosen)}), expected {width} for the input's shape "
            f"{list(raw.shape)}",
            hint="name the input's columns, in order, with --columns A,B,...",
        )
    return chosen


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return f"{shown}, and {len(names) - 8} more" if len(names) > 8 else shown
