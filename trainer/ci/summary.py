"""The Markdown summary of a CI run, for a forge's page of the run or a comment on the change. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.ci.checks import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer.ci.checks import Check, CiReport

_MARKS = {Outcome.PASSED: "passed", Outcome.FAILED: "**FAILED**", Outcome.SKIPPED: "skipped"}
MAX_CELL_CHARS = 400


def summary_markdown(report: CiReport, pictures: Mapping[str, str]) -> str:
    """The summary; `pictures` are files beside it by the words that describe them."""
    counts = {outcome: sum(check.outcome is outcome for check in report.checks) for outcome in Outcome}
    verdict = "passed" if report.passed else "FAILED"
    counted = (
        f"{counts[Outcome.PASSED]} checks passed, {counts[Outcome.FAILED]} failed, {counts[Outcome.SKIPPED]} were "
        f"skipped, {report.at:%Y-%m-%d %H:%M} UTC, revision {report.git_revision or 'not in git'}."
    )
    lines = [
        f"# {report.model}: {verdict}",
        "",
        counted,
        "",
        "| suite | check | outcome | seconds | |",
        "|---|---|---|---:|---|",
        *(_row(check) for check in report.checks),
        "",
        *(f"![{_cell(words)}]({file})\n\n{words}\n" for words, file in pictures.items()),
    ]
    return "\n".join(lines) + "\n"


def _row(check: Check) -> str:
    seconds = f"{check.duration_s:.1f}" if check.duration_s else ""
    return (
        f"| {_cell(check.suite)} | {_cell(check.name)} | {_MARKS[check.outcome]} | {seconds} | {_cell(check.message)} |"
    )


def _cell(text: str) -> str:
    flat = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
    return flat if len(flat) <= MAX_CELL_CHARS else flat[: MAX_CELL_CHARS - 3] + "..."
