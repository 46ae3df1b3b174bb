"""`edgeferry ci`: what a change must pass before it is merged; the converter is wired in here."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from edgeferry.output import print_json, print_table
from edgeferry.session import AsJson

if TYPE_CHECKING:
    from trainer.ci.running import ConvertedVariant
    from trainer.progress import Progress

OVERRIDE = "edgeferry ci: conversion is tried whatever the verdict; nothing of it is published"


def ci(
    project: Annotated[Path, typer.Option("--project", "-p", help="The project's folder.")] = Path(),
    out: Annotated[Path, typer.Option("--out", "-o", help="Where junit.xml, summary.md and pictures go.")] = Path(
        "ci-report"
    ),
    *,
    as_json: AsJson = False,
) -> None:
    """Verify data, run the project's tests, train shortly, judge by all gates, convert. Fails if a check does."""
    from trainer.ci.checks import require_green
    from trainer.ci.running import run_ci
    from trainer.console import TerminalProgress
    from trainer.project import load_project

    with TerminalProgress() as progress:
        report = run_ci(
            load_project(project),
            out=out,
            convert=lambda candidate, bundle: convert_all(candidate, bundle, progress),
            now=datetime.now(UTC),
            elapsed_s=perf_counter,
            progress=progress,
        )
    if as_json:
        print_json(report)
    else:
        rows = [(each.suite, each.name, each.outcome, each.message[:100]) for each in report.checks]
        print_table(("suite", "check", "outcome", ""), rows)
    require_green(report)


def convert_all(candidate: Path, out: Path, progress: Progress) -> list[ConvertedVariant]:
    """Every variant that the candidate asks for, with its verdict; a candidate that failed its gates is tried as well.

    Raises:
        ModelError: the model cannot be converted at all.
        GateError: no variant passed its gates.
    """
    import msgspec

    from converter.bundle import REPORT_JSON
    from converter.pipeline import convert
    from converter.report.figures import ConversionReport
    from trainer.ci.running import ConvertedVariant

    bundle = convert(candidate, out, progress=progress, override=OVERRIDE)
    report = msgspec.json.decode((bundle.folder / REPORT_JSON).read_bytes(), type=ConversionReport)
    return [
        ConvertedVariant(
            name=variant.id,
            passed=variant.published,
            detail=variant.reason or f"{variant.size_bytes} bytes, {len(variant.gates)} gates",
        )
        for variant in report.variants
    ]
