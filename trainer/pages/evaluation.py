"""The evaluation beside a candidate: `evaluation.json` for programs, `evaluation.html` for people, with pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from fleet_contract.codec import UtcTime, encode
from fleet_contract.release import Evaluation, Verdict
from trainer.judging.baseline import SimpleModel
from trainer.judging.by_class import ClassFigures, balanced_accuracy, macro_f1
from trainer.judging.calibration import ReliabilityBin, confusion_counts, reliability_curve
from trainer.judging.user_tests import BehaviourResult
from trainer.pages.page import figure, heading, page, paragraph, table
from trainer.pages.plots import plot_confusion, plot_importances, plot_reliability, plot_slices
from trainer.tuning.importance import PartImportance

if TYPE_CHECKING:
    from datetime import datetime

    from trainer.judging.validate import Judged

EVALUATION_JSON: Final = "evaluation.json"
EVALUATION_HTML: Final = "evaluation.html"


class EvaluationRecord(Struct, frozen=True, kw_only=True):
    """`evaluation.json`: the verdict and all that it rests on. `confusion[i][j]`: rows of class i that got class j."""

    schema: int = 1
    model: str
    created_at: UtcTime
    labels: tuple[str, ...]
    evaluation: Evaluation
    verdict: Verdict
    confusion: tuple[tuple[int, ...], ...]
    reliability: tuple[ReliabilityBin, ...]
    simple_models: tuple[SimpleModel, ...] = ()
    behaviour: tuple[BehaviourResult, ...] = ()
    importances: tuple[PartImportance, ...] = ()
    balanced_accuracy: float = 0.0
    macro_f1: float = 0.0
    classes: tuple[ClassFigures, ...] = ()


def evaluation_record(model: str, judged: Judged, verdict: Verdict, now: datetime) -> EvaluationRecord:
    """The record of what `judged` holds."""
    classes = judged.classes
    return EvaluationRecord(
        model=model,
        created_at=now,
        labels=judged.label_names,
        evaluation=judged.evaluation,
        verdict=verdict,
        confusion=tuple(tuple(row) for row in confusion_counts(judged.scores_BK, judged.labels_B).tolist()),
        reliability=reliability_curve(judged.scores_BK, judged.labels_B),
        balanced_accuracy=balanced_accuracy(classes),
        macro_f1=macro_f1(classes),
        classes=classes,
        simple_models=judged.simple_models,
        behaviour=judged.behaviour,
        importances=judged.importances,
    )


def evaluation_files(record: EvaluationRecord) -> dict[str, bytes]:
    """Both files by name."""
    return {
        EVALUATION_JSON: msgspec.json.format(encode(record), indent=2) + b"\n",
        EVALUATION_HTML: evaluation_page(record).encode(),
    }


def plots(record: EvaluationRecord) -> dict[str, tuple[str, str]]:
    """Each picture by name: its SVG and what it shows in words."""
    off = sum(each.is_off for each in record.reliability)
    calibration = (
        f"Accuracy over confidence with 95 % intervals; {off} of {len(record.reliability)} bins are off the diagonal. "
        f"Expected calibration error {record.evaluation.expected_calibration_error:.4f}."
    )
    found = {
        "reliability": (plot_reliability(record.reliability), calibration),
        "confusion": (plot_confusion(record.confusion, record.labels), "What each class was taken for."),
    }
    if record.evaluation.slices:
        found["slices"] = (plot_slices(record.evaluation.slices), "Accuracy of each slice with its 95 % interval.")
    if record.importances:
        found["importance"] = (plot_importances(record.importances), "What the model needs of its input.")
    return found


def evaluation_page(record: EvaluationRecord) -> str:
    """The page for people."""
    overall = record.evaluation.overall
    summary = (
        f"Verdict: {'passed' if record.verdict.passed else 'FAILED'}. Accuracy {overall.accuracy:.4f} on "
        f"{overall.sample_count} held-out rows, 95 % interval {overall.low:.4f} to {overall.high:.4f}; balanced "
        f"accuracy {record.balanced_accuracy:.4f}, macro F1 {record.macro_f1:.4f}. "
        f"Candidate of {record.created_at:%Y-%m-%d %H:%M} UTC."
    )
    return page(
        f"Evaluation of {record.model}",
        [
            paragraph(summary),
            heading("Gates"),
            table(("gate", "verdict", "measured", "threshold", "why"), _gate_rows(record.verdict)),
            heading("Pictures"),
            *(figure(svg, words) for svg, words in plots(record).values()),
            heading("Slices"),
            table(("slice", "rows", "accuracy", "low", "high"), _slice_rows(record.evaluation)),
            heading("Classes"),
            table(("class", "rows", "recall", "low", "high", "precision", "F1"), _class_rows(record)),
            *_simple(record),
        ],
    )


def _gate_rows(verdict: Verdict) -> list[tuple[str, ...]]:
    return [
        (
            gate.gate,
            "passed" if gate.passed else "failed",
            f"{gate.measured:.4f}",
            f"{gate.threshold:.4f}",
            gate.detail,
        )
        for gate in verdict.gates
    ]


def _slice_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    return [
        (part.name, str(part.sample_count), f"{part.accuracy:.4f}", f"{part.low:.4f}", f"{part.high:.4f}")
        for part in (evaluation.overall, *evaluation.slices)
    ]


def _class_rows(record: EvaluationRecord) -> list[tuple[str, ...]]:
    return [
        (
            one.name,
            str(one.sample_count),
            *(f"{share:.4f}" for share in (one.recall, one.low, one.high, one.precision, one.f1)),
        )
        for one in record.classes
    ]


def _simple(record: EvaluationRecord) -> list[str]:
    if not record.simple_models:
        return []
    rows = [(model.name, f"{model.accuracy:.4f}") for model in record.simple_models]
    return [heading("Simple models on the same split"), table(("model", "accuracy"), rows)]
