"""`edgeferry convert --target`: verdicts for each target and the search in the report, with the real tools."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from converter.bundle import load_bundle
from converter.proof.targets import TARGETS, is_this_machine
from converter.report.figures import MAX_REPORT_BYTES, ConversionReport
from edgeferry.cli import run
from edgeferry.exit_codes import ExitCode
from fleet_contract.candidate import GateOverrides
from fleet_contract.codec import decode
from tests.fakes.converter_candidates import candidate, write_candidate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_a_conversion_for_two_targets_says_which_variant_is_for_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Float is too large for one and is for the other alone; the search is on record though `out` is relative."""
    monkeypatch.chdir(tmp_path)
    candidate("cnn", tmp_path / "candidate", targets={"pi-5": GateOverrides(max_size_bytes=30_000)})
    arguments = ["--recipes", "tflite-f32,tflite-int8", "--target", "pi-4", "--target", "pi-5,pi-4", "--json"]
    assert run(["convert", "candidate", "--out", "release", *arguments]) == ExitCode.OK
    printed = capsys.readouterr().out
    report = decode(printed.encode(), ConversionReport, max_bytes=MAX_REPORT_BYTES)
    assert report.targets == ("pi-4", "pi-5")
    suits = {each.id: [verdict.suits for verdict in each.targets] for each in report.variants}
    here = is_this_machine(TARGETS["pi-4"])
    assert suits["tflite-f32"] == [True, False]
    assert suits["tflite-int8"] == [True, True] or here
    assert [len(search.trials) > 0 for search in report.search] == [True]
    assert load_bundle(tmp_path / "release").manifest.variant("tflite-f32").requirements.archs == ()
    assert not (tmp_path / ".release.search").exists()
    assert json.loads(printed)["variants"][1]["resolved"].startswith("tflite-int8-")


def test_a_target_that_does_not_exist_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The nearest is named."""
    folder = write_candidate(tmp_path / "candidate", b"model")
    assert run(["convert", str(folder), "--out", str(tmp_path / "o"), "--target", "pi-6,pi-44"]) == ExitCode.CONFIG
    assert "did you mean" in capsys.readouterr().err
