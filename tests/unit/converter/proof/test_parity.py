"""Parity: the figures on scores whose answers are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from converter.proof.intervals import drop_at_most
from converter.proof.parity import (
    MAX_SQNR_DB,
    MIN_SLICE_ROWS,
    Accuracy,
    Parity,
    agreement,
    compare,
    constant,
    slices_of,
)
from fleet_contract.errors import ContractError

REFERENCE_BK = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], np.float32)
LABELS_B = np.array([0, 1, 0, 1])


def accuracy_of(parity: Parity) -> Accuracy:
    """The accuracy, which must be there."""
    assert parity.accuracy is not None
    return parity.accuracy


def test_the_float_model_itself_is_without_error() -> None:
    """Identical scores agree everywhere and have the highest SQNR that is told."""
    parity = compare(REFERENCE_BK, REFERENCE_BK, LABELS_B, {})
    assert parity.agreement is not None
    assert (parity.agreement.share, accuracy_of(parity).share, accuracy_of(parity).drop.drop) == (1.0, 1.0, 0.0)
    assert (parity.max_abs_error, parity.sqnr_db) == (0.0, MAX_SQNR_DB)


def test_one_row_of_four_that_flips_costs_a_quarter() -> None:
    """Accuracy, drop and agreement count rows."""
    scores_BK = REFERENCE_BK.copy()
    scores_BK[2] = (0.4, 0.6)
    parity = compare(scores_BK, REFERENCE_BK, LABELS_B, {})
    found = accuracy_of(parity)
    assert parity.agreement is not None
    assert (found.share, found.drop.drop, parity.agreement.share) == (0.75, 0.25, 0.75)
    assert parity.max_abs_error == pytest.approx(0.2)
    assert parity.mean_abs_error == pytest.approx(0.05)


def test_a_row_lost_and_one_gained_cancel_but_widen_the_bound() -> None:
    """The drop is nothing, its bound knows that two rows changed."""
    reference_BK = np.tile(REFERENCE_BK, (100, 1))
    labels_B = np.tile(LABELS_B, 100)
    labels_B[2] = 1
    scores_BK = reference_BK.copy()
    scores_BK[[2, 6]] = (0.4, 0.6)
    found = accuracy_of(compare(scores_BK, reference_BK, labels_B, {})).drop
    assert found.drop == 0.0
    assert found.bound == drop_at_most(1, 1, 400)
    assert found.bound > drop_at_most(0, 0, 400)


def test_intervals_enclose_the_estimates() -> None:
    """Accuracy lies in its interval, agreement above its bound."""
    parity = compare(REFERENCE_BK, REFERENCE_BK, LABELS_B, {})
    assert parity.agreement is not None
    assert accuracy_of(parity).low < accuracy_of(parity).share <= accuracy_of(parity).high
    assert parity.agreement.bound < parity.agreement.share


def test_sqnr_is_power_over_noise_in_decibel() -> None:
    """An error of one hundredth of every score is 40 dB."""
    assert compare(REFERENCE_BK * np.float32(1.01), REFERENCE_BK, LABELS_B, {}).sqnr_db == pytest.approx(40.0, abs=0.01)


def test_a_tie_of_the_float_model_is_no_disagreement() -> None:
    """Where the float model holds two classes to be equal, either is right."""
    tied_BK = np.array([[0.5, 0.5]], np.float32)
    assert agreement(np.array([[0.4, 0.6]], np.float32), tied_BK) == 1.0
    assert agreement(np.array([[0.4, 0.6]], np.float32), np.array([[0.51, 0.49]], np.float32)) == 0.0


def test_a_lost_slice_shows_though_the_mean_is_fine() -> None:
    """The worst slice is the one that lost most against the float model."""
    labels_B = np.zeros(1000, np.int64)
    reference_BK = np.tile(np.array([[0.9, 0.1]], np.float32), (1000, 1))
    scores_BK = reference_BK.copy()
    rare_B = np.arange(1000) < 20
    scores_BK[rare_B] = (0.1, 0.9)
    found = accuracy_of(compare(scores_BK, reference_BK, labels_B, {"rare": rare_B, "rest": ~rare_B}))
    assert found.drop.drop == pytest.approx(0.02)
    assert found.worst_slice is not None
    assert (found.worst_slice.name, found.worst_slice.sample_count, found.worst_slice.drop) == ("rare", 20, 1.0)


def test_without_labels_there_is_agreement_but_no_accuracy() -> None:
    """What nobody labelled cannot be right or wrong."""
    parity = compare(REFERENCE_BK, REFERENCE_BK, None, {})
    assert (parity.accuracy, parity.agreement is None) == (None, False)


def test_outputs_that_are_no_classes_have_neither() -> None:
    """A regressor's highest output means nothing; its error does."""
    parity = compare(REFERENCE_BK * np.float32(1.01), REFERENCE_BK, None, {}, classes=False)
    assert (parity.accuracy, parity.agreement) == (None, None)
    assert parity.sqnr_db == pytest.approx(40.0, abs=0.01)


def test_slices_are_those_of_the_data_and_the_classes_if_large_enough() -> None:
    """A slice of too few rows is left out, since one row would decide it."""
    labels_B = np.repeat([0, 1], [MIN_SLICE_ROWS, MIN_SLICE_ROWS - 1])
    names_B = np.where(np.arange(len(labels_B)) < 25, "night", "").astype(np.str_)
    slices = slices_of(labels_B, names_B, ("cat", "dog"))
    assert set(slices) == {"slice night", "class cat"}
    assert slices["slice night"].sum() == 25
    assert set(slices_of(None, names_B, ("cat", "dog"))) == {"slice night"}


@pytest.mark.parametrize("scores_BK", [REFERENCE_BK[:, :1], REFERENCE_BK[:0]])
def test_scores_of_another_shape_are_refused(scores_BK: np.ndarray) -> None:
    """A variant with another number of classes or rows cannot be compared."""
    with pytest.raises(ContractError, match="scores of the variant"):
        compare(scores_BK, REFERENCE_BK, LABELS_B, {})


def test_no_rows_cannot_be_compared() -> None:
    """Nothing held out shows nothing."""
    with pytest.raises(ContractError, match="scores of the variant"):
        compare(REFERENCE_BK[:0], REFERENCE_BK[:0], LABELS_B[:0], {})


def test_a_stuck_model_is_seen() -> None:
    """The same scores for every input are constant; one row that differs is enough not to be."""
    assert constant(np.tile(REFERENCE_BK[:1], (5, 1)))
    assert not constant(REFERENCE_BK)
