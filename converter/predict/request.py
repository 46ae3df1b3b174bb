"""What a batch prediction is asked for, what it tells on the way, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from pathlib import Path

    from converter.predict.released import ReleasedVariant


class OnError(StrEnum):
    """What a row that cannot be scored does."""

    STOP = "stop"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Request:
    """What to predict. `rows_per_chunk` 0: as many as suit the variant. For the rest see `Reading`."""

    released: ReleasedVariant
    data: Path
    out: Path
    columns: tuple[str, ...] = ()
    array: str = ""
    separator: str = ""
    rows_per_chunk: int = 0
    on_error: OnError = OnError.STOP
    all_scores: bool = False
    overwrite: bool = False
    restart: bool = False


class Progress(Protocol):
    """Who watches a prediction."""

    def begin(self, *, total_rows: int | None, finished_rows: int) -> None:
        """Scoring begins; so many rows are finished already. `total_rows` None: nobody knows yet."""

    def advance(self, rows: int, fraction: float) -> None:
        """`rows` rows are finished in all, and so much of the data has been read, from 0 to 1."""

    def write(self) -> None:
        """All rows are scored; the result is being written."""


class SkippedRow(Struct, frozen=True, kw_only=True):
    """A row without a prediction. `key` is its number or file; `column` is empty where the whole row is at fault."""

    key: str
    column: str
    reason: str


class Summary(Struct, frozen=True, kw_only=True):
    """How a prediction ended. `labels` counts rows by label; `skipped` are the first few of `skipped_rows`.

    `skipped_list` names the file with all of them, where there are any. `resumed_rows` were finished by an earlier
    run and are not in `rows_per_s`.
    """

    release: str
    release_sha256: str
    variant: str
    out: str
    rows: int
    labels: dict[str, int]
    skipped_rows: int
    skipped: tuple[SkippedRow, ...]
    skipped_list: str
    resumed_rows: int
    duration_s: float
    rows_per_s: float
