"""The search's record: what an interrupted search finds again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from converter.plan import Plan
from converter.search import SearchTrial
from converter.trial_log import TrialLog, digest, read_trials
from fleet_contract.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

TRIALS = [SearchTrial(step="rescue", plan=Plan(float_layers=(name,)), sqnr_db=30.0) for name in ("a", "b")]


def filled(path: Path) -> None:
    """A record of two trials."""
    log = TrialLog(path, "k")
    for trial in TRIALS:
        log.add(trial)


def test_the_same_search_finds_its_trials(tmp_path: Path) -> None:
    """Trials come back in order."""
    filled(tmp_path / "t.jsonl")
    assert TrialLog(tmp_path / "t.jsonl", "k").known == TRIALS
    assert read_trials(tmp_path / "t.jsonl") == TRIALS


def test_another_search_begins_anew(tmp_path: Path) -> None:
    """Trials of another model, other rows or other tools are not taken for ours."""
    filled(tmp_path / "t.jsonl")
    assert TrialLog(tmp_path / "t.jsonl", "other").known == []
    assert read_trials(tmp_path / "t.jsonl") == []


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_line_that_a_power_cut_left_half_is_dropped(tmp_path: Path, cut: int) -> None:
    """The trials before it stay, and the next one is appended on a line of its own."""
    path = tmp_path / "t.jsonl"
    filled(path)
    path.write_bytes(path.read_bytes()[:-cut])
    log = TrialLog(path, "k")
    assert log.known == TRIALS[: 2 if cut == 1 else 1]
    log.add(TRIALS[1])
    assert read_trials(path) == [*log.known, TRIALS[1]]


@pytest.mark.parametrize("junk", [b"", b"\n", b"not json\n", b"\xff\xfe"])
def test_junk_is_no_record(tmp_path: Path, junk: bytes) -> None:
    """A file that is something else is begun anew."""
    path = tmp_path / "t.jsonl"
    path.write_bytes(junk)
    assert TrialLog(path, "k").known == []


def test_a_record_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "f").touch()
    with pytest.raises(StorageError, match="f/t"):
        TrialLog(tmp_path / "f" / "t.jsonl", "k")


def test_the_digest_keeps_parts_apart() -> None:
    """Moving a byte from one part to the next gives another digest."""
    assert digest([b"ab", "c"]) != digest([b"a", "bc"])
