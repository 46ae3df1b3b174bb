"""JUnit XML: what forges show of a run. Written for ours, read from pytest's own. Pure.

Source: the schema that pytest's `--junit-xml` follows (junit_family xunit2)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from fleet_contract.errors import ContractError
from trainer.ci.checks import Check, Outcome

if TYPE_CHECKING:
    from trainer.ci.checks import CiReport

_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(report: CiReport) -> bytes:
    """The report with one test suite for each of ours."""
    root = ET.Element("testsuites", name=f"edgeferry {_clean(report.model)}")
    for suite in dict.fromkeys(check.suite for check in report.checks):
        _add_suite(root, suite, report)
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _add_suite(root: ET.Element, suite: str, report: CiReport) -> None:
    checks = report.suite(suite)
    counts = {outcome: sum(check.outcome is outcome for check in checks) for outcome in Outcome}
    element = ET.SubElement(
        root,
        "testsuite",
        name=_clean(suite),
        tests=str(len(checks)),
        failures=str(counts[Outcome.FAILED]),
        errors="0",
        skipped=str(counts[Outcome.SKIPPED]),
        time=f"{sum(check.duration_s for check in checks):.3f}",
        timestamp=report.at.isoformat(),
    )
    for check in checks:
        case = ET.SubElement(
            element, "testcase", classname=_clean(suite), name=_clean(check.name), time=f"{check.duration_s:.3f}"
        )
        if check.outcome is Outcome.FAILED:
            ET.SubElement(case, "failure", message=_clean(check.message.partition("\n")[0])).text = _clean(
                check.message
            )
        elif check.outcome is Outcome.SKIPPED:
            ET.SubElement(case, "skipped", message=_clean(check.message))
        elif check.message:
            ET.SubElement(case, "system-out").text = _clean(check.message)


def _clean(text: str) -> str:
    """The text without what XML cannot hold."""
    return _NOT_IN_XML.sub("?", text)


def read_pytest(xml: bytes, suite: str) -> list[Check]:
    """The test cases in pytest's report as checks of `suite`.

    Raises:
        ContractError: it is no such report.
    """
    try:
        root = ET.fromstring(xml)  # noqa: S314  written a moment ago by our own child
    except ET.ParseError as error:
        raise ContractError(f"pytest's report: {error}") from error
    return [_check(case, suite) for case in root.iter("testcase")]


def _check(case: ET.Element, suite: str) -> Check:
    outcome, message = Outcome.PASSED, ""
    for child in case:
        if child.tag in {"failure", "error"}:
            outcome, message = Outcome.FAILED, child.get("message", "") or (child.text or "")
        elif child.tag == "skipped" and outcome is Outcome.PASSED:
            outcome, message = Outcome.SKIPPED, child.get("message", "")
    name = f"{case.get('classname', '')}::{case.get('name', '')}".lstrip(":")
    duration_s = float(case.get("time", "0") or 0)
    return Check(suite=suite, name=name, outcome=outcome, message=message, duration_s=duration_s)
