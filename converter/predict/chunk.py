"""A chunk: what scoring one portion gave, as the bytes of an NPZ that depend on nothing else.

    scores       (B, K) float32; NaN in the rows that have none
    keys         (B,) file names, only where rows have names
    bad_rows     (M,) int64, rows of the data without a prediction, ascending
    bad_columns  (M,) the columns at fault
    bad_words    (M,) why
Legend: B rows of the chunk, K scores, M rows without a prediction.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from converter.archive import encode_npz
from converter.predict.portions import BadRow
from fleet_contract.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from converter.predict.portions import Span


@dataclass(frozen=True, slots=True)
class Chunk:
    """Scores of consecutive rows. `keys` is None where rows are known by their number."""

    scores_BK: NDArray[np.float32]
    bad: tuple[BadRow, ...]
    keys: tuple[str, ...] | None = None

    def bad_mask(self, start: int) -> NDArray[np.bool_]:
        """Which rows (B) have no prediction, when the first is row `start` of the data."""
        mask_B = np.zeros(len(self.scores_BK), np.bool_)
        mask_B[[bad.row - start for bad in self.bad]] = True
        return mask_B


def encode_chunk(chunk: Chunk) -> bytes:
    """The chunk as bytes; equal chunks give equal bytes."""
    arrays: dict[str, NDArray[np.generic]] = {
        "scores": chunk.scores_BK,
        "bad_rows": np.array([bad.row for bad in chunk.bad], np.int64),
        "bad_columns": _text([bad.column for bad in chunk.bad]),
        "bad_words": _text([bad.words for bad in chunk.bad]),
    }
    if chunk.keys is not None:
        arrays["keys"] = _text(chunk.keys)
    return encode_npz(arrays)


def decode_chunk(data: bytes, span: Span, scores: int) -> Chunk:
    """The chunk in `data`, read with distrust: it comes from a process that ran a model.

    Args:
        data: what `encode_chunk` gave.
        span: the rows that it must be of.
        scores: how many scores a row must have.

    Raises:
        ContractError: it is malformed or of other rows.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        chunk = _chunk(arrays)
    except (ValueError, OSError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ContractError(f"chunk of {span}: got bytes that are no chunk: {error}") from error
    _check(chunk, span, scores)
    return chunk


def _chunk(arrays: dict[str, NDArray[np.generic]]) -> Chunk:
    reasons = zip(*(arrays[name].tolist() for name in ("bad_rows", "bad_columns", "bad_words")), strict=True)
    keys = arrays.get("keys")
    return Chunk(
        scores_BK=np.asarray(arrays["scores"], np.float32),
        bad=tuple(BadRow(row=int(row), column=str(column), words=str(words)) for row, column, words in reasons),
        keys=None if keys is None else tuple(str(key) for key in keys.tolist()),
    )


def _check(chunk: Chunk, span: Span, scores: int) -> None:
    if chunk.scores_BK.shape != (span.count, scores):
        raise ContractError.mismatch(
            f"chunk of {span}: scores", got=list(chunk.scores_BK.shape), expected=f"shape {[span.count, scores]}"
        )
    if chunk.keys is not None and len(chunk.keys) != span.count:
        raise ContractError.mismatch(f"chunk of {span}: names", got=len(chunk.keys), expected=span.count)
    outside = [bad.row for bad in chunk.bad if not span.start <= bad.row < span.start + span.count]
    if outside:
        raise ContractError.mismatch(f"chunk of {span}: a bad row", got=outside[0], expected="one of its rows")
    finite_B = np.isfinite(chunk.scores_BK).all(axis=1)
    if (finite_B == chunk.bad_mask(span.start)).any():
        raise ContractError(f"chunk of {span}: rows without finite scores are not those that it names")


def _text(values: Sequence[str]) -> NDArray[np.str_]:
    return np.array(list(values), dtype=np.str_)
