"""A conversion that is killed in its search goes on where it stopped, and ends in the same bytes."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from converter.pipeline import search_folder
from converter.trial_log import read_trials
from fleet_contract.candidate import VariantGates
from tests.fakes.converter_candidates import candidate

if TYPE_CHECKING:
    from converter.search import SearchTrial

ROOT = Path(__file__).parents[2]
ENOUGH_TRIALS = 12


def begin(source: Path, out: Path) -> subprocess.Popen[bytes]:
    """`edgeferry convert` of the mixed recipe, which searches for a while."""
    command = [sys.executable, "-m", "edgeferry", "convert", str(source), "--out", str(out)]
    return subprocess.Popen(
        [*command, "--recipes", "tflite-int8-mixed"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def trials_of(out: Path) -> list[SearchTrial]:
    """What is on record of the search for the bundle at `out`."""
    return read_trials(search_folder(out) / "trials-tflite.jsonl")


def wait_for_trials(running: subprocess.Popen[bytes], out: Path) -> None:
    """Until the search has some trials on record."""
    ends_s = time.monotonic() + 120
    while len(trials_of(out)) < ENOUGH_TRIALS:
        assert running.poll() is None, running.stderr.read() if running.stderr else ""
        assert time.monotonic() < ends_s, "no trials in two minutes"
        time.sleep(0.02)


def finish(running: subprocess.Popen[bytes]) -> None:
    """To its good end."""
    _, words = running.communicate(timeout=240)
    assert running.returncode == 0, words.decode()


def blob_hashes(out: Path) -> list[str]:
    """Of everything that the bundle holds."""
    return sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in (out / "blobs").iterdir())


@pytest.mark.slow
def test_a_killed_search_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """After `kill -9` nobody writes on, no trial is lost, and the bundle is that of an uninterrupted search."""
    source = candidate("cnn", tmp_path / "candidate", gates=VariantGates(min_top1_agreement=0.99))
    out = tmp_path / "killed"
    running = begin(source, out)
    with running:
        wait_for_trials(running, out)
        os.kill(running.pid, signal.SIGKILL)
    before = trials_of(out)
    time.sleep(1.0)
    assert trials_of(out) == before
    assert not out.exists()

    record = search_folder(out)
    with begin(source, out) as again, begin(source, tmp_path / "whole") as whole:
        wait_for_trials(again, out)
        assert trials_of(out)[: len(before)] == before
        finish(again)
        finish(whole)
    assert blob_hashes(out) == blob_hashes(tmp_path / "whole")
    assert not record.exists()
