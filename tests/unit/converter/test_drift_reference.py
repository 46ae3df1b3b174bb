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
from fleet_contract.errors import ContractError
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


def test_what_was_never_seen_falls_into_bins_of_its_own() -> None:
    """Also with an outlier far off, no held-out frame shares a bin with values beyond the held-out extremes."""
    inputs_B = np.random.default_rng(8).normal(size=(400, 30)).astype(np.float32)
    inputs_B[7] += 60.0
    made = build_profile(inputs_B, np.full((400, 2), 0.5, np.float32), np.zeros(400, np.int64))
    found = next(each for each in made.histograms if each.signal == "input_mean")
    means_B = inputs_B.mean(1)
    assert (found.shares[0], found.shares[-1]) == (0.0, 0.0)
    assert found.edges[0] <= means_B.min()
    assert means_B.max() < found.edges[-1]


def test_outputs_that_are_no_probabilities_still_fit() -> None:
    """A regressor's signals lie inside the edges, and every frame is counted."""
    outputs_BK = np.random.default_rng(9).normal(size=(200, 40)).astype(np.float32) * 5
    made = build_profile(np.zeros((200, 3), np.float32), outputs_BK, None)
    assert decode(encode(made), ReferenceProfile) == made
    assert all(sum(each.shares) == pytest.approx(1.0) for each in made.histograms)


def test_without_labels_confidence_stands_for_accuracy() -> None:
    """Each bin has its middle."""
    scores_BK = np.random.default_rng(6).dirichlet((0.4, 0.4, 0.4), 300).astype(np.float32)
    made = build_profile(np.zeros((300, 5), np.float32), scores_BK, None)
    edges = next(each for each in made.histograms if each.signal == "confidence").edges
    assert made.accuracy_by_confidence[1:-1] == pytest.approx([(low + high) / 2 for low, high in pairwise(edges)])


@pytest.mark.parametrize(("inputs", "labels"), [(199, 200), (200, 199), (0, 0)])
def test_rows_that_do_not_belong_together_are_refused(inputs: int, labels: int) -> None:
    """A profile of some of the rows would shift every baseline."""
    scores_BK = np.full((200 if inputs else 0, 2), 0.5, np.float32)
    with pytest.raises(ContractError, match="every held-out row"):
        build_profile(np.zeros((inputs, 3), np.float32), scores_BK, np.zeros(labels, np.int64))
