"""Progress on the terminal: time and trials of the stage at work."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console

from converter.console_progress import Ticker, console_progress

if TYPE_CHECKING:
    from pathlib import Path


def test_the_ticker_tells_the_time_of_the_stage() -> None:
    """It starts anew with each stage."""
    now = [100.0]
    ticker = Ticker("converting", lambda: now[0])
    now[0] = 107.0
    assert str(ticker.__rich__()) == "converting (7 s)"
    ticker.begin("prove [tflite-int8]")
    now[0] = 108.0
    assert str(ticker.__rich__()) == "prove \\[tflite-int8] (1 s)"


def test_the_ticker_counts_the_trials_on_record_since_the_stage_began(tmp_path: Path) -> None:
    """The first line of a record is no trial, records of both runtimes count, and older trials are not progress."""
    (tmp_path / "trials-tflite.jsonl").write_text("key\n1\n2\n")
    ticker = Ticker("build", lambda: 0.0, tmp_path)
    assert "trials" not in ticker.__rich__()
    (tmp_path / "trials-tflite.jsonl").write_text("key\n1\n2\n3\n")
    (tmp_path / "trials-onnx.jsonl").write_text("key\n1\n")
    assert ticker.__rich__() == "build (0 s, 4 trials of the search)"


def test_stages_and_remarks_stay_on_the_terminal() -> None:
    """Each has a line of its own, as it is."""
    console = Console(file=io.StringIO(), width=100)
    with console_progress(console, "converting") as progress:
        progress.stage("prove")
        progress.remark("slow [today]")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines()[:2] == ["- prove", "note: slow [today]"]
