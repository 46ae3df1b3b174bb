"""The model card: Hugging Face README form, front matter with `model-index`.

Source: https://github.com/huggingface/hub-docs/blob/main/modelcard.md
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleet_contract.release import Evaluation, Lineage, SliceEvaluation, Verdict


def model_card(
    name: str, *, labels: tuple[str, ...], evaluation: Evaluation, verdict: Verdict, lineage: Lineage
) -> str:
    """The card as Markdown. Strings in the front matter are quoted as JSON, which YAML reads."""
    return "\n".join(
        [
            *_front_matter(name, evaluation, lineage),
            f"# {name}",
            "",
            f"A classifier of {len(labels)} classes: {', '.join(labels)}.",
            "",
            "## Evaluation",
            "",
            f"On {evaluation.overall.sample_count} held-out rows of {lineage.data_source}; 95 % intervals (Wilson).",
            "",
            *_evaluation_table(evaluation),
            "",
            f"Expected calibration error: {evaluation.expected_calibration_error:.4f}",
            f"Log loss: {evaluation.log_loss:.4f}",
            "",
            f"## Verdict: {'passed' if verdict.passed else 'FAILED'}",
            "",
            *_verdict_table(verdict),
            "",
            "## Lineage",
            "",
            *_lineage_lines(lineage),
            "",
        ]
    )


def _front_matter(name: str, evaluation: Evaluation, lineage: Lineage) -> list[str]:
    metrics = [
        {"type": "accuracy", "value": round(evaluation.overall.accuracy, 6)},
        {"type": "expected_calibration_error", "value": round(evaluation.expected_calibration_error, 6)},
        {"type": "log_loss", "value": round(evaluation.log_loss, 6)},
    ]
    result = {
        "task": {"type": "classification"},
        "dataset": {"name": lineage.data_source, "type": "custom", "revision": lineage.data_snapshot_sha256},
        "metrics": metrics,
    }
    index = [{"name": name, "results": [result]}]
    return ["---", "library_name: keras", "tags: [edge]", f"model-index: {json.dumps(index)}", "---", ""]


def _evaluation_table(evaluation: Evaluation) -> list[str]:
    rows = [_slice_row(part) for part in (evaluation.overall, *evaluation.slices)]
    return ["| slice | rows | accuracy | low | high |", "|---|---|---|---|---|", *rows]


def _slice_row(part: SliceEvaluation) -> str:
    return f"| {_cell(part.name)} | {part.sample_count} | {part.accuracy:.4f} | {part.low:.4f} | {part.high:.4f} |"


def _verdict_table(verdict: Verdict) -> list[str]:
    rows = [
        f"| {gate.gate} | {'passed' if gate.passed else 'FAILED'} | {gate.measured:.4f} | {gate.threshold:.4f} "
        f"| {_cell(gate.detail)} |"
        for gate in verdict.gates
    ]
    return ["| gate | verdict | measured | threshold | detail |", "|---|---|---|---|---|", *rows]


def _lineage_lines(lineage: Lineage) -> list[str]:
    facts = {
        "data snapshot": lineage.data_snapshot_sha256,
        "schema": lineage.schema_sha256,
        "run": lineage.run_id,
        "git revision": lineage.git_revision or "not in git",
        "seed": str(lineage.seed),
        "champion compared with": f"v{lineage.champion_version}" if lineage.champion_version else "none",
        "data accepted in spite of anomalies": lineage.data_override or "no",
        "retrain request": lineage.retrain_request_id or "none",
        "tools": ", ".join(f"{tool} {version}" for tool, version in lineage.tool_versions.items()),
    }
    return [f"- {fact}: `{value}`" for fact, value in facts.items()]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
