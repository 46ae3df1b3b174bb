"""The result file, written from chunks one after the other: Parquet, CSV or NPZ by the name's ending.

Rows without a prediction are null in Parquet, empty in CSV, and an empty label with NaN in NPZ.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

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
    """Passes when the ending of `out` says how to write it.

    Raises:
        ConfigError: it does not.
    """
    if out.suffix.lower() not in FORMATS:
        raise ConfigError(f"--out {out}: got ending {out.suffix!r}, expected one of {', '.join(FORMATS)}")


def write_result(out: Path, layout: Layout, chunks: Callable[[], Iterable[Columns]], scratch: Path) -> None:
    """Puts the result at `out` in one step.

    Args:
        out: the file; its ending says the format.
        layout: which columns it has.
        chunks: gives all chunks from the first on, each time that it is called.
        scratch: a folder on the same disk for the unfinished file.

    Raises:
        StorageError: the disk is full or cannot be written.
        MissingExtraError: pyarrow is not installed.
    """
    with replacing(out, scratch) as unfinished:
        if out.suffix.lower() == ".npz":
            from converter.predict.writing_npz import write_npz

            write_npz(unfinished, layout, chunks)
        else:
            _write_tables(unfinished, layout, chunks(), parquet=out.suffix.lower() == ".parquet")


@contextmanager
def replacing(out: Path, scratch: Path) -> Iterator[Path]:
    """A path in `scratch`, on the same disk, for a file that takes the place of `out` when the block ends well.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    unfinished = scratch / "result"
    try:
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(out)
        sync_folder(out.parent)
    except OSError as error:
        raise cannot_write(out, error) from error


def _write_tables(path: Path, layout: Layout, chunks: Iterable[Columns], *, parquet: bool) -> None:
    schema = _schema(layout)
    with _table_writer(path, schema, parquet=parquet) as writer:
        for table in _grouped((_table(each, layout, schema) for each in chunks), schema):
            writer.write_table(table)


def _table_writer(path: Path, schema: Any, *, parquet: bool) -> Any:
    if parquet:
        import pyarrow.parquet as pq

        return pq.ParquetWriter(path, schema, compression="zstd")
    from pyarrow import csv

    return csv.CSVWriter(
        str(path), schema, write_options=csv.WriteOptions(quoting_style="needed", quoting_header="needed")
    )


def _schema(layout: Layout) -> Any:
    try:
        import pyarrow as pa
    except ModuleNotFoundError as error:
        raise MissingExtraError.for_extra("converter", "pyarrow") from error
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


def _grouped(tables: Iterable[Any], schema: Any) -> Iterator[Any]:
    """Tables of at least GROUP_ROWS rows, but the last."""
    import pyarrow as pa

    kept, count = [schema.empty_table()], 0
    for table in tables:
        kept.append(table)
        count += table.num_rows
        if count >= GROUP_ROWS:
            yield pa.concat_tables(kept).combine_chunks()
            kept, count = [schema.empty_table()], 0
    if count:
        yield pa.concat_tables(kept).combine_chunks()
