"""The reference profile: edges that always fit, figures that add up."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from converter.drift_reference import build_profile, inner_edges
from fleet_contract.codec import decode, encode
from fleet_contract.reference_profile import ReferenceProfile
from fleet_contract.signals import HISTOGRAM_BINS, signal_names


def profile(class_count: int = 3, rows: int = 200) -> ReferenceProfile:
    """A profile of random inputs and confident scores."""
    rng = np.random.default_rng(5)
    logits_BK = rng.normal(size=(rows, class_count)) * 8
    scores_BK = (np.exp(logits_BK) / np.exp(logits_BK).sum(1, keepdims=True)).astype(np.float32)
    labels_B = np.where(rng.random(rows) < 0.9, scores_BK.argmax(1), 0)
    return build_profile(rng.normal(size=(rows, 4, 4)).astype(np.float32), scores_BK, labels_B)


def test_the_profile_survives_the_wire() -> None:
    """It has every signal, three histograms of 32 bins, and decodes to itself."""
    made = profile()
    assert decode(encode(made), ReferenceProfile) == made
    assert tuple(signal.name for signal in made.signals) == signal_names(3)
    assert {histogram.signal for histogram in made.histograms} == {"confidence", "entropy", "input_mean"}


def test_shares_add_up_to_one() -> None:
    """Each histogram holds every frame, and so do the classes."""
    made = profile()
    for histogram in made.histograms:
        assert len(histogram.shares) == HISTOGRAM_BINS
        assert sum(histogram.shares) == pytest.approx(1.0)
    assert sum(made.class_shares) == pytest.approx(1.0)


def test_accuracy_by_confidence_gives_back_the_accuracy() -> None:
    """Weighted by the shares of the confidence bins, it is the accuracy on the held-out set."""
    rng = np.random.default_rng(6)
    scores_BK = rng.dirichlet((0.4, 0.4, 0.4), 300).astype(np.float32)
    labels_B = rng.integers(0, 3, 300)
    made = build_profile(rng.random((300, 5), np.float32), scores_BK, labels_B)
    confidence = next(each for each in made.histograms if each.signal == "confidence")
    estimate = np.dot(confidence.shares, made.accuracy_by_confidence)
    assert estimate == pytest.approx((scores_BK.argmax(1) == labels_B).mean())
    assert all(0.0 <= value <= 1.0 for value in made.accuracy_by_confidence)


@given(
    values_B=arrays(np.float64, st.integers(1, 60), elements=st.floats(-50, 50, width=32)),
    width=st.floats(0.1, 20.0),
)
def test_edges_ascend_strictly_whatever_the_data(values_B: np.ndarray, width: float) -> None:
    """Constant, tied or few values still give 31 distinct edges inside the limits."""
    low, high = float(values_B.min()) - width, float(values_B.max()) + width
    edges = inner_edges(values_B, low, high)
    assert len(edges) == HISTOGRAM_BINS - 1
    assert all(first < second for first, second in pairwise(edges))
    assert low <= edges[0]
    assert edges[-1] <= high


def test_a_model_that_is_always_sure_has_edges_below_certainty() -> None:
    """Confidence of exactly 1 everywhere leaves edges where doubt would show."""
    edges = inner_edges(np.ones(100), 0.1, 1.0)
    assert max(edges) < 1.0
    assert min(edges) < 0.2
