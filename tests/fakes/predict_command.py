"""`edgeferry predict` as a process, with a release and rows for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fleet_contract.codec import encode
from tests.fakes.host_releases import digits, make_release

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits as a bundle."""
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "release.json").write_bytes(encode(make_release(folder / "blobs").manifest))
    return folder


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A few thousand digits as NPY."""
    np.save(tmp_path / "rows.npy", np.tile(digits().inputs, (20, 1, 1, 1)))
    return tmp_path / "rows.npy"


def command(bundle: Path, data: Path, out: Path, *options: str) -> list[str]:
    """`edgeferry predict`, with the interpreter of the tests."""
    return [sys.executable, "-m", "edgeferry", "predict", str(bundle), str(data), "--out", str(out), *options]


def run(bundle: Path, data: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The command, to its end."""
    return subprocess.run(
        command(bundle, data, out, *options), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


class started:  # noqa: N801  reads as a word of the test
    """The command at work, with three chunks or more finished."""

    def __init__(self, arguments: list[str], out: Path) -> None:
        # Whoever starts tests in the background may ignore Ctrl-C, which children inherit; a handler they do not.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._lines = out.with_name(f"{out.name}.partial") / "finished.jsonl"
        self._process = subprocess.Popen(
            arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
        )

    def __enter__(self) -> subprocess.Popen[str]:
        deadline = time.monotonic() + 60
        while not self._lines.exists() or self._lines.read_bytes().count(b"\n") < 3:
            assert self._process.poll() is None, self._process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return self._process

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
