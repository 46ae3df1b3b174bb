"""Batch prediction against a plain loop over the runtime, and its memory at 10^4, 10^5 and 10^6 rows.

    python benchmarks/predict.py BUNDLE [--rows 200000] [--workers 1]

The plain loop is what a user would write: the rows in memory, preprocessed at once, one `set_tensor`, `invoke` and
`get_tensor` a row, the scores in one array; nothing is checked, kept or written. Both see the same rows, drawn from the
golden inputs, in turn, in a process of its own each, best of ROUNDS. The prediction's time is told twice: all of it,
with starting workers and writing the file, and between its first and its last chunk (the loop's time counts from a
loaded model too). On a machine with other work wall time punishes two processes more than one, so processor time is
told as well: of the loop, and of the worker and the command.
Memory is the greatest resident set of the command and of its worker, from the kernel.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from converter.bundle import load_bundle
from converter.predict.engine import LocalEngine
from converter.predict.predicting import predict
from converter.predict.released import from_bundle
from converter.predict.request import Request
from converter.process.runtimes import open_session
from fleet_contract.preprocessing import apply
from fleet_contract.tensors import dequantize, quantize

ROUNDS = 3
MEMORY_ROWS = (10_000, 100_000, 1_000_000)
SMALL_ROWS = 10_000
"""Written at a time, so that making the data takes no memory that is measured."""


class Stopwatch:
    """A progress that notes when chunks came."""

    def __init__(self) -> None:
        self.first_s = self.last_s = 0.0
        self.first_rows = self.rows = 0

    def begin(self, *, total_rows: int | None, finished_rows: int) -> None:
        """See `Progress.begin`."""

    def advance(self, rows: int, _fraction: float) -> None:
        """See `Progress.advance`."""
        now_s = time.perf_counter()
        if not self.first_rows:
            self.first_s, self.first_rows = now_s, rows
        self.last_s, self.rows = now_s, rows

    def write(self) -> None:
        """See `Progress.write`."""

    @property
    def steady_rows_per_s(self) -> float:
        """Rows a second between the first chunk and the last."""
        return (self.rows - self.first_rows) / max(1e-9, self.last_s - self.first_s)


def make_rows(bundle: Path, path: Path, count: int) -> None:
    """`count` rows as NPY, the golden inputs over and over, written in small parts."""
    loaded = load_bundle(bundle)
    with np.load(loaded.blob(loaded.manifest.golden)) as archive:
        golden = archive["inputs"]
    rows = np.lib.format.open_memmap(path, "w+", golden.dtype, (count, *golden.shape[1:]))
    for start in range(0, count, SMALL_ROWS):
        places = np.arange(start, min(count, start + SMALL_ROWS)) % len(golden)
        rows[start : start + len(places)] = golden[places]
    rows.flush()


def plain_loop(bundle: Path, data: Path, variant: str) -> dict[str, float]:
    """The loop that a user would write."""
    released = from_bundle(bundle, variant)
    session = open_session(released.variant.runtime, released.artifact)
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    stored_B = quantize(apply(released.manifest.preprocessing, np.load(data)), released.variant.input)
    rows = [session.run(stored_B[row : row + 1]) for row in range(len(stored_B))]
    scores_BK = dequantize(np.concatenate(rows), released.variant.output)
    count = len(scores_BK)
    cpu_us = (time.process_time() - begun_cpu_s) / count * 1e6
    return {"rows_per_s": count / (time.perf_counter() - begun_s), "cpu_us": cpu_us}


def batch(bundle: Path, data: Path, variant: str, workers: int) -> dict[str, float]:
    """A prediction into a Parquet file."""
    stopwatch, begun_cpu_s = Stopwatch(), time.process_time()
    with tempfile.TemporaryDirectory(dir=data.parent) as folder:
        request = Request(released=from_bundle(bundle, variant), data=data, out=Path(folder) / "out.parquet")
        summary = predict(request, LocalEngine(workers=workers), progress=stopwatch, elapsed_s=time.perf_counter)
    return {
        "rows_per_s": summary.rows_per_s,
        "steady_rows_per_s": stopwatch.steady_rows_per_s,
        "command_cpu_us": (time.process_time() - begun_cpu_s) / summary.rows * 1e6,
        "worker_cpu_us": _worker_cpu_s() / summary.rows * 1e6,
        "parent_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "worker_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    }


def _worker_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def alone(what: str, bundle: Path, data: Path, variant: str, workers: int = 1) -> dict[str, float]:
    """One of the two above in a process of its own."""
    arguments = [sys.executable, __file__, str(bundle), "--only", what, "--data", str(data)]
    arguments += ["--variant", variant, "--workers", str(workers)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(arguments, check=True, capture_output=True, text=True, env=environment)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def compare(bundle: Path, folder: Path, count: int, workers: int) -> None:
    """Prints throughput of the loop and of predictions, for each variant."""
    data = folder / "rows.npy"
    make_rows(bundle, data, count)
    print(f"{count:,} rows, {workers} worker(s), best of {ROUNDS} in turn")
    for variant in load_bundle(bundle).manifest.variants:
        loops, batches = [], []
        for _ in range(ROUNDS):
            loops.append(alone("loop", bundle, data, variant.id))
            batches.append(alone("batch", bundle, data, variant.id, workers))
        loop = max(each["rows_per_s"] for each in loops)
        whole = max(each["rows_per_s"] for each in batches)
        steady = max(each["steady_rows_per_s"] for each in batches)
        cpu_us = {
            name: min(each[name] for each in found)
            for name, found in (("cpu_us", loops), ("worker_cpu_us", batches), ("command_cpu_us", batches))
        }
        print(
            f"  {variant.id:12} loop {loop:9,.0f} rows/s   predict {whole:9,.0f} ({whole / loop:.2f})   "
            f"between first and last chunk {steady:9,.0f} ({steady / loop:.2f})\n"
            f"               processor time a row: loop {cpu_us['cpu_us']:.1f} us, worker "
            f"{cpu_us['worker_cpu_us']:.1f} us, command {cpu_us['command_cpu_us']:.1f} us"
        )
    data.unlink()


def memory(bundle: Path, folder: Path) -> None:
    """Prints the greatest resident set by the number of rows."""
    variant = load_bundle(bundle).manifest.variants[0].id
    for count in MEMORY_ROWS:
        data = folder / "rows.npy"
        make_rows(bundle, data, count)
        found = alone("batch", bundle, data, variant)
        print(f"  {count:9,} rows: command {found['parent_mb']:.0f} MB, worker {found['worker_mb']:.0f} MB")
        data.unlink()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", choices=["loop", "batch"], help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--variant", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only == "loop":
        print(json.dumps(plain_loop(asked.bundle, asked.data, asked.variant)))
    elif asked.only == "batch":
        print(json.dumps(batch(asked.bundle, asked.data, asked.variant, asked.workers)))
    else:
        with tempfile.TemporaryDirectory(prefix="edgeferry-benchmark-") as folder:
            compare(asked.bundle, Path(folder), asked.rows, asked.workers)
            memory(asked.bundle, Path(folder))


if __name__ == "__main__":
    main()
