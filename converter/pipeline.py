"""From a candidate to a release bundle; `convert` reads as the list of stages."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from converter.asked import aimed, ask
from converter.building import build_alone, build_variants
from converter.bundle import REPORT_HTML, Bundle, check_target, write_bundle
from converter.material import lay_out, with_golden
from converter.process.sandbox import Limits
from converter.proof.budgets import unjudged
from converter.proof.trial import prove_variant
from converter.proof.verdicts import settle, timed_in_turn
from converter.recipe import Precision, Recipe
from converter.release_parts import assemble
from converter.report.making import make_report, report_files
from converter.sources.candidate_folder import load_source
from converter.stopwatch import Stopwatch
from fleet_contract.errors import GateError
from fleet_files.durable import replacing_folder, write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from converter.asked import Asked
    from converter.building import Build
    from converter.environments.known import Environment
    from converter.material import Material
    from converter.progress import Progress
    from converter.proof.trial import Trial
    from converter.report.figures import ConversionReport
    from converter.sources.candidate_folder import Source
    from fleet_contract.candidate import Candidate
    from fleet_contract.release import Verdict


def convert(
    candidate_folder: Path,
    out: Path,
    *,
    progress: Progress,
    version: int = 1,
    recipes: tuple[str, ...] | None = None,
    targets: tuple[str, ...] = (),
    override: str = "",
    limits: Limits | None = None,
    environments: Sequence[Environment] = (),
    clock: Callable[[], float] = perf_counter,
) -> Bundle:
    """The bundle at `out`, with every variant of the candidate that passed its gates.

    Args:
        candidate_folder: what the trainer wrote.
        out: where the bundle goes; an older bundle there is replaced.
        progress: who watches.
        version: placeholder for the manifest; publishing gives the real one.
        recipes: names of recipes; None takes those that suit the targets, without targets the candidate's.
        targets: names of the kinds of device to convert for; a variant that suits none of them is refused.
        override: who accepts a candidate whose verdict did not pass, and why; goes on record.
        limits: of each child process, per recipe.
        environments: other runtimes in which each variant is tried; it is declared for those in which it ran.
        clock: seconds, for the times in the report.

    Raises:
        NotFoundError, DataError, ContractError: there is no candidate, or it is not whole.
        ConfigError: a recipe or a target is unknown.
        ConflictError: `out` is something other than a bundle.
        ModelError: the float model cannot be loaded or run.
        GateError: the candidate's verdict did not pass, or no variant passed its gates.
    """
    watch = Stopwatch(progress, clock)
    watch.stage("verify candidate")
    check_target(out)
    return convert_source(
        load_source(candidate_folder),
        out,
        watch=watch,
        version=version,
        recipes=recipes,
        targets=targets,
        override=override,
        limits=limits,
        environments=environments,
    )


def convert_source(
    source: Source,
    out: Path,
    *,
    watch: Stopwatch,
    version: int = 1,
    recipes: tuple[str, ...] | None = None,
    targets: tuple[str, ...] = (),
    override: str = "",
    limits: Limits | None = None,
    environments: Sequence[Environment] = (),
) -> Bundle:
    """The bundle at `out` of a source that is loaded, be it a candidate or a foreign model; otherwise as `convert`.

    Raises:
        ConfigError, ConflictError, ModelError, GateError: as in `convert`.
    """
    verdict = accepted_verdict(source.candidate, override)
    asked = ask(source.candidate, recipes, targets)
    source = aimed(source, asked.budgets)
    record = search_folder(out)
    with TemporaryDirectory(prefix="edgeferry-convert-") as scratch:
        material = lay_out(source, Path(scratch), trials=record / "trials")
        means = _Means(asked, limits or Limits(), tuple(environments), watch)
        material, reference_BK, trials = _prove_all(material, means)
        names = [budget.target for budget in asked.budgets]
        report = make_report(material, reference_BK, trials, verdict=verdict, targets=names, watch=watch)
        watch.stage("write bundle")
        _require_one(out, trials, report)
        manifest, blobs = assemble(source, material, reference_BK, trials, verdict=verdict, version=version)
    bundle = write_bundle(out, manifest, blobs, report_files(report))
    shutil.rmtree(record, ignore_errors=True)  # an interrupted search goes on from it; this one is done
    return bundle


def search_folder(out: Path) -> Path:
    """Where the search for the bundle at `out` keeps its record until the bundle is there; children run elsewhere."""
    return out.absolute().with_name(f".{out.name}.search")


@dataclass(frozen=True, slots=True)
class _Means:
    """What a conversion is for, what it may use, and who watches."""

    asked: Asked
    limits: Limits
    environments: tuple[Environment, ...]
    watch: Stopwatch


def _prove_all(material: Material, means: _Means) -> tuple[Material, NDArray[np.float32], list[Trial]]:
    """The material with its golden rows, the float scores, and every recipe built, proven and judged.

    Each int8 that is too far from the float model gets a rescue.
    """
    watch, recipes = means.watch, means.asked.recipes
    watch.stage(f"build {', '.join(recipe.name for recipe in recipes)}")
    reference_BK, builds = build_variants(material, recipes, limits=means.limits, progress=watch)
    material = with_golden(material, reference_BK)
    trials = [_prove(material, build, reference_BK, means) for build in builds]
    for recipe in rescues(trials):
        watch.stage(f"search {recipe.name}: which layers must stay in float")
        build = build_alone(material, recipe, limits=means.limits, progress=watch)
        trials.append(_prove(material, build, reference_BK, means))
    return material, reference_BK, _judged(material, trials, means)


def _prove(material: Material, build: Build, reference_BK: NDArray[np.float32], means: _Means) -> Trial:
    means.watch.stage(f"prove {build.recipe.name}")
    return prove_variant(material, build, reference_BK, limits=means.limits, environments=means.environments)


def _judged(material: Material, trials: Sequence[Trial], means: _Means) -> list[Trial]:
    candidate, budgets, watch = material.candidate, means.asked.budgets, means.watch
    watch.stage("compare latencies")
    latency_ms = timed_in_turn(material, trials, limits=means.limits, progress=watch)
    for target in unjudged(budgets):
        watch.remark(f"{target}: this machine is of another kind, so its limits on latency are left to the device")
    return settle(trials, latency_ms, gates=candidate.gates, budgets=budgets, keep=candidate.keep)


def rescues(trials: Sequence[Trial]) -> list[Recipe]:
    """The mixed recipe for each runtime whose int8 ran but missed a gate, where nobody asked for it already."""
    asked = {trial.build.recipe for trial in trials}
    missed = [
        trial.build.recipe.runtime
        for trial in trials
        if trial.build.recipe.precision is Precision.INT8 and trial.parity is not None and not trial.passed
    ]
    mixed = (Recipe(runtime, Precision.INT8_MIXED) for runtime in dict.fromkeys(missed))
    return [recipe for recipe in mixed if recipe not in asked]


def accepted_verdict(candidate: Candidate, override: str) -> Verdict:
    """The candidate's verdict, with the override where one was needed.

    Raises:
        GateError: the verdict did not pass and nobody overrules it.
    """
    if candidate.verdict.passed:
        return candidate.verdict
    if not override.strip():
        failed = ", ".join(gate.gate for gate in candidate.verdict.gates if not gate.passed) or "no gate is named"
        raise GateError(
            f"candidate {candidate.model}: its validation verdict did not pass ({failed})",
            hint='improve the model, or put it on record: --override "reason"',
        )
    return msgspec.structs.replace(candidate.verdict, override=override.strip())


def _require_one(out: Path, trials: Sequence[Trial], report: ConversionReport) -> None:
    """Passes when a variant passed; else the report goes beside `out`, which is left as it was."""
    if any(trial.passed for trial in trials):
        return
    refused = out.with_name(f"{out.name}-refused")
    with replacing_folder(refused) as staging:
        for name, data in report_files(report).items():
            write_file(staging / name, data)
    reasons = "; ".join(f"{trial.name}: {trial.reason}" for trial in trials)
    raise GateError(
        f"{report.model}: none of {len(trials)} variants passed its gates: {reasons}",
        hint=f"{refused / REPORT_HTML} has the figures",
    )
