"""A mark tells a process that is gone from one that works, and says nothing of other hosts."""

from __future__ import annotations

import subprocess
import sys

import pytest

from trainer.records.process_mark import is_gone, own_mark


def test_a_process_is_there_until_it_has_ended() -> None:
    """Killed and not yet waited for, it counts as gone already."""
    assert not is_gone(own_mark())
    code = "from trainer.records.process_mark import own_mark; print(own_mark(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        mark = child.stdout.readline().decode().strip()
        assert not is_gone(mark)
        child.kill()
        child.stdout.read()
        child.wait()
        assert is_gone(mark)


@pytest.mark.parametrize(
    ("part", "other", "gone"), [(0, "another-host", False), (1, "another-boot", True), (3, "1", True), (2, "x", False)]
)
def test_every_part_of_a_mark_counts(part: int, other: str, *, gone: bool) -> None:
    """A process id that was given anew, or is of an earlier boot, is another process; other hosts are not judged."""
    parts = own_mark().split("/")
    parts[part] = other
    assert is_gone("/".join(parts)) is gone


@pytest.mark.parametrize("mark", ["", "a/b", "a/b/c/d/e"])
def test_a_mark_that_cannot_be_read_says_nothing(mark: str) -> None:
    """Runs of other programs have none."""
    assert not is_gone(mark)
