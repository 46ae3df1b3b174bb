"""NPY files and members of NPZ archives, read row by row in the order of the file, packed or not."""

from __future__ import annotations

import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

import numpy as np

from converter.predict.portions import ArrayForm, Portion, Position, Span
from converter.predict.sources.source import file_identity
from fleet_contract.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from converter.predict.sources.source import Reading
    from fleet_contract.tensors import TensorSpec

DEFAULT_MEMBER: Final = "inputs"


@dataclass(frozen=True, slots=True)
class _Head:
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    begin: int
    """Where the rows begin, in bytes."""

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize


class ArraySource:
    """See `Source`; a cursor is a row number."""

    key = "row"

    def __init__(self, path: Path, reading: Reading) -> None:
        self._path = path
        self._member = _member(path, reading.array) if path.suffix.lower() == ".npz" else ""
        self._what = f"{path}: {self._member.removesuffix('.npy')}" if self._member else str(path)
        with self._opened() as file:
            self._head = _read_head(file, self._what)
        self._check(reading.raw)
        self.total_rows: int = self._head.shape[0]
        self.form = ArrayForm(dtype=self._head.dtype.str, shape=self._head.shape[1:])

    def identity(self) -> str:
        """See `Source.identity`."""
        return file_identity(self._path)

    def portions(self, rows: int, begin: Position) -> Iterator[Portion]:
        """See `Source.portions`."""
        row_bytes = self._head.row_bytes
        with self._opened() as file:
            file.seek(self._head.begin + begin.row * row_bytes)
            starts = range(begin.row, self.total_rows, rows)
            for index, start in enumerate(starts, begin.index):
                span = Span(index=index, start=start, count=min(rows, self.total_rows - start))
                payload = file.read(span.count * row_bytes)
                if len(payload) != span.count * row_bytes:
                    whole = start + len(payload) // row_bytes
                    raise DataError(f"{self._what}: got {whole} whole rows, expected {self.total_rows}: truncated")
                end = start + span.count
                yield Portion(span, payload, end, end / self.total_rows)

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        try:
            if not self._member:
                with self._path.open("rb") as file:
                    yield file
                return
            with zipfile.ZipFile(self._path) as archive, archive.open(self._member) as member:
                yield member
        except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise DataError(f"{self._what}: cannot be read: {error}", hint="the file may be truncated") from error

    def _check(self, raw: TensorSpec) -> None:
        head, what = self._head, self._what
        if head.dtype.kind not in "biuf":
            raise DataError(f"{what}: got elements of type {head.dtype}, expected numbers")
        if head.shape[1:] != raw.shape:
            raise DataError(f"{what}: got shape {list(head.shape)}, expected {['rows', *raw.shape]}")
        if np.dtype(raw.dtype.value).kind in "iu" and head.dtype.kind == "f":
            raise DataError(f"{what}: got {head.dtype} elements, expected whole numbers as the input is {raw.dtype}")


def _member(path: Path, array: str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read as NPZ: {error}", hint="the file may be truncated") from error
    wanted = f"{array or DEFAULT_MEMBER}.npy"
    if wanted in names:
        return wanted
    if len(names) == 1 and not array:
        return names[0]
    arrays = ", ".join(name.removesuffix(".npy") for name in names) or "none"
    raise DataError(
        f"{path}: got arrays {arrays}, expected one named {wanted.removesuffix('.npy')!r}",
        hint="name the array with --array",
    )


def _read_head(file: IO[bytes], what: str) -> _Head:
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran_order, dtype = read(file)
    except ValueError as error:
        raise DataError(f"{what}: got no NPY array: {error}") from error
    if fortran_order and len(shape) > 1:
        raise DataError(
            f"{what}: got columns first, expected rows first", hint="write it with numpy.ascontiguousarray(array)"
        )
    if not shape or dtype.hasobject:
        raise DataError(f"{what}: got shape {list(shape)} of {dtype}, expected rows of numbers")
    return _Head(shape, dtype, file.tell())
