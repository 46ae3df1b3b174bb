"""From a candidate to a release bundle; `convert` reads as the list of stages."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from converter.building import build_alone, build_variants
from converter.bundle import REPORT_HTML, REPORT_JSON, Bundle, check_target, write_bundle
from converter.candidate_folder import load_source
from converter.golden import absent_classes
from converter.material import lay_out
from converter.recipe import Precision, Recipe, parse_recipes
from converter.release_parts import assemble
from converter.report import ConversionReport, variant_report
from converter.sandbox import Limits
from converter.stopwatch import Stopwatch
from converter.trial import prove_variant
from fleet_contract.errors import GateError
from fleet_files.durable import replacing_folder, write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from converter.building import Build
    from converter.environments import Environment
    from converter.material import Material
    from converter.progress import Progress
    from converter.trial import Trial
    from fleet_contract.candidate import Candidate
    from fleet_contract.release import Verdict


def convert(
    candidate_folder: Path,
    out: Path,
    *,
    progress: Progress,
    version: int = 1,
    recipes: tuple[str, ...] | None = None,
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
        recipes: names of recipes; None takes the candidate's.
        override: who accepts a candidate whose verdict did not pass, and why; goes on record.
        limits: of each child process, per recipe.
        environments: other runtimes in which each variant is tried; it is declared for those in which it ran.
        clock: seconds, for the times in the report.

    Raises:
        NotFoundError, DataError, ContractError: there is no candidate, or it is not whole.
        ConfigError: a recipe is unknown.
        ConflictError: `out` is something other than a bundle.
        ModelError: the float model cannot be loaded or run.
        GateError: the candidate's verdict did not pass, or no variant passed its gates.
    """
    watch = Stopwatch(progress, clock)
    watch.stage("verify candidate")
    check_target(out)
    source = load_source(candidate_folder)
    verdict = accepted_verdict(source.candidate, override)
    chosen = parse_recipes(source.candidate.recipes if recipes is None else recipes)
    limits = limits or Limits()
    record = out.with_name(f".{out.name}.search")
    with TemporaryDirectory(prefix="edgeferry-convert-") as scratch:
        material = lay_out(source, Path(scratch), trials=record / "trials")
        reference_BK, trials = _prove_all(material, chosen, _Means(limits, tuple(environments)), watch)
        report = _report(material, reference_BK, trials, verdict, watch)
        watch.stage("write bundle")
        _require_one(out, trials, report)
        manifest, blobs = assemble(source, material, reference_BK, trials, verdict=verdict, version=version)
    bundle = write_bundle(out, manifest, blobs, _report_files(report))
    shutil.rmtree(record, ignore_errors=True)  # an interrupted search goes on from it; this one is done
    return bundle


@dataclass(frozen=True, slots=True)
class _Means:
    """What a conversion may use."""

    limits: Limits
    environments: tuple[Environment, ...]


def _prove_all(
    material: Material, chosen: Sequence[Recipe], means: _Means, watch: Stopwatch
) -> tuple[NDArray[np.float32], list[Trial]]:
    """The float scores, and every recipe built and proven, with a rescue for each int8 that missed a gate."""
    watch.stage(f"build {', '.join(recipe.name for recipe in chosen)}")
    reference_BK, builds = build_variants(material, chosen, limits=means.limits, progress=watch)
    trials = [_prove(material, build, reference_BK, means, watch) for build in builds]
    for recipe in rescues(trials):
        watch.stage(f"search {recipe.name}: which layers must stay in float")
        build = build_alone(material, recipe, limits=means.limits, progress=watch)
        trials.append(_prove(material, build, reference_BK, means, watch))
    return reference_BK, trials


def _prove(
    material: Material, build: Build, reference_BK: NDArray[np.float32], means: _Means, watch: Stopwatch
) -> Trial:
    watch.stage(f"prove {build.recipe.name}")
    return prove_variant(material, build, reference_BK, limits=means.limits, environments=means.environments)


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


def _report(
    material: Material,
    reference_BK: NDArray[np.float32],
    trials: Sequence[Trial],
    verdict: Verdict,
    watch: Stopwatch,
) -> ConversionReport:
    absent = absent_classes(material.labels, material.candidate.labels)
    if absent:
        watch.remark(f"no held-out row of {', '.join(absent)}: golden vectors cannot cover that")
    return ConversionReport(
        model=material.candidate.model,
        candidate_created_at=material.candidate.created_at,
        override=verdict.override,
        float_accuracy=float((reference_BK.argmax(1) == material.labels).mean()),
        holdout_rows=len(material.labels),
        calibration_rows=material.calibration_rows,
        golden_rows=len(material.golden),
        variants=tuple(variant_report(trial) for trial in trials),
        stages=watch.times(),
        remarks=tuple(watch.remarks),
    )


def _report_files(report: ConversionReport) -> dict[str, bytes]:
    from converter.report_html import render

    return {
        REPORT_JSON: msgspec.json.format(msgspec.json.encode(report), indent=2),
        REPORT_HTML: render(report).encode(),
    }


def _require_one(out: Path, trials: Sequence[Trial], report: ConversionReport) -> None:
    """Passes when a variant passed; else the report goes beside `out`, which is left as it was."""
    if any(trial.passed for trial in trials):
        return
    refused = out.with_name(f"{out.name}-refused")
    with replacing_folder(refused) as staging:
        for name, data in _report_files(report).items():
            write_file(staging / name, data)
    reasons = "; ".join(f"{trial.build.recipe.name}: {trial.reason}" for trial in trials)
    raise GateError(
        f"{report.model}: none of {len(trials)} variants passed its gates: {reasons}",
        hint=f"{refused / REPORT_HTML} has the figures",
    )
