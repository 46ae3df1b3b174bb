"""The search: what it chooses, what it spends, and that it can be interrupted."""

from __future__ import annotations

import numpy as np
import pytest

from converter.plan import Plan
from converter.recipe import Ranges
from converter.search import Goal, Search, SearchTrial, calibration_plans
from fleet_contract.errors import ModelError
from tests.fakes.converter_quantizer import FakeQuantizer

ROWS = np.random.default_rng(1).standard_normal((200, 10)).astype(np.float32)
NOISE = {"a": 0.001, "b": 0.5, "c": 0.001, "d": 0.4, "e": 0.001}


FULL_SEARCH = 9
"""Plans that a rescue of NOISE takes when nobody stops it."""


def search(quantizer: FakeQuantizer, goal: Goal | None = None, **options: object) -> tuple[Search, list[SearchTrial]]:
    """A search, and the list to which it records."""
    trials: list[SearchTrial] = []
    return Search(quantizer, ROWS, goal or Goal(), record=trials.append, **options), trials  # type: ignore[arg-type]


def test_the_nearest_calibration_wins() -> None:
    """Of all ways to choose ranges the one nearest to the float model is taken, and every one is recorded."""
    quantizer = FakeQuantizer({"a": 0.01}, ranges_noise={Ranges.MINMAX: 0.3, Ranges.MSE: 0.1})
    tried, trials = search(quantizer)
    found = tried.calibration(calibration_plans(Plan(), {"ranges": (Ranges.MINMAX, Ranges.MSE), "bias": (False, True)}))
    assert (found.plan.ranges, found.plan.bias, found.complete) == (Ranges.MSE, False, True)
    assert len(trials) == 4


def test_a_gain_within_noise_does_not_displace_the_plainer_plan() -> None:
    """Equal plans leave the first, which is the plainest."""
    tried, _ = search(FakeQuantizer({"a": 0.01}))
    assert tried.calibration(calibration_plans(Plan(), {"bias": (False, True)})).plan == Plan()


def test_only_the_layers_that_cost_stay_in_float() -> None:
    """The two layers that spoil the output are found; the others stay in int8."""
    tried, _ = search(FakeQuantizer(NOISE), Goal(min_sqnr_db=40.0))
    found = tried.rescue(Plan())
    assert found.plan.float_layers == ("b", "d")
    assert found.holds
    assert found.complete


def test_a_layer_that_is_no_longer_needed_goes_back_to_int8() -> None:
    """Pruning takes back what greed added too early: alone both cost, together one suffices."""
    tried, trials = search(FakeQuantizer({"a": 0.30, "b": 0.29, "c": 0.28}), Goal(min_sqnr_db=10.0))
    found = tried.rescue(Plan())
    assert found.holds
    assert len(found.plan.float_layers) < 3
    fewest = [trial for trial in trials if trial.step in {"rescue", "prune"} and trial.sqnr_db >= 10.0]
    assert min(len(trial.plan.float_layers) for trial in fewest) == len(found.plan.float_layers)


def test_layers_that_would_break_the_size_stay_in_int8() -> None:
    """Of two layers that cost, only the second fits the budget in float; it is taken, and what is missing told."""
    quantizer = FakeQuantizer({"large": 0.9, "small": 0.8}, weights={"large": 10})
    tried, _ = search(quantizer, Goal(min_sqnr_db=40.0, max_size_bytes=20_000))
    found = tried.rescue(Plan())
    assert found.plan.float_layers == ("small",)
    assert not found.holds
    assert found.trial.size_bytes <= 20_000


def test_a_goal_that_nothing_reaches_is_told() -> None:
    """The best that was seen is returned, and that it does not hold."""
    tried, _ = search(FakeQuantizer(NOISE, ranges_noise={Ranges.MINMAX: 1.0}), Goal(min_sqnr_db=60.0))
    found = tried.rescue(Plan())
    assert not found.holds
    assert found.trial.sqnr_db < 60.0


def test_a_layer_that_cannot_stay_in_float_is_passed_over() -> None:
    """A plan that the tool refuses is recorded with its reason, and the search goes on."""
    tried, trials = search(FakeQuantizer(NOISE, refused="b"), Goal(min_sqnr_db=40.0))
    found = tried.rescue(Plan())
    assert "b" not in found.plan.float_layers
    assert any("cannot be left in float" in trial.error for trial in trials)


def test_int4_goes_where_it_costs_least() -> None:
    """Layers take int4 while the goal holds; the one that would break it stays in int8."""
    quantizer = FakeQuantizer({"a": 0.001, "b": 0.02, "c": 0.2}, int4=("a", "b", "c"))
    tried, _ = search(quantizer, Goal(min_sqnr_db=12.0))
    found = tried.int4(Plan())
    assert found.plan.int4_layers == ("a", "b")


def test_what_is_on_record_is_not_tried_again() -> None:
    """A second search with the first one's trials quantizes nothing and finds the same."""
    first, trials = search(FakeQuantizer(NOISE), Goal(min_sqnr_db=40.0))
    found = first.rescue(Plan())
    quantizer = FakeQuantizer(NOISE)
    second, again = search(quantizer, Goal(min_sqnr_db=40.0), known=trials)
    assert second.rescue(Plan()) == found
    assert (quantizer.quantized, again) == ([], [])


@pytest.mark.parametrize("spent", range(1, 12))
def test_when_time_is_up_the_best_so_far_stands(spent: int) -> None:
    """Wherever the clock stops it, the search ends in a plan that was tried."""
    quantizer = FakeQuantizer(NOISE)
    tried, trials = search(quantizer, Goal(min_sqnr_db=40.0), time_is_up=lambda: len(quantizer.quantized) >= spent)
    found = tried.rescue(Plan())
    assert found.trial in trials
    assert found.complete is (spent >= FULL_SEARCH)


def test_no_plan_that_works_is_an_error_with_every_reason() -> None:
    """A model that cannot be quantized at all says why."""
    tried, _ = search(FakeQuantizer(NOISE, refused="b"))
    with pytest.raises(ModelError, match="layer b cannot"):
        tried.calibration([Plan(float_layers=("b",))])


@pytest.mark.parametrize(
    ("agreement", "rows", "holds"), [(0.99, 1000, True), (0.971, 100, False), (0.971, 10**6, True), (1.0, 20, False)]
)
def test_the_goal_leaves_room_for_chance(agreement: float, rows: int, holds: bool) -> None:  # noqa: FBT001  a table
    """Few rows near the threshold are not enough: one standard error must be to spare."""
    trial = SearchTrial(step="rescue", plan=Plan(), sqnr_db=30.0, top1_agreement=agreement)
    assert Goal(min_top1_agreement=0.97).held_by(trial, rows) is holds
