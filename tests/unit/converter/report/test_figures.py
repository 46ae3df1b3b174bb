"""The report: whole, self-contained and safe to open; the same figures on the page, in the terminal and in JSON."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import msgspec

from converter.building import Build
from converter.plan import Plan
from converter.proof.budgets import TargetVerdict
from converter.proof.gates import at_most, fact
from converter.proof.trial import Trial
from converter.proof.verdicts import settle
from converter.recipe import parse_recipe
from converter.report.figures import (
    ConversionReport,
    SearchReport,
    StageTime,
    search_reports,
    slow_remarks,
    trial_record,
    variant_reports,
)
from converter.report.html import render
from converter.report.plot import plot_search, plot_variants
from converter.report.rows import columns, row
from converter.report.terminal import print_report, refusals
from converter.search import SearchTrial
from converter.trial_log import TrialLog
from fleet_contract.candidate import Keep, VariantGates
from fleet_contract.device_profile import Runtime
from tests.fakes.converter_figures import accuracy, parity, trial

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SEARCH = SearchReport(
    runtime=Runtime.TFLITE,
    trials=(
        SearchTrial(step="calibration", plan=Plan(), sqnr_db=30.0, top1_agreement=0.95, size_bytes=900),
        SearchTrial(
            step="rescue", plan=Plan(float_layers=("conv1",)), sqnr_db=35.0, top1_agreement=0.98, size_bytes=990
        ),
        SearchTrial(step="calibration", plan=Plan(bias=True), error="<i>no bias</i>"),
    ),
)


def trials() -> list[Trial]:
    """One published variant, one refused by a gate, one that was never built."""
    int8 = trial("tflite-int8-mixed", size_bytes=900, parity=parity(accuracy=accuracy(0.92, 0.0025), sqnr_db=40.0))
    crash = fact("built", holds=False, detail="the child process died of SIGSEGV")
    dead = Trial(Build(parse_recipe("tflite-f32"), error=crash.detail), 0, (crash,))
    return settle(
        [int8, trial("onnx-int8", size_bytes=2000), dead],
        {"tflite-int8-mixed": 0.01, "onnx-int8": 0.02},
        gates=VariantGates(max_size_bytes=1000),
        budgets=(),
        keep=Keep.ALL,
    )


def report(**changes: Any) -> ConversionReport:
    """The report of those trials."""
    plain = ConversionReport(
        model="digits",
        candidate_created_at=datetime(2026, 11, 23, tzinfo=UTC),
        override="",
        float_accuracy=0.925,
        holdout_rows=400,
        calibration_rows=100,
        golden_rows=64,
        variants=variant_reports(trials()),
        stages=(StageTime(name="build", duration_s=9.5),),
    )
    return msgspec.structs.replace(plain, **changes)


@cache
def plain_page() -> str:
    """The page of the report as it is; drawing takes a second."""
    return render(report())


def test_the_page_shows_every_variant_with_its_verdict() -> None:
    """Published and refused variants, the failed gate and the crash are all there."""
    page = render(report())
    for words in (
        "1 of 3 variants",
        "tflite-int8-mixed",
        "onnx-int8",
        "died of SIGSEGV",
        "size-bytes",
        "2000",
        "92.00%",
    ):
        assert words in page


def test_the_page_shows_the_search() -> None:
    """Each step with its plan, the plot, and why a trial gave nothing."""
    page = render(report(search=(SEARCH,)))
    for words in ("Search for tflite: 3 trials", "rescue", "35.0 dB", "&lt;i&gt;no bias&lt;/i&gt;"):
        assert words in page
    assert "Search for" not in plain_page()


def test_a_long_search_is_cut_on_the_page_and_whole_in_the_json() -> None:
    """A page of thousands of rows helps nobody."""
    failing = msgspec.structs.replace(SEARCH, trials=SEARCH.trials[2:] * 300)
    assert "100 further trials" in render(report(search=(failing,)))


def test_layers_left_in_float_are_listed_by_name() -> None:
    """A person sees what the search kept, in the table as a number and below by name."""
    variant = msgspec.structs.replace(
        report().variants[0], float_layers=("conv1", "softmax"), resolved="tflite-int8-mixed-mse", search_complete=False
    )
    page = render(report(variants=(variant,)))
    assert "conv1, softmax" in page
    assert "2, time was up" in page
    assert "tflite-int8-mixed-mse" in page


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """No script, no link, no image, no font: only XML namespaces name another host."""
    page = re.sub(r'xmlns(:\w+)?="[^"]*"', "", plain_page())
    assert not re.search(r"<script|<link|<img|@import|url\(\s*['\"]?http|(src|href)=\"(?!#)", page)


def test_words_from_outside_cannot_become_markup() -> None:
    """A remark may hold the words of a tool, which are not ours."""
    assert "<b>x" not in render(report(remarks=("<b>x</b>",)))


def test_the_pictures_are_xml_and_the_same_every_time() -> None:
    """The plots parse and do not depend on when they were drawn."""
    for first, second in (
        (plot_variants(report()), plot_variants(report())),
        (plot_search(SEARCH), plot_search(SEARCH)),
    ):
        assert ET.fromstring(first).tag.endswith("svg")  # noqa: S314  our own text
        assert first == second


def test_a_report_of_nothing_that_ran_has_no_picture() -> None:
    """Without a figure there is nothing to draw."""
    page = render(report(variants=report().variants[2:], override="ana: trial run"))
    assert "<svg" not in page
    assert "ana: trial run" in page


def test_a_report_without_labels_shows_no_accuracy() -> None:
    """Neither as a column nor in words; agreement only where there are classes."""
    unlabelled = variant_reports([trial("tflite-int8", parity=parity(accuracy=None))])
    shown = report(labelled=False, variants=unlabelled)
    assert "agreement" in columns(shown)
    assert "accuracy" not in columns(shown)
    assert "no accuracy" in render(shown)
    bare = variant_reports([trial("tflite-int8", parity=parity(accuracy=None, agreement=None))])
    assert not {"accuracy", "agreement"} & set(columns(report(labelled=False, classes=False, variants=bare)))


def test_the_front_is_marked_and_explained() -> None:
    """The one published variant is the front, and wins in all."""
    shown = report()
    cells = dict(zip(columns(shown), row(shown, shown.variants[0]), strict=True))
    assert cells["front"] == "*"
    assert cells["drop, 95 % bound"] == "+0.25, +0.67"
    assert "loss, size, latency, RAM" in plain_page()


def test_every_row_fits_the_columns() -> None:
    """What ran has a cell for each column, what did not has its name and verdict."""
    shown = report()
    assert [len(row(shown, each)) for each in shown.variants] == [len(columns(shown)), len(columns(shown)), 2]


def test_the_terminal_says_why_a_variant_is_refused_and_for_which_target(capsys: pytest.CaptureFixture[str]) -> None:
    """The table goes to stdout, and a line for each refusal."""
    gate = at_most("latency-over-float", 1.4, 1.05)
    variant = msgspec.structs.replace(
        report().variants[0],
        targets=(
            TargetVerdict(target="pi-4", suits=True, gates=()),
            TargetVerdict(target="x86-64", suits=False, gates=(gate,)),
        ),
    )
    shown = report(targets=("pi-4", "x86-64"), variants=(variant, *report().variants[1:]))
    print_report(shown)
    printed = capsys.readouterr().out
    assert "tflite-int8-mixed not for x86-64: latency-over-float: got 1.4, expected 1.05" in printed
    assert "onnx-int8 refused: size-bytes: got 2000, expected 1000" in printed
    assert len(refusals(shown)) == 3
    assert "x86-64" in render(shown)


def test_the_report_survives_the_disk() -> None:
    """report.json decodes to itself, also with a latency that was never measured."""
    shown = report(variants=variant_reports([trial("tflite-int8")]))
    assert msgspec.json.decode(msgspec.json.encode(shown), type=ConversionReport) == shown
    assert shown.variants[0].latency_ms == 0.0


def test_slow_int8_is_remarked_on_where_no_target_could_refuse_it() -> None:
    """Twice the time of float is worth a sentence; five percent is noise."""
    for ratio, remarks in ((2.0, 1), (1.04, 0)):
        found = settle(
            [trial("tflite-f32", size_bytes=4000), trial("tflite-int8")],
            {"tflite-f32": 1.0, "tflite-int8": ratio},
            gates=VariantGates(),
            budgets=(),
            keep=Keep.ALL,
        )
        assert len(slow_remarks(found, variant_reports(found))) == remarks


def test_the_search_is_read_from_its_records(tmp_path: Path) -> None:
    """Each runtime's trials in order; a runtime without a record is left out."""
    log = TrialLog(trial_record(tmp_path / "trials", Runtime.TFLITE), "key")
    for each in SEARCH.trials:
        log.add(each)
    assert search_reports(tmp_path / "trials") == (SEARCH,)
