"""A folder of tables: its files by name, one after the other, each cut into portions of its own."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from msgspec import structs

from converter.predict.portions import Portion, Position
from fleet_contract.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from converter.predict.portions import Form
    from converter.predict.sources.source import Source


class FilesSource:
    """See `Source`; rows are numbered through all files, and a cursor is that of the file's own source."""

    key = "row"

    def __init__(self, folder: Path, sources: Mapping[str, Source]) -> None:
        self._folder = folder
        self._sources = dict(sources)
        self.form: Form = next(iter(self._sources.values())).form
        counts = [source.total_rows for source in self._sources.values()]
        self.total_rows = None if None in counts else sum(count or 0 for count in counts)

    def identity(self) -> str:
        """See `Source.identity`."""
        digest = hashlib.sha256()
        for source in self._sources.values():
            digest.update(source.identity().encode())
        return digest.hexdigest()

    def portions(self, rows: int, begin: Position) -> Iterator[Portion]:
        """See `Source.portions`."""
        names = list(self._sources)
        done = names.index(begin.file) if begin.file else 0
        ends = list(accumulate((max(1, (self._folder / name).stat().st_size) for name in names), initial=0))
        index, row = begin.index, begin.row
        inner = Position(row=begin.file_row, cursor=begin.cursor)
        for number, name in enumerate(names[done:], done):
            for portion in self._sources[name].portions(rows, inner):
                span = structs.replace(portion.span, index=index, start=row, file=name, file_start=portion.span.start)
                read_bytes = ends[number] + portion.fraction * (ends[number + 1] - ends[number])
                index, row = index + 1, row + span.count
                yield replace(portion, span=span, fraction=min(1.0, read_bytes / ends[-1]))
            inner = Position()


def require_same_form(folder: Path, sources: Mapping[str, Source]) -> None:
    """Passes when the portions of all files mean the same.

    Raises:
        DataError: they do not.
    """
    (first, source), *others = sources.items()
    for name, other in others:
        if other.form != source.form:
            raise DataError(f"{folder}: {name}: got another kind or other columns than {first}, expected the same")
