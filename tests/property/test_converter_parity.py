"""Parity, intervals, gates and the front on whatever figures come."""

from __future__ import annotations

from math import isfinite

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from converter.golden import golden_rows
from converter.proof.gates import at_least, at_most
from converter.proof.intervals import drop_at_most, share_at_least
from converter.proof.pareto import Point, beats, standings
from converter.proof.parity import compare

Scores = NDArray[np.float32]
SCORES = arrays(np.float32, (24, 3), elements=st.floats(0, 1, width=32))
COSTS = st.fixed_dictionaries({name: st.floats(0, 9) | st.just(float("nan")) for name in ("loss", "size", "latency")})


@st.composite
def differences(draw: st.DrawFn) -> tuple[int, int, int]:
    """Rows lost, rows gained, rows in all."""
    count = draw(st.integers(1, 5000))
    lost = draw(st.integers(0, count))
    return lost, draw(st.integers(0, count - lost)), count


@given(differences())
def test_the_bound_of_a_drop_is_above_the_drop_and_below_one(rows: tuple[int, int, int]) -> None:
    """It encloses the estimate, whatever the counts."""
    lost, gained, count = rows
    assert (lost - gained) / count <= drop_at_most(lost, gained, count) <= 1.0


@given(differences())
def test_more_rows_of_the_same_kind_tighten_the_bound(rows: tuple[int, int, int]) -> None:
    """Ten times the evidence never widens it."""
    lost, gained, count = rows
    assert drop_at_most(10 * lost, 10 * gained, 10 * count) <= drop_at_most(lost, gained, count) + 1e-9


@given(differences())
def test_losing_one_row_more_never_lowers_the_bound(rows: tuple[int, int, int]) -> None:
    """The bound is monotone in what is lost."""
    lost, gained, count = rows
    if lost + gained < count:
        assert drop_at_most(lost + 1, gained, count) >= drop_at_most(lost, gained, count) - 1e-9


@given(st.integers(1, 5000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_the_bound_of_a_share_is_below_it(rows: tuple[int, int]) -> None:
    """It is a share itself."""
    assert 0.0 <= share_at_least(*rows) <= rows[0] / rows[1]


@settings(max_examples=40)
@given(scores_BK=SCORES, reference_BK=SCORES, labels_B=arrays(np.int64, 24, elements=st.integers(0, 2)))
def test_figures_stay_in_their_ranges(scores_BK: Scores, reference_BK: Scores, labels_B: NDArray[np.int64]) -> None:
    """Shares are shares, bounds are on their side, nothing is NaN, and the worst slice lost no less than any other."""
    slices = {"even": np.arange(24) % 2 == 0, "late": np.arange(24) >= 16}
    found = compare(scores_BK, reference_BK, labels_B, slices)
    assert found.agreement is not None
    assert found.accuracy is not None
    assert found.accuracy.worst_slice is not None
    assert 0.0 <= found.agreement.bound <= found.agreement.share <= 1.0
    assert 0.0 <= found.accuracy.low <= found.accuracy.share <= found.accuracy.high <= 1.0
    assert found.accuracy.drop.drop <= found.accuracy.drop.bound
    assert all(each.drop <= found.accuracy.worst_slice.drop for each in found.accuracy.slices)
    assert isfinite(found.sqnr_db)
    assert 0.0 <= found.mean_abs_error <= found.max_abs_error


@settings(max_examples=40)
@given(reference_BK=SCORES, labels_B=arrays(np.int64, 24, elements=st.integers(0, 2)))
def test_a_variant_that_is_the_float_model_loses_nothing(reference_BK: Scores, labels_B: NDArray[np.int64]) -> None:
    """Whatever the scores, also with ties."""
    found = compare(reference_BK.copy(), reference_BK, labels_B, {})
    assert found.agreement is not None
    assert found.accuracy is not None
    assert (found.agreement.share, found.accuracy.drop.drop, found.max_abs_error) == (1.0, 0.0, 0.0)


@given(st.floats(), st.floats())
def test_a_gate_passes_only_on_finite_numbers_in_order(measured: float, threshold: float) -> None:
    """NaN and infinity never pass, on either side."""
    finite = isfinite(measured) and isfinite(threshold)
    assert at_least("a", measured, threshold).passed is (finite and measured >= threshold)
    assert at_most("b", measured, threshold).passed is (finite and measured <= threshold)


@given(st.lists(COSTS, min_size=1, max_size=8))
def test_there_is_always_a_front_and_it_beats_the_rest(costs: list[dict[str, float]]) -> None:
    """Something is never beaten, and whatever is beaten is beaten by something on the front."""
    points = [Point(str(index), "tflite", each) for index, each in enumerate(costs)]
    found = standings(points)
    front = {name for name, standing in found.items() if standing.front}
    assert front
    assert all(standing.front or front & set(standing.beaten_by) for standing in found.values())


@given(COSTS, COSTS, COSTS)
def test_beating_is_an_order(first: dict[str, float], second: dict[str, float], third: dict[str, float]) -> None:
    """Nothing beats itself or what beats it, and beating carries on."""
    assert not beats(first, first)
    assert not (beats(first, second) and beats(second, first))
    if beats(first, second) and beats(second, third):
        assert beats(first, third)


@settings(max_examples=40)
@given(
    inputs_B=arrays(np.float32, (90, 4), elements=st.floats(-5, 5, width=32)),
    reference_BK=arrays(np.float32, (90, 3), elements=st.floats(0, 1, width=32)),
    labels_B=arrays(np.int64, 90, elements=st.integers(0, 2)),
)
def test_golden_rows_are_distinct_rows_and_enough(
    inputs_B: NDArray[np.float32], reference_BK: Scores, labels_B: NDArray[np.int64]
) -> None:
    """At least 64 of the rows, ascending, every class among them, also where everything is the same."""
    rows = golden_rows(inputs_B, reference_BK, labels_B, {}).tolist()
    assert rows == sorted(set(rows))
    assert 64 <= len(rows) <= 90
    assert set(labels_B[rows].tolist()) == set(labels_B.tolist())
