"""Batch prediction over a real Ray cluster on this machine."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from converter.predict.engine import LocalEngine
from converter.predict.predicting import predict
from converter.predict.released import from_bundle
from converter.predict.request import Request
from tests.fakes.converter_predict import SilentProgress
from tests.fakes.predict_command import bundle, command, rows, run, started
from tests.fakes.ray_cluster import descendants, foreign_listeners, needs_ray, ray_folder, survivors

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["bundle", "ray_folder", "rows"]
OPTIONS = ("--batch", "100", "--engine", "ray", "--workers", "2", "--json")


@needs_ray
@pytest.mark.slow
def test_a_killed_run_over_ray_ends_with_the_bytes_of_the_local_engine(
    bundle: Path, rows: Path, tmp_path: Path, ray_folder: Path
) -> None:
    """After `kill -9` the cluster ends too; the same command goes on; nothing but the loopback heard of it."""
    through = Request(released=from_bundle(bundle), data=rows, out=tmp_path / "through.parquet", rows_per_chunk=100)
    predict(through, LocalEngine(), progress=SilentProgress(), elapsed_s=time.perf_counter)
    out = tmp_path / "ray.parquet"
    with started(command(bundle, rows, out, *OPTIONS), out) as process:
        cluster = descendants(process.pid)
        outside = foreign_listeners(process.pid)
        process.kill()
        process.wait()
    assert len(cluster) > 2
    assert outside == set()
    left = set(ray_folder.iterdir())

    done = run(bundle, rows, out, *OPTIONS)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["resumed_rows"] >= 300
    assert out.read_bytes() == through.out.read_bytes()
    assert set(ray_folder.iterdir()) == left
    assert survivors(cluster, timeout_s=90) == []  # Ray's own watchers notice its end last
