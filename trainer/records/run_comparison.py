"""Two runs side by side: parameters and figures, what differs first. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from fleet_contract.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer.records.tracking import RunRecord, RunSummary


class Compared(Struct, frozen=True, kw_only=True):
    """A parameter or figure of both runs, empty or None where one has none."""

    name: str
    first: str
    second: str
    change: float | None = None
    """Second minus first, for figures that both have."""


class RunComparison(Struct, frozen=True, kw_only=True):
    """What two runs were given and what came of it; `same_parameters` counts those that are equal and not listed."""

    first: str
    second: str
    parameters: tuple[Compared, ...]
    metrics: tuple[Compared, ...]
    same_parameters: int = 0


def compare_runs(first: RunRecord, second: RunRecord) -> RunComparison:
    """Parameters and tags that differ, and every metric that either has."""
    given = _paired({**first.params, **_facts(first.tags)}, {**second.params, **_facts(second.tags)})
    different = tuple(each for each in given if each.first != each.second)
    names = sorted({*first.metrics, *second.metrics})
    return RunComparison(
        first=first.run_id,
        second=second.run_id,
        parameters=different,
        metrics=tuple(_metric(name, first.metrics.get(name), second.metrics.get(name)) for name in names),
        same_parameters=len(given) - len(different),
    )


def find_run(runs: Sequence[RunSummary], name: str) -> str:
    """The id of the run that `name` means: an id, the start of one, or `latest`, `latest~1` for trainings.

    Raises:
        NotFoundError: none or several do.
    """
    word, _, back = name.partition("~")
    trainings = [run.run_id for run in runs if run.kind == "training"]
    if word == "latest" and (back or "0").isdigit() and int(back or "0") < len(trainings):
        return trainings[int(back or "0")]
    found = [run.run_id for run in runs if run.run_id.startswith(name)]
    if len(found) != 1:
        raise NotFoundError(
            f"run {name!r}: got {len(found)} of {len(runs)} runs that begin so, expected one",
            hint="`edgeferry runs` lists them; `latest` and `latest~1` are names as well",
        )
    return found[0]


def _facts(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags that say what went into a run; MLflow's own are left out."""
    return {name: value for name, value in tags.items() if not name.startswith("mlflow.")}


def _paired(first: Mapping[str, str], second: Mapping[str, str]) -> list[Compared]:
    names = sorted({*first, *second})
    return [Compared(name=name, first=first.get(name, ""), second=second.get(name, "")) for name in names]


def _metric(name: str, first: float | None, second: float | None) -> Compared:
    change = None if first is None or second is None else second - first
    return Compared(name=name, first=_figure(first), second=_figure(second), change=change)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
