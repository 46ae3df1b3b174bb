"""A portion to a chunk: decode, preprocess, quantize, run, dequantize, with the code that devices run.

Rows run one at a time, as released files have a batch of one; so a score depends on its row alone.
Legend: B rows of the portion, G good ones of them, K scores.
"""

from __future__ import annotations

from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from converter.predict.chunk import Chunk
from converter.predict.decoding import decode_portion, value_name
from converter.predict.missing import needed_place
from converter.predict.portions import BadRow
from converter.process.runtimes import open_session
from fleet_contract.errors import ModelError
from fleet_contract.preprocessing import apply
from fleet_contract.tensors import dequantize, quantize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.predict.decoding import Decoded
    from converter.predict.portions import ScoreJob, Span
    from converter.process.runtimes import Session
    from fleet_contract.tensors import TensorSpec

NO_INPUT = "got no finite value after preprocessing, expected finite numbers"
NO_VALUE = "got nothing, expected a number, for the preprocessing fills none in"
NO_SCORE = "the model gave a score that is not finite"


class Scorer:
    """A release's preprocessing around one loaded variant. For child processes only; not for two threads at once."""

    def __init__(self, job: ScoreJob, session: Session) -> None:
        for side, found, expected in (("input", session.input, job.input), ("output", session.output, job.output)):
            if not _agree(found, expected):
                raise ModelError(
                    f"{side} of {job.variant}: got {_words(found)}, expected {_words(expected)}",
                    hint="the file does not belong to this manifest: build the release again",
                )
        self._job = job
        self._session = session

    def score(self, span: Span, payload: bytes) -> Chunk:
        """The chunk of a portion.

        Raises:
            ContractError: the portion does not hold the rows of its span.
            ModelError: the runtime fails.
        """
        decoded = decode_portion(self._job.form, self._job.raw, span, payload)
        scores_BK = np.full((span.count, *self._job.output.shape), np.nan, np.float32)
        bad = list(decoded.bad)
        if len(decoded.raw_G):
            input_G = apply(self._job.preprocessing, decoded.raw_G)
            fit_G = _finite(input_G)
            bad += [self._unfit(span, decoded, row) for row in np.flatnonzero(~fit_G).tolist()]
            scores_BK[decoded.places_G[fit_G]] = self._run(input_G[fit_G])
        given_B = _finite(scores_BK)
        unnamed = set(np.flatnonzero(~given_B).tolist()) - {each.row - span.start for each in bad}
        bad += _named(span, np.array(sorted(unnamed), np.intp), NO_SCORE)
        scores_BK[~given_B] = np.nan
        return Chunk(scores_BK, tuple(sorted(bad, key=lambda each: each.row)), decoded.keys)

    def _unfit(self, span: Span, decoded: Decoded, row: int) -> BadRow:
        """Why a good row of the data has no finite input: for a value that is missing, if that is why."""
        place = needed_place(decoded.raw_G[row], self._job.preprocessing)
        column, words = ("", NO_INPUT) if place is None else (value_name(self._job.form, place), NO_VALUE)
        return BadRow(row=span.start + int(decoded.places_G[row]), column=column, words=words)

    def _run(self, input_G: NDArray[np.float32]) -> NDArray[np.float32]:
        output = self._job.output
        if not len(input_G):
            return np.zeros((0, *output.shape), np.float32)
        stored_GK = self._session.run_rows(quantize(input_G, self._job.input))
        if stored_GK.shape != (len(input_G), *output.shape):
            raise ModelError(
                f"output of {self._job.variant}: got shape {list(stored_GK.shape)}, "
                f"expected {[len(input_G), *output.shape]}"
            )
        return dequantize(stored_GK, output)


def open_scorer(job: ScoreJob) -> Scorer:
    """The scorer of `job`, its model loaded.

    Raises:
        ModelError: the runtime cannot load the file, or it is not the manifest's.
        MissingExtraError: the runtime is not installed.
    """
    return Scorer(job, open_session(job.runtime, Path(job.artifact)))


def _finite(values_B: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(values_B).reshape(len(values_B), -1).all(axis=1), np.bool_)


def _named(span: Span, places: NDArray[np.intp], words: str) -> list[BadRow]:
    return [BadRow(row=span.start + place, column="", words=words) for place in places.tolist()]


def _agree(found: TensorSpec, expected: TensorSpec) -> bool:
    """Whether a file's tensor is the manifest's; names are only labels, and an ONNX file does not tell its scale."""
    if (found.dtype, found.shape) != (expected.dtype, expected.shape):
        return False
    if not found.quantized:
        return True
    same_scale = isclose(found.scale, expected.scale, rel_tol=1e-6)
    return same_scale and found.zero_point == expected.zero_point


def _words(spec: TensorSpec) -> str:
    scale = f", scale {spec.scale:.9g}, zero point {spec.zero_point}" if spec.quantized else ""
    return f"{spec.dtype} of shape {['B', *spec.shape]}{scale}"
