"""Makes the report of a conversion, and the files in which it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from converter.bundle import REPORT_HTML, REPORT_JSON
from converter.golden import absent_classes
from converter.report.figures import ConversionReport, search_reports, slow_remarks, variant_reports

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from converter.material import Material
    from converter.proof.trial import Trial
    from converter.stopwatch import Stopwatch
    from fleet_contract.release import Verdict


def make_report(
    material: Material,
    reference_BK: NDArray[np.float32],
    trials: Sequence[Trial],
    *,
    verdict: Verdict,
    targets: Sequence[str],
    watch: Stopwatch,
) -> ConversionReport:
    """The report of what was tried; what a person should know besides goes to `watch` as remarks first."""
    variants, labels_B = variant_reports(trials), material.labels
    absent = absent_classes(labels_B, material.candidate.labels)
    if absent:
        watch.remark(f"no held-out row of {', '.join(absent)}: golden vectors cannot cover that")
    for remark in slow_remarks(trials, variants):
        watch.remark(remark)
    return ConversionReport(
        model=material.candidate.model,
        candidate_created_at=material.candidate.created_at,
        override=verdict.override,
        labelled=labels_B is not None,
        classes=bool(material.candidate.labels),
        float_accuracy=0.0 if labels_B is None else float((reference_BK.argmax(1) == labels_B).mean()),
        holdout_rows=len(material.raw_inputs),
        calibration_rows=material.calibration_rows,
        selection_rows=material.selection_rows,
        golden_rows=len(material.golden),
        targets=tuple(targets),
        variants=variants,
        search=search_reports(material.trials),
        stages=watch.times(),
        remarks=tuple(watch.remarks),
    )


def report_files(report: ConversionReport) -> dict[str, bytes]:
    """The report for programs and for people, by file name."""
    from converter.report.html import render

    return {
        REPORT_JSON: msgspec.json.format(msgspec.json.encode(report), indent=2),
        REPORT_HTML: render(report).encode(),
    }
