"""What CI found, as JUnit XML, as Markdown and as an exit."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
import yaml  # type: ignore[import-untyped]  # no stubs, and only this test needs it

from fleet_contract.errors import ConflictError, ContractError, DataError, GateError
from tests.fakes.contract_documents import NOON
from trainer.ci.checks import Check, Checks, CiReport, Outcome, require_green
from trainer.ci.junit import junit_xml, read_pytest
from trainer.ci.summary import summary_markdown
from trainer.ci.workflow import WORKFLOW_FILES, Forge, write_workflow

if TYPE_CHECKING:
    from pathlib import Path


def report(*checks: Check) -> CiReport:
    """A report of these checks."""
    return CiReport(model="eye", at=NOON, git_revision="abc", checks=checks)


GOOD = Check(suite="data", name="rows", outcome=Outcome.PASSED, duration_s=1.5, message="300 rows")
BAD = Check(suite="gates", name="a|b <x>", outcome=Outcome.FAILED, message="got \x00 1 & 2 < 3\nmore")
LEFT = Check(suite="gates", name="later", outcome=Outcome.SKIPPED, message="nothing to judge")


def test_junit_counts_by_suite_and_survives_what_xml_cannot_hold() -> None:
    """A forge's parser reads suites, failures with messages, and skips."""
    root = ET.fromstring(junit_xml(report(GOOD, BAD, LEFT)))  # noqa: S314 -- our own
    counts = {suite.get("name"): (suite.get("tests"), suite.get("failures"), suite.get("skipped")) for suite in root}
    assert counts == {"data": ("1", "0", "0"), "gates": ("2", "1", "1")}
    (failure,) = root.iter("failure")
    assert failure.get("message") == "got ? 1 & 2 < 3"
    assert failure.text == "got ? 1 & 2 < 3\nmore"


def test_pytests_report_becomes_checks() -> None:
    """Passed, failed, broken and skipped tests; anything else is refused."""
    xml = b"""<testsuites><testsuite name="pytest"><testcase classname="t" name="ok" time="0.5"/>
      <testcase classname="t" name="no" time="0"><failure message="assert 1 == 2">long</failure></testcase>
      <testcase classname="t" name="setup" time="0"><error message="fixture">long</error></testcase>
      <testcase classname="t" name="later" time="0"><skipped message="why"/></testcase></testsuite></testsuites>"""
    checks = read_pytest(xml, "own")
    assert [check.outcome.value for check in checks] == ["passed", "failed", "failed", "skipped"]
    assert checks[0] == Check(suite="own", name="t::ok", outcome=Outcome.PASSED, duration_s=0.5)
    assert checks[1].message == "assert 1 == 2"
    with pytest.raises(ContractError):
        read_pytest(b"<half", "own")


def test_the_summary_is_one_table_row_a_check_with_pictures() -> None:
    """Cells cannot break the table or smuggle in HTML."""
    text = summary_markdown(report(GOOD, BAD), {"Accuracy over confidence.": "reliability.svg"})
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert "a\\|b &lt;x>" in rows[3]
    assert text.startswith("# eye: FAILED")
    assert "![Accuracy over confidence.](reliability.svg)" in text


def fail() -> None:
    """An error of ours."""
    raise DataError("got nothing", hint="look")


def test_a_step_that_fails_is_a_check_and_not_the_end() -> None:
    """Errors of ours are caught with their hint; bugs are not; inner checks follow their step."""
    ticks = iter(range(100))
    checks = Checks(lambda: float(next(ticks)))
    with checks.step("data", "read"):
        fail()
    with checks.step("data", "outer"):
        checks.hold("data", "inner", holds=False, message="m")
    with pytest.raises(ZeroDivisionError), checks.step("data", "bug"):
        checks.hold("data", "bug", holds=bool(1 // len(checks.found[9:])))
    assert [(each.name, each.outcome.value) for each in checks.found] == [
        ("read", "failed"),
        ("outer", "passed"),
        ("inner", "failed"),
    ]
    assert checks.found[0].message == "DataError: got nothing (look)"
    assert checks.found[0].duration_s == 1.0


def test_green_needs_a_check_that_passed_and_none_that_failed() -> None:
    """Nothing checked is not green."""
    require_green(report(GOOD, LEFT))
    for found in (report(GOOD, BAD), report(), report(LEFT)):
        with pytest.raises(GateError):
            require_green(found)


@pytest.mark.parametrize("forge", list(Forge))
def test_a_workflow_is_yaml_that_checks_and_publishes_and_is_never_overwritten_unasked(
    tmp_path: Path, forge: Forge
) -> None:
    """Every step's commands are there; a second time needs force."""
    path = write_workflow(tmp_path, forge)
    assert path == tmp_path / WORKFLOW_FILES[forge]
    text = path.read_text()
    assert yaml.safe_load(text)
    for command in ("edgeferry ci", "edgeferry train", "edgeferry convert", "edgeferry publish"):
        assert command in text
    with pytest.raises(ConflictError):
        write_workflow(tmp_path, forge)
    assert write_workflow(tmp_path, forge, force=True) == path
