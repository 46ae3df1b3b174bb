"""What can be said of variants only together: against float, for each target, and which are worth having.

`timed_in_turn` measures; `settle` is pure.
"""

from __future__ import annotations

from dataclasses import replace
from math import log, nan
from typing import TYPE_CHECKING, Final

from converter.proof.budgets import SLOWER_MARGIN, judge_for, limited_archs
from converter.proof.compatibility import declare, required_ram_mb
from converter.proof.gates import Figures, FloatFigures, fact, gate_in_words, judge
from converter.proof.latency import compare_latency
from converter.proof.pareto import Point, standings
from fleet_contract.candidate import Keep
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from converter.material import Material
    from converter.process.sandbox import Limits
    from converter.progress import Progress
    from converter.proof.budgets import Budget
    from converter.proof.trial import Trial
    from fleet_contract.candidate import VariantGates
    from fleet_contract.release import GateResult

FRONT_GATE: Final = "front"


def timed_in_turn(
    material: Material, trials: Sequence[Trial], *, limits: Limits, progress: Progress
) -> Mapping[str, float]:
    """The median latency in milliseconds of every variant that ran, all in one process so that noise hits all alike.

    Where that process fails, each one's own measurement, and a remark says so.
    """
    ran = {trial.name: trial for trial in trials if trial.parity is not None}
    artifacts = {
        name: (trial.build.recipe.runtime, trial.build.path) for name, trial in ran.items() if trial.build.path
    }
    if len(artifacts) > 1:
        try:
            return compare_latency(artifacts, material.holdout, material.folder / "compare", limits)
        except ModelError as error:
            progress.remark(f"{error.message}; latencies are compared as each was measured alone")
    return {name: trial.proof.latency_p50_ms for name, trial in ran.items() if trial.proof}


def settle(
    trials: Sequence[Trial],
    latency_ms: Mapping[str, float],
    *,
    gates: VariantGates,
    budgets: Sequence[Budget],
    keep: Keep,
) -> list[Trial]:
    """The trials with all that is known, in the order given; those that pass now are to be published."""
    timed = [replace(trial, side_by_side_p50_ms=latency_ms.get(trial.name, nan)) for trial in trials]
    whole = {trial.build.recipe.runtime: trial for trial in timed if trial.build.recipe.exact and trial.parity}
    judged: dict[str, Trial] = {}
    for trial in sorted(timed, key=lambda each: not each.build.recipe.exact):  # a verdict on int8 asks float's
        judged[trial.name] = _judged(trial, whole.get(trial.build.recipe.runtime), gates, budgets, judged)
    here = frozenset(budget.target for budget in budgets if budget.here)
    return _placed([judged[trial.name] for trial in trials], keep, here)


def figures_of(trial: Trial, whole: Trial | None) -> Figures | None:
    """What gates look at; None when the variant did not run. `whole` is the float variant of its runtime."""
    if trial.parity is None or trial.proof is None:
        return None
    return Figures(
        parity=trial.parity,
        size_bytes=trial.size_bytes,
        latency_p50_ms=trial.proof.latency_p50_ms,
        ram_mb=float(required_ram_mb(trial.proof.peak_rss_mb)),
        side_by_side_p50_ms=trial.side_by_side_p50_ms,
        whole=FloatFigures(whole.size_bytes, whole.side_by_side_p50_ms) if whole else None,
    )


def _judged(
    trial: Trial, whole: Trial | None, gates: VariantGates, budgets: Sequence[Budget], earlier: Mapping[str, Trial]
) -> Trial:
    recipe, figures = trial.build.recipe, figures_of(trial, whole)
    if figures is None:
        return trial
    if not budgets:
        return replace(trial, judged=judge(recipe, gates, figures))
    settled = earlier.get(whole.name) if whole else None
    suited = _suited(settled) if settled else frozenset()
    declared = declare(recipe.runtime, trial.ran_in)
    packages = declared.implementations if declared else {}
    verdicts = tuple(
        judge_for(budget, recipe, figures, implementations=packages, float_suits=budget.target in suited)
        for budget in budgets
    )
    judged = replace(trial, targets=verdicts, archs=limited_archs(budgets, verdicts))
    return replace(judged, judged=_target_gates(judged))


def _suited(trial: Trial) -> frozenset[str]:
    """The targets that a variant is for; none where a gate on itself failed."""
    if not all(gate.passed for gate in trial.facts):
        return frozenset()
    return frozenset(verdict.target for verdict in trial.targets if verdict.suits)


def _target_gates(trial: Trial) -> tuple[GateResult, ...]:
    """One gate: the variant is for one of the targets at least. Its detail has why it is not for the others."""
    refused = [
        f"{verdict.target}: {', '.join(gate_in_words(gate) for gate in verdict.gates if not gate.passed)}"
        for verdict in trial.targets
        if not verdict.suits
    ]
    suits = any(verdict.suits for verdict in trial.targets)
    return (fact("suits-a-target", holds=suits, detail="; ".join(refused)),)


def _placed(trials: Sequence[Trial], keep: Keep, here: frozenset[str]) -> list[Trial]:
    """The trials with their standing among those that passed; with `keep` front, those that can be replaced fail.

    `here` are the targets for which latency on this machine is evidence.
    """
    points = [_point(trial, here) for trial in trials if trial.passed]
    found = standings(points)
    placed = [replace(trial, standing=found.get(trial.name)) for trial in trials]
    return [_kept(trial) for trial in placed] if keep is Keep.FRONT else placed


def _kept(trial: Trial) -> Trial:
    if trial.standing is None:
        return trial
    better = ", ".join(trial.standing.replaced_by)
    gate = fact(
        FRONT_GATE, holds=not better, detail=f"{better} is nowhere worse and somewhere better" if better else ""
    )
    return replace(trial, judged=(*trial.judged, gate))


def _point(trial: Trial, here: frozenset[str]) -> Point:
    figures = figures_of(trial, None)
    if figures is None:
        raise ModelError(f"variant {trial.name}: passed without figures")
    serves = _suited(trial)
    return Point(trial.name, str(trial.build.recipe.runtime), _costs(figures), serves, proven_there=serves <= here)


def _costs(figures: Figures) -> dict[str, float]:
    """What the front weighs; the loss is of accuracy, else of agreement, else the noise in dB."""
    parity = figures.parity
    if parity.accuracy is not None:
        loss = 1.0 - parity.accuracy.share
    else:
        loss = 1.0 - parity.agreement.share if parity.agreement is not None else -parity.sqnr_db
    return {
        "loss": loss,
        "size": float(figures.size_bytes),
        "latency": _without_noise(figures.side_by_side_p50_ms),
        "RAM": figures.ram_mb,
    }


def _without_noise(latency_ms: float) -> float:
    """The latency on a scale of steps as wide as the noise, so that equals mostly stay equals."""
    if not latency_ms > 0.0:
        return nan
    return (1.0 + SLOWER_MARGIN) ** round(log(latency_ms) / log(1.0 + SLOWER_MARGIN))
