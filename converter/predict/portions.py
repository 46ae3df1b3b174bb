"""What travels between the process that reads data and those that score it.

A portion is a run of consecutive rows as raw bytes; what the bytes mean is told once, by a form. Decoding them is the
scoring process's work, because decoding CSV or images costs as much as many models do.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct

from fleet_contract.device_profile import Runtime
from fleet_contract.preprocessing import Transform
from fleet_contract.release import Feature, ImageInput
from fleet_contract.tensors import TensorSpec


class ArrayForm(Struct, frozen=True, kw_only=True, tag="array"):
    """Rows of one array in C order; `dtype` as numpy writes it in a file, `shape` without the rows."""

    dtype: str
    shape: tuple[int, ...]


class TableForm(Struct, frozen=True, kw_only=True, tag="table"):
    """An Arrow stream; its columns of these names, or the one list column, in this order are the input's values."""

    columns: tuple[Feature, ...]


class CsvForm(Struct, frozen=True, kw_only=True, tag="csv"):
    """The header's record and whole CSV records; `columns` are those that make the input, in its order."""

    columns: tuple[Feature, ...]
    separator: str = ","


class ImagesForm(Struct, frozen=True, kw_only=True, tag="images"):
    """Paths below `folder`, UTF-8, with a zero byte between two; `images` says how they become inputs."""

    folder: str
    images: ImageInput


Form = ArrayForm | TableForm | CsvForm | ImagesForm


class ScoreJob(Struct, frozen=True, kw_only=True):
    """All that a scoring process needs to know before the first portion.

    `raw` is the release's input, `input` and `output` are the variant's; `artifact` is the path of its file.
    """

    form: Form
    raw: TensorSpec
    preprocessing: tuple[Transform, ...]
    runtime: Runtime
    artifact: str
    variant: str
    input: TensorSpec
    output: TensorSpec


class Span(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which rows a portion holds: `count` of them from row `start` of the data; `index` counts portions.

    Of data in several files they are all of `file`, the first being its row `file_start`.
    """

    index: int
    start: int
    count: int
    file: str = ""
    file_start: int = 0

    def __str__(self) -> str:
        """The rows in words, both ends included."""
        words = f"rows {self.start} to {self.start + self.count - 1}"
        return f"{words} (in {self.file} from row {self.file_start})" if self.file else words


@dataclass(frozen=True, slots=True)
class Portion:
    """Rows on their way to be scored.

    `cursor` is where the source goes on after this portion, in its own terms; `fraction` is how much of the data has
    been read with it, from 0 to 1.
    """

    span: Span
    payload: bytes
    cursor: int
    fraction: float


@dataclass(frozen=True, slots=True)
class Position:
    """Where to begin to read: the index of the next portion, its first row, and the cursor of the portion before it.

    Of data in several files, `file` is that of the portion before and `file_row` the row of it that comes next.
    """

    index: int = 0
    row: int = 0
    cursor: int = 0
    file: str = ""
    file_row: int = 0

    @classmethod
    def after(cls, span: Span, cursor: int) -> Position:
        """Where to go on behind the portion with that span and cursor."""
        return cls(
            index=span.index + 1,
            row=span.start + span.count,
            cursor=cursor,
            file=span.file,
            file_row=span.file_start + span.count,
        )


class BadRow(Struct, frozen=True, kw_only=True):
    """A row that got no prediction, and why. `column` is empty where the whole row is at fault."""

    row: int
    column: str
    words: str
