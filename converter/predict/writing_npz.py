"""An NPZ whose arrays are streamed one after the other, so that none is ever held whole; it is read by `numpy.load`.

row or file   (B,)     label  (B,) strings, confidence (B,) float32: where the release has labels
scores        (B, K)   where they are asked for, or are the result
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from converter.predict.results import CONFIDENCE, LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.predict.results import Columns, Layout

_DATE: Final = (1980, 1, 1, 0, 0, 0)


class NpzWriter:
    """See `Writer`; an array comes after the other, so all but their sizes is written at the end.

    `chunks` is called once for each array.
    """

    def __init__(self, path: Path, layout: Layout, chunks: Callable[[], Iterable[Columns]]) -> None:
        self._path, self._layout, self._chunks = path, layout, chunks
        self._count = 0
        self._key_dtype: np.dtype[Any] = np.dtype(np.int64)

    def add(self, columns: Columns) -> None:
        """See `Writer.add`."""
        dtype = columns.key_B.dtype
        self._key_dtype = np.promote_types(self._key_dtype, dtype) if self._count else dtype
        self._count += len(columns.key_B)

    def finish(self) -> None:
        """See `Writer.finish`."""
        with zipfile.ZipFile(self._path, "w", zipfile.ZIP_STORED) as archive:
            for name, dtype, shape, part in _members(self._layout, self._key_dtype):
                info = zipfile.ZipInfo(f"{name}.npy", _DATE)
                with archive.open(info, "w", force_zip64=True) as member:
                    member.write(_head(dtype, (self._count, *shape)))
                    for columns in self._chunks():
                        member.write(np.ascontiguousarray(part(columns), dtype).tobytes())

    def close(self) -> None:
        """See `Writer.close`; nothing stays open."""


def _members(layout: Layout, key_dtype: np.dtype[Any]) -> list[tuple[str, np.dtype[Any], tuple[int, ...], Any]]:
    """Name, type, shape of a row, and how to take it from a chunk."""
    members: list[tuple[str, np.dtype[Any], tuple[int, ...], Any]] = [
        (layout.key, key_dtype, (), lambda columns: columns.key_B)
    ]
    if layout.labels:
        names = np.array([*layout.labels, ""])
        members += [
            (LABEL, names.dtype, (), lambda columns: names[np.where(columns.absent_B, -1, columns.label_B)]),
            (CONFIDENCE, np.dtype(np.float32), (), lambda columns: _with_nan(columns.confidence_B, columns)),
        ]
    if layout.score_names:
        members.append(
            ("scores", np.dtype(np.float32), (layout.scores,), lambda columns: _with_nan(columns.scores_BK, columns))
        )
    return members


def _with_nan(values_B: NDArray[np.float32], columns: Columns) -> NDArray[np.float32]:
    absent = columns.absent_B.reshape(-1, *(1,) * (values_B.ndim - 1))
    return np.where(absent, np.float32(np.nan), values_B)


def _head(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue()
