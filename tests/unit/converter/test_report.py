"""The report page: whole, self-contained, and safe to open."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from converter.gates import at_most, fact
from converter.report import ConversionReport, StageTime, VariantReport
from converter.report_html import render
from converter.report_plot import plot_svg
from fleet_contract.release import VariantEvidence

FIGURES = VariantEvidence(
    sample_count=400,
    accuracy=0.92,
    accuracy_drop=0.0025,
    top1_agreement=0.99,
    max_abs_error=0.02,
    mean_abs_error=0.001,
    sqnr_db=40.0,
    latency_p50_ms=0.01,
    latency_p95_ms=0.02,
    host_rss_mb=45.0,
)


def report(remark: str = "") -> ConversionReport:
    """One published variant, one refused by a gate, one that was never built."""
    gate = at_most("size-bytes", 2000.0, 1000.0)
    crash = fact("built", holds=False, detail="the child process died of SIGSEGV")
    return ConversionReport(
        model="digits",
        candidate_created_at=datetime(2026, 11, 23, tzinfo=UTC),
        override="",
        float_accuracy=0.925,
        holdout_rows=400,
        calibration_rows=100,
        golden_rows=64,
        variants=(
            VariantReport(
                id="tflite-int8", published=True, reason="", size_bytes=900, build_s=1.0, gates=(), evidence=FIGURES
            ),
            VariantReport(
                id="onnx-f32",
                published=False,
                reason="size",
                size_bytes=2000,
                build_s=1.0,
                gates=(gate,),
                evidence=FIGURES,
            ),
            VariantReport(
                id="tflite-f32", published=False, reason=crash.detail, size_bytes=0, build_s=0.0, gates=(crash,)
            ),
        ),
        stages=(StageTime(name="build", duration_s=9.5),),
        remarks=(remark,) if remark else (),
    )


def test_the_page_shows_every_variant_with_its_verdict() -> None:
    """Published and refused variants, the failed gate and the crash are all there."""
    page = render(report())
    for words in ("1 of 3 variants", "tflite-int8", "onnx-f32", "died of SIGSEGV", "size-bytes", "2000", "92.00%"):
        assert words in page


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """No script, no link, no image, no font: only XML namespaces name another host."""
    page = re.sub(r'xmlns(:\w+)?="[^"]*"', "", render(report()))
    assert not re.search(r"<script|<link|<img|@import|url\(\s*['\"]?http|(src|href)=\"(?!#)", page)


def test_words_from_outside_cannot_become_markup() -> None:
    """A remark may hold the words of a tool, which are not ours."""
    assert "<b>x" not in render(report("<b>x</b>"))


def test_the_picture_is_xml_and_the_same_every_time() -> None:
    """The plot parses and does not depend on when it was drawn."""
    first = plot_svg(report())
    assert ET.fromstring(first).tag.endswith("svg")  # noqa: S314  our own text
    assert first == plot_svg(report())


def test_a_report_of_nothing_that_ran_has_no_picture() -> None:
    """Without a figure there is nothing to draw."""
    empty = ConversionReport(
        model="digits",
        candidate_created_at=datetime(2026, 11, 23, tzinfo=UTC),
        override="ana: trial run",
        float_accuracy=0.9,
        holdout_rows=64,
        calibration_rows=1,
        golden_rows=64,
        variants=report().variants[2:],
        stages=(),
    )
    page = render(empty)
    assert "<svg" not in page
    assert "ana: trial run" in page
