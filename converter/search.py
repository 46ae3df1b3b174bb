"""The search for the best static int8 plan of one model. Pure: the quantizer, the clock and the record are given.

1. Calibration: ranges x bias correction x number of rows; the plan whose output is nearest to the float model's wins.
2. Where that misses the goal and layers may stay in float: layers are ranked by what each one alone, quantized, costs;
   the worst go back to float one after the other, where the size allows, until the goal holds; then each is tried in
   int8 again, so that as few as possible stay in float.
3. Where int4 is wanted: the layers that can take it get it in the order of what each one costs, while the goal holds.

Every trial is judged on rows that neither calibrate nor gate, and is recorded; a plan that is on record is not tried
again, which is what makes an interrupted search go on where it stopped. When time is up the best plan so far stands.
Source: the order of steps follows docs/measurements.md, converter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from converter.plan import Plan
from converter.proof.intervals import wilson
from converter.proof.parity import agreement, sqnr_db
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from converter.plan import Quantizer

RANKING_ROWS: Final = 64
"""Rows on which single layers are ranked; the goal is always judged on all."""
MIN_GAIN_DB: Final = 0.1
"""A plan that is nearer by less than this does not displace the simpler one before it."""


class SearchTrial(Struct, frozen=True, kw_only=True):
    """One plan that was tried on the selection rows; `error` says why there are no figures."""

    step: str
    plan: Plan
    sqnr_db: float = 0.0
    top1_agreement: float = 0.0
    size_bytes: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a plan must reach on the selection rows, and how large its artifact may be; 0 asks for nothing."""

    min_top1_agreement: float = 0.0
    min_sqnr_db: float = 0.0
    max_size_bytes: int = 0

    def held_by(self, trial: SearchTrial, rows: int) -> bool:
        """Whether the trial reaches it, with one standard error (Wilson's) to spare where the figure is a share."""
        if trial.error or self.exceeded_by(trial):
            return False
        sure_share, _ = wilson(round(trial.top1_agreement * rows), rows, 1.0)
        return sure_share >= self.min_top1_agreement and trial.sqnr_db >= self.min_sqnr_db

    def exceeded_by(self, trial: SearchTrial) -> bool:
        """Whether the artifact is larger than it may be."""
        return bool(self.max_size_bytes) and trial.size_bytes > self.max_size_bytes


@dataclass(frozen=True, slots=True)
class Found:
    """Where the search ended. `complete` is False when time was up before it was done."""

    plan: Plan
    trial: SearchTrial
    holds: bool
    complete: bool


