"""The port of all sources, how data are to be read, and which adapter reads what."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from converter.predict.portions import CsvForm, TableForm
from fleet_contract.errors import ConfigError, DataError, MissingExtraError, NotFoundError
from fleet_contract.release import Feature, ImageInput
from fleet_rows import csv_text, parquet_file
from fleet_rows.listing import list_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from converter.predict.portions import Form, Portion, Position
    from fleet_contract.tensors import TensorSpec

TABLES: Final = (*csv_text.SUFFIXES, *parquet_file.SUFFIXES)
ARRAYS: Final = (".npy", ".npz")
AS_THEY_ARE: Final = ImageInput(resize=False, convert=True)
"""How images become inputs where the release does not say."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How data are to be read.

    `raw` is the input that the rows must make; `features` are its columns by name, where the release has such, and
    `images` says how images become it. The user says the rest: `columns` of a table without features, in the order of
    the input's values, none for all; the `array` of an NPZ, none for `inputs` or the only one; the `separator` of CSV.
    """

    raw: TensorSpec
    features: tuple[Feature, ...] = ()
    images: ImageInput = AS_THEY_ARE
    columns: tuple[str, ...] = ()
    array: str = ""
    separator: str = ""


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


def open_source(path: Path, reading: Reading) -> Source:
    """The source for the file or folder at `path`, checked as far as its head tells.

    A folder that holds an image is one of images, another one of tables.

    Raises:
        NotFoundError: there is nothing at `path`.
        ConfigError: an option that does not go with the kind of file, or with the release.
        DataError: the data cannot be read, or cannot be the input's.
        MissingExtraError: what reads such files is not installed.
    """
    if not path.exists():
        raise NotFoundError(f"{path}: there are no data")
    if not path.is_dir():
        _check_options(path, reading)
        return _open_file(path, reading)
    tables = [entry for entry in list_folder(path) if _ends(entry, TABLES) and not entry.is_dir()]
    from converter.predict.sources.images import ImagesSource, holds_image

    if not tables or holds_image(path):
        _check_options(path, reading)
        _require("pillow", "PIL")
        return ImagesSource(path, reading)
    _check_options(tables[0], reading)
    return _open_tables(path, tables, reading)


def _open_tables(folder: Path, tables: Sequence[Path], reading: Reading) -> Source:
    from converter.predict.sources.files import FilesSource, require_same_form

    first = _open_file(tables[0], reading)
    if not (reading.features or reading.columns):
        assert isinstance(first.form, TableForm | CsvForm)
        reading = replace(reading, columns=tuple(column.name for column in first.form.columns))
    sources = {path.name: _open_file(path, reading) for path in tables}
    require_same_form(folder, sources)
    return FilesSource(folder, sources)


def _open_file(path: Path, reading: Reading) -> Source:
    if _ends(path, TABLES):
        _require("pyarrow", "pyarrow")
    if _ends(path, csv_text.SUFFIXES):
        from converter.predict.sources.csv_records import CsvSource

        return CsvSource(path, reading)
    if _ends(path, parquet_file.SUFFIXES):
        from converter.predict.sources.parquet import ParquetSource

        return ParquetSource(path, reading)
    if _ends(path, ARRAYS):
        from converter.predict.sources.arrays import ArraySource

        return ArraySource(path, reading)
    kinds = ", ".join((*TABLES, *ARRAYS))
    raise DataError(f"{path}: got a file of kind {path.suffix.lower()!r}, expected {kinds} or a folder")


def _check_options(path: Path, reading: Reading) -> None:
    kind = "folder" if path.is_dir() else path.suffix.lower()
    for option, given, kinds in (
        ("columns", reading.columns, TABLES),
        ("array", reading.array, ARRAYS[1:]),
        ("separator", reading.separator, csv_text.SUFFIXES),
    ):
        if given and not _ends(path, kinds):
            raise ConfigError(f"--{option}: got a source of kind {kind}, expected one of {', '.join(kinds)}")
    if reading.columns and reading.features:
        names = _some([feature.name for feature in reading.features])
        raise ConfigError(f"--columns: got {_some(reading.columns)}, expected none: the release names them: {names}")
    if len(reading.separator) > 1 or not reading.separator.isascii() or reading.separator in set('"\r\n'):
        raise ConfigError(f"--separator: got {reading.separator!r}, expected one character, for instance ';'")


def _require(distribution: str, module: str) -> None:
    if find_spec(module) is None:
        raise MissingExtraError.for_extra("converter", distribution)


def _ends(path: Path, suffixes: Sequence[str]) -> bool:
    return path.name.lower().endswith(tuple(suffixes))


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


def table_columns(path: Path, present: Sequence[str], reading: Reading) -> tuple[Feature, ...]:
    """The columns of a table that make the input, in its order: those of the release by name, or those chosen.

    Raises:
        DataError: one is missing, or their number is not the input's.
    """
    chosen = reading.features or tuple(Feature(name=name) for name in reading.columns or present)
    names = [column.name for column in chosen]
    known = frozenset(present)
    missing = [name for name in names if name not in known]
    if missing:
        nearest = difflib.get_close_matches(missing[0], present, n=1)
        raise DataError(
            f"{path}: got no column {_some(missing)}, expected columns {_some(names)}",
            hint=f"did you mean {nearest[0]!r}?" if nearest else "",
        )
    if not reading.features:
        _check_chosen(path, names, reading.raw)
    return chosen


def _check_chosen(path: Path, names: Sequence[str], raw: TensorSpec) -> None:
    if len(set(names)) != len(names):
        raise DataError(f"{path}: got a column twice in {_some(names)}, expected each once")
    width = int(np.prod(raw.shape, dtype=np.int64))
    if len(names) != width:
        raise DataError(
            f"{path}: got {len(names)} columns ({_some(names)}), expected {width} for the input's shape "
            f"{list(raw.shape)}",
            hint="name the input's columns, in order, with --columns A,B,...",
        )
    if all(_is_number(name) for name in names):
        raise DataError(f"{path}: got only numbers in the first line, expected the names of the columns")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return f"{shown}, and {len(names) - 8} more" if len(names) > 8 else shown
