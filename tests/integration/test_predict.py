"""Batch prediction with real runtimes, real processes, real kills."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from converter.predict.engine import LocalEngine
from converter.predict.predicting import predict
from converter.predict.released import from_bundle
from converter.predict.request import Request
from converter.scoring import score
from edgeferry.exit_codes import ExitCode
from fleet_contract.codec import encode
from tests.fakes.converter_predict import SilentProgress
from tests.fakes.host_releases import digits, make_release, store_blob
from tests.fakes.predict_command import bundle, command, rows, run, started
from tests.fakes.ray_cluster import descendants, survivors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["bundle", "rows"]


@pytest.mark.parametrize("variant", ["tflite-f32", "tflite-int8", "onnx-f32"])
def test_scores_are_those_of_the_runtime(bundle: Path, tmp_path: Path, variant: str) -> None:
    """Every score is that which the variant gives for the row alone, bit by bit."""
    np.save(tmp_path / "rows.npy", digits().inputs)
    released = from_bundle(bundle, variant)
    request = Request(
        released=released, data=tmp_path / "rows.npy", out=tmp_path / "out.npz", rows_per_chunk=100, all_scores=True
    )
    predict(request, LocalEngine(), progress=SilentProgress(), elapsed_s=time.perf_counter)
    with np.load(request.out) as archive:
        scores_BK: NDArray[np.float32] = archive["scores"]
    expected_BK = score(released.manifest, variant, released.artifact, digits().inputs)
    np.testing.assert_array_equal(scores_BK, expected_BK)


def test_a_kill_costs_a_chunk_and_changes_nothing(bundle: Path, rows: Path, tmp_path: Path) -> None:
    """After `kill -9` the children are gone, the same command goes on, and the result has the same bytes."""
    options = ("--batch", "100", "--workers", "2", "--json")
    through = Request(released=from_bundle(bundle), data=rows, out=tmp_path / "through.parquet", rows_per_chunk=100)
    predict(through, LocalEngine(), progress=SilentProgress(), elapsed_s=time.perf_counter)
    out = tmp_path / "killed.parquet"
    with started(command(bundle, rows, out, *options), out) as process:
        children = descendants(process.pid) - {process.pid}
        process.kill()
        process.wait()
    assert len(children) == 2
    assert survivors(children, timeout_s=10) == []
    assert not out.exists()
    done = run(bundle, rows, out, *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["resumed_rows"] >= 300
    assert out.read_bytes() == through.out.read_bytes()


def test_an_interrupt_says_how_to_go_on(bundle: Path, rows: Path, tmp_path: Path) -> None:
    """Ctrl-C ends with the code of an interruption, keeps what is finished, and tells so."""
    out = tmp_path / "out.csv"
    np.save(rows, np.tile(np.load(rows), (20, 1, 1, 1)))  # enough to be at it for seconds
    with started(command(bundle, rows, out, "--batch", "50", "--workers", "1"), out) as process:
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED
    assert f"kept in {out}.partial; the same command goes on from there" in told
    assert (tmp_path / "out.csv.partial" / "finished.jsonl").stat().st_size > 0


def test_images_are_known_by_their_file(bundle: Path, tmp_path: Path) -> None:
    """A folder of images gives the file, the label and the same scores as the array; a wrong size is named."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, image in enumerate(digits().inputs[:20]):
        Image.fromarray(image[:, :, 0]).save(folder / f"{number:03}.png")
    Image.new("L", (9, 9)).save(folder / "zzz.png")
    done = run(bundle, folder, tmp_path / "out.parquet")
    assert done.returncode == ExitCode.DATA
    assert "file zzz.png: got 9 x 9 (height x width), expected 8 x 8" in done.stderr
    done = run(bundle, folder, tmp_path / "out.parquet", "--on-error", "skip")
    assert done.returncode == 0, done.stderr
    table = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert table["file"] == [*(f"{number:03}.png" for number in range(20)), "zzz.png"]
    np.save(tmp_path / "rows.npy", digits().inputs[:20])
    assert run(bundle, tmp_path / "rows.npy", tmp_path / "rows.parquet").returncode == 0
    assert table["confidence"][:20] == pq.read_table(tmp_path / "rows.parquet").to_pydict()["confidence"]
    assert table["label"][20] is None


def test_a_model_file_that_is_none_harms_nobody(tmp_path: Path, rows: Path) -> None:
    """A file that the runtime refuses ends with the code for models, and leaves no result."""
    release = make_release(tmp_path / "blobs")
    first = msgspec.structs.replace(
        release.manifest.variants[0], blob=store_blob(tmp_path / "blobs", b"TFL3" * 99, "m")
    )
    document = msgspec.structs.replace(release.manifest, variants=(first,))
    (tmp_path / "release.json").write_bytes(encode(document))
    done = run(tmp_path, rows, tmp_path / "out.csv")
    assert done.returncode == ExitCode.MODEL, done.stderr
    assert "variant tflite-f32" in done.stderr
    assert not (tmp_path / "out.csv").exists()


@pytest.fixture(autouse=True)
def _no_children_left() -> Iterator[None]:
    """Whatever happens, no scoring process of this test outlives it."""
    yield
    mine = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    scoring = [pid for pid in mine if "converter.predict.child" in _command_line(pid)]
    assert scoring == []


def _command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