class Search:
    """The search over one quantizer. `record` is called with every new trial; `known` holds those of an earlier run."""

    def __init__(
        self,
        quantizer: Quantizer,
        selection_B: NDArray[np.float32],
        goal: Goal,
        *,
        record: Callable[[SearchTrial], None],
        known: Iterable[SearchTrial] = (),
        time_is_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self._quantizer = quantizer
        self._selection_B = selection_B
        self._reference_BK = quantizer.float_scores(selection_B)
        self._goal = goal
        self._record = record
        self._known: dict[tuple[Plan, bool], SearchTrial] = {}
        self._time_is_up = time_is_up
        for trial in known:
            self._known[trial.plan, trial.step == "rank"] = trial

    def calibration(self, plans: Sequence[Plan]) -> Found:
        """Step 1: the plan nearest to the float model; earlier plans win ties.

        Raises:
            ModelError: none of them could be built and run; the message has every reason.
        """
        best: SearchTrial | None = None
        trials = []
        for plan in plans:
            if best is not None and self._time_is_up():
                break
            trial = self._try("calibration", plan)
            trials.append(trial)
            if not trial.error and (best is None or trial.sqnr_db > best.sqnr_db + MIN_GAIN_DB):
                best = trial
        if best is None:
            raise ModelError("; ".join(dict.fromkeys(trial.error for trial in trials)) or "no plan was given")
        return self._found(best, complete=len(trials) == len(plans))

    def rescue(self, start: Plan) -> Found:
        """Step 2: `start` with the fewest layers in float for which the goal holds, as far as greed finds them."""
        best = self._try("rescue", start)
        if self._goal.held_by(best, len(self._selection_B)):
            return self._found(best, complete=True)
        ranked = self._rank(start, [layer.name for layer in self._quantizer.layers], _with_all_but_one_float)
        kept: list[str] = []
        for name in (name for name, _ in ranked):
            if self._time_is_up():
                return self._found(best, complete=False)
            kept.append(name)
            trial = self._try("rescue", _with_float(start, kept))
            if trial.error or self._goal.exceeded_by(trial):
                kept.remove(name)  # a smaller layer further down may still fit
                continue
            best = trial if _nearer(trial, best) else best
            if self._goal.held_by(trial, len(self._selection_B)):
                return self._prune(start, kept, trial)
        return self._found(best, complete=len(ranked) == len(self._quantizer.layers))

    def int4(self, start: Plan) -> Found:
        """Step 3: `start` with int4 weights in as many layers as the goal allows."""
        best = self._try("int4", start)
        ranked = self._rank(start, list(self._quantizer.int4_layers), _with_one_int4)
        chosen: list[str] = []
        for name in (name for name, _ in reversed(ranked)):
            if self._time_is_up():
                return self._found(best, complete=False)
            trial = self._try("int4", _with_int4(start, [*chosen, name]))
            if self._goal.held_by(trial, len(self._selection_B)) and trial.size_bytes < best.size_bytes:
                chosen.append(name)
                best = trial
        return self._found(best, complete=len(ranked) == len(self._quantizer.int4_layers))

    def _prune(self, start: Plan, kept: list[str], best: SearchTrial) -> Found:
        """Tries each kept layer in int8 again, the least sensitive first."""
        for name in list(reversed(kept))[1:]:
            if self._time_is_up():
                return self._found(best, complete=False)
            fewer = [each for each in kept if each != name]
            trial = self._try("prune", _with_float(start, fewer))
            if self._goal.held_by(trial, len(self._selection_B)):
                kept, best = fewer, trial
        return self._found(best, complete=True)

    def _rank(
        self, start: Plan, names: Sequence[str], alone: Callable[[Plan, Sequence[str], str], Plan]
    ) -> list[tuple[str, float]]:
        """The layers by what each alone costs, the costliest first; those that cannot be tried alone come first."""
        costs = []
        for name in names:
            if self._time_is_up():
                break
            trial = self._try("rank", alone(start, names, name), ranking=True)
            costs.append((name, -1.0 if trial.error else trial.sqnr_db))
        costs.sort(key=lambda cost: cost[1])
        return costs

    def _try(self, step: str, plan: Plan, *, ranking: bool = False) -> SearchTrial:
        if (plan, ranking) in self._known:
            return self._known[plan, ranking]
        rows = RANKING_ROWS if ranking else len(self._selection_B)
        inputs_B, reference_BK = self._selection_B[:rows], self._reference_BK[:rows]
        try:
            artifact = self._quantizer.quantize(plan)
            scores_BK = self._quantizer.scores(artifact, inputs_B)
        except ModelError as error:
            trial = SearchTrial(step=step, plan=plan, error=error.message)
        else:
            trial = SearchTrial(
                step=step,
                plan=plan,
                sqnr_db=sqnr_db(scores_BK, reference_BK),
                top1_agreement=agreement(scores_BK, reference_BK),
                size_bytes=len(artifact),
            )
        self._known[plan, ranking] = trial
        self._record(trial)
        return trial

    def _found(self, trial: SearchTrial, *, complete: bool) -> Found:
        return Found(trial.plan, trial, self._goal.held_by(trial, len(self._selection_B)), complete)


def calibration_plans(base: Plan, choices: Mapping[str, Sequence[object]]) -> list[Plan]:
    """`base` with every combination of the choices, fields of a Plan, in the order given; the first is the plainest."""
    plans = [base]
    for field, values in choices.items():
        plans = [msgspec.structs.replace(plan, **{field: value}) for plan in plans for value in values]
    return plans


def _nearer(trial: SearchTrial, other: SearchTrial) -> bool:
    return (trial.top1_agreement, trial.sqnr_db) > (other.top1_agreement, other.sqnr_db)


def _with_float(plan: Plan, names: Iterable[str]) -> Plan:
    return msgspec.structs.replace(plan, float_layers=tuple(sorted(names)))


def _with_int4(plan: Plan, names: Iterable[str]) -> Plan:
    return msgspec.structs.replace(plan, int4_layers=tuple(sorted(names)))


def _with_all_but_one_float(plan: Plan, names: Sequence[str], name: str) -> Plan:
    return _with_float(plan, (each for each in names if each != name))


def _with_one_int4(plan: Plan, _names: Sequence[str], name: str) -> Plan:
    return _with_int4(plan, [name])
