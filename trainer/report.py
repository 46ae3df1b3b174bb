"""Results for people and programs: tables on stdout, JSON on request, and the error when a gate said no."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fleet_contract.errors import GateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet_contract.release import GateResult, SliceEvaluation
    from trainer.records.candidate import CandidateResult
    from trainer.records.run_comparison import RunComparison
    from trainer.records.tracking import RunSummary


def candidate_json(result: CandidateResult) -> str:
    """The candidate and its folder as one JSON object."""
    return msgspec.json.encode({"folder": str(result.folder), "candidate": result.candidate}).decode()


def print_candidate(result: CandidateResult) -> None:
    """Prints evaluation, gates and verdict."""
    console = Console()
    evaluation, verdict = result.candidate.evaluation, result.candidate.verdict
    console.print(_evaluation_table((evaluation.overall, *evaluation.slices)))
    console.print(_gate_table(verdict.gates))
    word = "[green]passed[/green]" if verdict.passed else "[red]failed[/red]"
    console.print(f"verdict {word}   candidate {escape(str(result.folder))}", soft_wrap=True, highlight=False)


def require_passed(result: CandidateResult) -> None:
    """Passes when the verdict did.

    Raises:
        GateError: it did not; the message names each gate that failed.
    """
    failed = failed_gates(result)
    if failed:
        raise GateError(
            f"candidate {result.folder}: got {'; '.join(failed)}",
            hint="the candidate is kept with its verdict; improve the data or the model, or change [validate]",
        )


def failed_gates(result: CandidateResult) -> list[str]:
    """Each failed gate in words; empty when the verdict passed."""
    return [
        f"{gate.gate} {gate.measured:.4f}, expected {gate.threshold:.4f} ({gate.detail})"
        for gate in result.candidate.verdict.gates
        if not gate.passed
    ]


def print_runs(runs: list[RunSummary]) -> None:
    """Prints a table of runs."""
    table = Table("started (UTC)", "run", "status", "accuracy", "verdict", "took", "data")
    for run in runs:
        accuracy = "" if run.accuracy is None else f"{run.accuracy:.4f}"
        verdict = {True: "passed", False: "failed", None: ""}[run.passed]
        started = f"{run.started_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(
            started,
            run.run_id[:12],
            run.status,
            accuracy,
            verdict,
            _took(run.resources),
            escape(run.data_source + (f" (accepted by {run.data_override[:60]})" if run.data_override else "")),
        )
    Console().print(table)


def _took(resources: Mapping[str, float]) -> str:
    """Wall time, CPU time, peak memory and energy, as far as they are known."""
    words = (
        ("wall_s", "{:.0f} s", 1.0),
        ("cpu_s", "CPU {:.0f} s", 1.0),
        ("peak_memory_bytes", "{:.0f} MiB", 2.0**-20),
        ("energy_j", "{:.0f} J", 1.0),
    )
    return ", ".join(form.format(resources[name] * unit) for name, form, unit in words if name in resources)


def print_comparison(result: RunComparison) -> None:
    """Prints what differs between two runs, and their figures."""
    console = Console()
    first, second = result.first[:12], result.second[:12]
    parameters = Table("parameter", first, second, caption=f"{result.same_parameters} more are equal")
    for each in result.parameters:
        parameters.add_row(escape(each.name), escape(each.first), escape(each.second))
    metrics = Table("metric", first, second, "change")
    for each in result.metrics:
        change = "" if each.change is None else f"{each.change:+.6g}"
        metrics.add_row(escape(each.name), each.first, each.second, change)
    console.print(parameters, metrics)


def _evaluation_table(parts: tuple[SliceEvaluation, ...]) -> Table:
    table = Table("slice", "rows", "accuracy", "95 % interval")
    for part in parts:
        interval = f"{part.low:.4f} to {part.high:.4f}"
        table.add_row(escape(part.name), str(part.sample_count), f"{part.accuracy:.4f}", interval)
    return table


def _gate_table(gates: tuple[GateResult, ...]) -> Table:
    table = Table("gate", "verdict", "measured", "threshold", "detail")
    for gate in gates:
        word = "passed" if gate.passed else "[red]failed[/red]"
        table.add_row(gate.gate, word, f"{gate.measured:.4f}", f"{gate.threshold:.4f}", escape(gate.detail))
    return table
