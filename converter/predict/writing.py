"""The result file, written while chunks are finished: Parquet, CSV or NPZ by the name's ending.

Rows without a prediction are null in Parquet, empty in CSV, and an empty label with NaN in NPZ.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from converter.predict.results import CONFIDENCE, LABEL
from fleet_contract.errors import ConfigError, MissingExtraError
from fleet_files.durable import cannot_write, sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from converter.predict.results import Columns, Layout

GROUP_ROWS: Final = 65536
"""Rows of a Parquet row group, at least."""
FORMATS: Final = (".parquet", ".csv", ".npz")


def check_format(out: Path) -> None:
    """Passes when the ending of `out` says how to write it, and this can be done here.

    Raises:
        ConfigError: it does not.
        MissingExtraError: pyarrow is not installed.
    """
    if out.suffix.lower() not in FORMATS:
        raise ConfigError(f"--out {out}: got ending {out.suffix!r}, expected one of {', '.join(FORMATS)}")
    if out.suffix.lower() != ".npz" and find_spec("pyarrow") is None:
        raise MissingExtraError.for_extra("converter", "pyarrow")


class Writer(Protocol):
    """Writes one unfinished file."""

    def add(self, columns: Columns) -> None:
        """Takes the next chunk."""

    def finish(self) -> None:
        """Writes what is left."""

    def close(self) -> None:
        """Lets go of the file; more than once does no harm."""


class ResultFile:
    """The result on its way: takes chunks in order, then its place in one step."""

    def __init__(self, out: Path, writer: Writer, unfinished: Path) -> None:
        self._out, self._writer, self._unfinished = out, writer, unfinished

    def add(self, columns: Columns) -> None:
        """Takes the next chunk.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        with _storing(self._out):
            self._writer.add(columns)

    def finish(self) -> None:
        """Puts the file in its place.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        with replacing(self._out, self._unfinished):
            self._writer.finish()
            self._writer.close()


@contextmanager
def open_result(
    out: Path, layout: Layout, chunks: Callable[[], Iterable[Columns]], scratch: Path
) -> Iterator[ResultFile]:
    """The result for `out`, to be filled and finished in the block.

    Args:
        out: the file; its ending says the format.
        layout: which columns it has.
        chunks: gives all that were added from the first on, each time that it is called.
        scratch: a folder on the same disk for the unfinished file.
    """
    unfinished, suffix = scratch / "result", out.suffix.lower()
    writer: Writer = TableWriter(unfinished, layout, parquet=suffix == ".parquet")
    if suffix == ".npz":
        from converter.predict.writing_npz import NpzWriter

        writer = NpzWriter(unfinished, layout, chunks)
    try:
        yield ResultFile(out, writer, unfinished)
    finally:
        with suppress(OSError):  # of a full disk, which is told already
            writer.close()


@contextmanager
def replacing(out: Path, unfinished: Path) -> Iterator[None]:
    """Lets `unfinished`, on the same disk, take the place of `out` when the block ends well.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    with _storing(out):
        yield
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(out)
        sync_folder(out.parent)


@contextmanager
def _storing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(out, error) from error


class TableWriter:
    """Parquet or CSV, row group by row group. Arrow is loaded beside, as it takes as long as the first chunk."""

    def __init__(self, path: Path, layout: Layout, *, parquet: bool) -> None:
        self._path, self._layout, self._parquet = path, layout, parquet
        Thread(target=_load_arrow, name="load-arrow").start()
        self._file: Any = None
        self._kept: list[Any] = []

    def add(self, columns: Columns) -> None:
        """See `Writer.add`."""
        if self._file is None:
            self._schema = _schema(self._layout)
            self._file = _table_writer(self._path, self._schema, parquet=self._parquet)
        self._kept.append(_table(columns, self._layout, self._schema))
        if sum(table.num_rows for table in self._kept) >= GROUP_ROWS:
            self._write()

    def finish(self) -> None:
        """See `Writer.finish`."""
        if self._kept:
            self._write()

    def close(self) -> None:
        """See `Writer.close`."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _write(self) -> None:
        import pyarrow as pa

        group = pa.concat_tables(self._kept).combine_chunks()
        self._kept = []
        self._file.write_table(group)


def _load_arrow() -> None:
    with suppress(ImportError):  # who needs it says so
        for name in ("pyarrow.parquet", "pyarrow.csv"):
            import_module(name)


def _table_writer(path: Path, schema: Any, *, parquet: bool) -> Any:
    if parquet:
        import pyarrow.parquet as pq

        return pq.ParquetWriter(path, schema, compression="zstd")
    from pyarrow import csv

    return csv.CSVWriter(
        str(path), schema, write_options=csv.WriteOptions(quoting_style="needed", quoting_header="needed")
    )


def _schema(layout: Layout) -> Any:
    import pyarrow as pa

    fields = [(layout.key, pa.int64() if layout.key == "row" else pa.string())]
    if layout.labels:
        fields += [(LABEL, pa.string()), (CONFIDENCE, pa.float32())]
    return pa.schema([*fields, *((name, pa.float32()) for name in layout.score_names)])


def _table(columns: Columns, layout: Layout, schema: Any) -> Any:
    import pyarrow as pa

    absent_B = columns.absent_B
    arrays = [pa.array(columns.key_B)]
    if layout.labels:
        names = pa.array(layout.labels, pa.string())
        arrays += [
            names.take(pa.array(columns.label_B, mask=absent_B)),
            pa.array(columns.confidence_B, mask=absent_B),
        ]
    if layout.score_names:
        arrays += [pa.array(np.ascontiguousarray(scores_B), mask=absent_B) for scores_B in columns.scores_BK.T]
    return pa.Table.from_arrays(arrays, schema=schema)
