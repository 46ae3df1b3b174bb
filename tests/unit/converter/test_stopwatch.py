"""The stopwatch passes on what it hears and keeps the times."""

from __future__ import annotations

from converter.stopwatch import Stopwatch
from tests.fakes.converter_candidates import RecordingProgress


def test_each_stage_lasts_until_the_next() -> None:
    """Times come from the clock that is given, the last stage runs until it is asked."""
    ticks = iter([10.0, 12.5, 13.0])
    progress = RecordingProgress()
    watch = Stopwatch(progress, lambda: next(ticks))
    watch.stage("build")
    watch.stage("prove")
    watch.remark("slow today")
    assert [(time.name, time.duration_s) for time in watch.times()] == [("build", 2.5), ("prove", 0.5)]
    assert (progress.stages, progress.remarks, watch.remarks) == (["build", "prove"], ["slow today"], ["slow today"])
