"""The engine composes preprocessing, quantization and the model, and lets nothing through that is not finite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from device_agent.host.engine import NonFiniteError
from fleet_contract.errors import ContractError
from fleet_contract.preprocessing import StandardizeEach
from tests.fakes.host_releases import digits, make_release
from tests.fakes.host_session import function_engine

if TYPE_CHECKING:
    from pathlib import Path

    from device_agent.host.hosted import HostedRelease


@pytest.fixture
def release(tmp_path: Path) -> HostedRelease:
    """A release with an int8 variant."""
    return make_release(tmp_path, "tflite-int8")


def test_the_model_gets_preprocessed_and_quantized_values(release: HostedRelease) -> None:
    """What reaches the model is scale, zero point and saturation applied to the preprocessed input."""
    engine, session = function_engine(release, lambda input_B: np.zeros((len(input_B), 10), np.int8))
    raw_B = digits().inputs[:2]
    engine.infer(raw_B)
    spec = release.variant.input
    expected = np.clip(np.rint(raw_B / 16.0 / spec.scale) + spec.zero_point, -128, 127)
    assert session.seen[0].dtype == np.int8
    assert np.array_equal(session.seen[0], expected)


def test_scores_are_dequantized(release: HostedRelease) -> None:
    """A stored output of the zero point is the score 0."""
    zero = release.variant.output.zero_point
    engine, _ = function_engine(release, lambda input_B: np.full((len(input_B), 10), zero, np.int8))
    assert engine.infer(digits().inputs[:3]).scores.tolist() == [[0.0] * 10] * 3


def test_a_score_that_is_not_finite_names_its_rows(tmp_path: Path) -> None:
    """A NaN score is refused with the places of the rows that have one."""

    def model(input_B: np.ndarray) -> np.ndarray:
        scores_BK = np.full((len(input_B), 10), 0.1, np.float32)
        scores_BK[1, 4] = np.nan
        return scores_BK

    engine, _ = function_engine(make_release(tmp_path), model)
    with pytest.raises(NonFiniteError, match="scores of row 1") as caught:
        engine.infer(digits().inputs[:3])
    assert caught.value.rows == [1]


def test_an_input_without_finite_preprocessing_never_reaches_the_model(tmp_path: Path) -> None:
    """A constant image under per-sample standardization is refused before the model runs."""
    release = make_release(tmp_path, preprocessing=(StandardizeEach(epsilon=0.0),))
    engine, session = function_engine(release, lambda input_B: np.zeros((len(input_B), 10), np.float32))
    with pytest.raises(NonFiniteError, match="preprocessed input of row 0"):
        engine.infer(np.zeros((1, 8, 8, 1), np.uint8))
    assert session.seen == []


@pytest.mark.parametrize("shape", [(8, 8, 1), (1, 8, 8), (0, 8, 8, 1), (1, 1, 8, 8)])
def test_another_shape_is_refused(release: HostedRelease, shape: tuple[int, ...]) -> None:
    """Only batches of the manifest's shape are taken."""
    engine, _ = function_engine(release, lambda input_B: np.zeros((len(input_B), 10), np.int8))
    with pytest.raises(ContractError, match="tensor image"):
        engine.infer(np.zeros(shape, np.uint8))
