"""Rows without a prediction, named so that one finds them: the row or file, the column, and why."""

from __future__ import annotations

import csv
from itertools import chain
from typing import TYPE_CHECKING, Final

from converter.predict.request import SkippedRow
from converter.predict.writing import replacing
from fleet_contract.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from converter.predict.chunk import Chunk
    from converter.predict.portions import BadRow, Span

MAX_NAMED: Final = 10


def skipped_rows(chunk: Chunk, span: Span) -> list[SkippedRow]:
    """The rows of a chunk without a prediction, when it is that of `span`."""
    return [
        SkippedRow(
            key=str(bad.row) if chunk.keys is None else chunk.keys[bad.row - span.start],
            column=bad.column,
            reason=_reason(bad, span),
        )
        for bad in chunk.bad
    ]


def _reason(bad: BadRow, span: Span) -> str:
    """Why, and of data in several files where in which."""
    return f"{span.file} row {bad.row - span.start + span.file_start}: {bad.words}" if span.file else bad.words


def require_none(data: Path, key: str, skipped: list[SkippedRow]) -> None:
    """Passes when every row has a prediction. `key` is what names a row: `row` or `file`.

    Raises:
        DataError: some have none; the message names the first few.
    """
    if not skipped:
        return
    lines = "".join(f"\n  {_words(row, key)}" for row in skipped[:MAX_NAMED])
    more = f"\n  and {len(skipped) - MAX_NAMED} more" if len(skipped) > MAX_NAMED else ""
    raise DataError(
        f"{data}: got {len(skipped)} rows that cannot be scored, and read no further, expected none:{lines}{more}",
        hint="mend them, or go on from here and leave them without a prediction: --on-error skip",
    )


def _words(row: SkippedRow, key: str) -> str:
    where = f"{key} {row.key}, column {row.column}" if row.column else f"{key} {row.key}"
    return f"{where}: {row.reason}"


def write_list(path: Path, key: str, skipped: Iterable[SkippedRow], scratch: Path) -> int:
    """Puts the list of skipped rows at `path`, or removes an older list when there are none; gives their number.

    Raises:
        StorageError: it cannot be written.
    """
    rows = iter(skipped)
    first = next(rows, None)
    if first is None:
        path.unlink(missing_ok=True)
        return 0
    count = 0
    unfinished = scratch / "skipped"
    with replacing(path, unfinished), unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow((key, "column", "reason"))
        for row in chain((first,), rows):
            writer.writerow((row.key, row.column, row.reason))
            count += 1
    return count
