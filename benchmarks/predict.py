"""Batch prediction against a plain loop over the runtime, and its memory at 10^4, 10^5 and 10^6 rows.

    python benchmarks/predict.py [BUNDLE ...] [--seconds 10]

Without bundles it trains and converts two networks on scikit-learn's digits by the project's own commands, a tiny one
and one of some tenths of a millisecond a row, and keeps them in the system's folder for temporary files.

The plain loop is what a user would write: the rows in memory, preprocessed at once, one call or three of the runtime a
row, the scores in one array; nothing is checked, kept or written. Both see the same rows, drawn from the golden inputs,
in turn, in a process of its own each, best of ROUNDS. The prediction's time is all of it, with starting workers and
writing the file; the loop's counts from a loaded model. It runs with the command's default, a worker a core, and with
one worker. On a machine with other work wall time punishes several processes more than one, so processor time is told
as well, of command and workers together, their start included. Memory is the greatest resident set of the command and
of its worker, from the kernel.
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
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.bundle import load_bundle
from converter.predict.engine import LocalEngine
from converter.predict.predicting import predict
from converter.predict.released import from_bundle
from converter.predict.request import Request
from fleet_contract.device_profile import Runtime
from fleet_contract.preprocessing import apply
from fleet_contract.tensors import dequantize, quantize

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Infer = Callable[[NDArray[Any]], NDArray[Any]]

ROUNDS = 3
MAX_ROWS = 1_000_000
MEMORY_ROWS = (10_000, 100_000, 1_000_000)
SMALL_ROWS = 10_000
"""Written at a time, so that making the data takes no memory that is measured."""
NETWORKS = {"tiny": (4, 1), "realistic": (64, 3)}
"""Filters of a convolution, and how many convolutions."""
MODEL = """
import keras
from keras import layers

def build_model(input_shape, class_count, *, filters, depth):
    convolutions = [layers.Conv2D(filters, 3, padding="same", activation="relu") for _ in range(depth)]
    head = [layers.MaxPooling2D(), layers.Flatten(), layers.Dense(class_count, activation="softmax")]
    return keras.Sequential([keras.Input(input_shape), *convolutions, *head])
"""
PROJECT = """
[project]
name = "benchmark"
[data]
source = "builtin:digits"
[preprocessing]
transforms = [{ kind = "standardize" }]
[model.hyperparameters]
filters = %d
depth = %d
[train]
epochs = 12
learning_rate = 0.01
[resources]
priority = 0
[validate]
min_accuracy = 0.5
min_gain_over_baseline = 0.0
[convert]
recipes = ["tflite-f32", "onnx-f32"]
"""


class Silent:
    """A progress for nobody."""

    def begin(self, *, total_rows: int | None, finished_rows: int) -> None:
        """See `Progress.begin`."""

    def advance(self, rows: int, fraction: float) -> None:
        """See `Progress.advance`."""

    def write(self) -> None:
        """See `Progress.write`."""


def make_bundle(name: str) -> Path:
    """The bundle of one of our networks, made the first time that it is asked for."""
    folder = Path(tempfile.gettempdir()) / f"edgeferry-benchmark-predict-{os.getuid()}" / name
    if not (folder / "release").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "edgeferry.toml").write_text(PROJECT % NETWORKS[name])
        (folder / "model.py").write_text(MODEL)
        for command in (
            ["train", "--project", str(folder), "--out", str(folder / "candidate")],
            ["convert", str(folder / "candidate"), "--out", str(folder / "release")],
        ):
            subprocess.run([sys.executable, "-m", "edgeferry", *command], check=True, capture_output=True)
    return folder / "release"


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
    infer = _tflite(released.artifact) if released.variant.runtime is Runtime.TFLITE else _onnx(released.artifact)
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    stored_B = quantize(apply(released.manifest.preprocessing, np.load(data)), released.variant.input)
    rows = [infer(stored_B[row : row + 1]) for row in range(len(stored_B))]
    scores_BK = dequantize(np.concatenate(rows), released.variant.output)
    cpu_us = (time.process_time() - begun_cpu_s) / len(scores_BK) * 1e6
    return {"rows_per_s": len(scores_BK) / (time.perf_counter() - begun_s), "cpu_us": cpu_us}


def _tflite(path: Path) -> Infer:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    place = interpreter.get_input_details()[0]["index"]
    output = interpreter.get_output_details()[0]["index"]

    def infer(row: NDArray[Any]) -> NDArray[Any]:
        interpreter.set_tensor(place, row)
        interpreter.invoke()
        return interpreter.get_tensor(output)

    return infer


def _onnx(path: Path) -> Infer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda row: session.run(None, {name: row})[0]


def batch(bundle: Path, data: Path, variant: str, workers: int) -> dict[str, float]:
    """A prediction into a Parquet file."""
    begun_cpu_s = time.process_time()
    with tempfile.TemporaryDirectory(dir=data.parent) as folder:
        request = Request(released=from_bundle(bundle, variant), data=data, out=Path(folder) / "out.parquet")
        engine = LocalEngine(workers=workers or len(os.sched_getaffinity(0)))
        summary = predict(request, engine, progress=Silent(), elapsed_s=time.perf_counter)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = time.process_time() - begun_cpu_s + children.ru_utime + children.ru_stime
    return {
        "rows_per_s": summary.rows_per_s,
        "cpu_us": cpu_s / summary.rows * 1e6,
        "parent_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "worker_mb": children.ru_maxrss / 1024,
    }


def alone(what: str, bundle: Path, data: Path, variant: str, workers: int) -> dict[str, float]:
    """One of the two above in a process of its own."""
    arguments = [sys.executable, __file__, str(bundle), "--only", what, "--data", str(data)]
    arguments += ["--variant", variant, "--workers", str(workers)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(arguments, check=True, capture_output=True, text=True, env=environment)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def compare(bundle: Path, folder: Path, seconds: float) -> None:
    """Prints throughput of the loop and of predictions, for each variant."""
    data = folder / "rows.npy"
    for variant in load_bundle(bundle).manifest.variants:
        count = int(min(MAX_ROWS, seconds * 1000 / variant.evidence.latency_p50_ms))
        make_rows(bundle, data, count)
        runs: dict[str, list[dict[str, float]]] = {"loop": [], "default": [], "one worker": []}
        for _ in range(ROUNDS):
            runs["loop"].append(alone("loop", bundle, data, variant.id, workers=0))
            runs["default"].append(alone("batch", bundle, data, variant.id, workers=0))
            runs["one worker"].append(alone("batch", bundle, data, variant.id, workers=1))
        print(f"  {variant.id}, {count:,} rows")
        loop_per_s = max(run["rows_per_s"] for run in runs["loop"])
        for name, found in runs.items():
            rows_per_s, cpu_us = max(run["rows_per_s"] for run in found), min(run["cpu_us"] for run in found)
            ratio = f"({rows_per_s / loop_per_s:.2f})"
            print(f"    {name:11} {rows_per_s:9,.0f} rows/s {ratio}, processor time a row {cpu_us:.1f} us", flush=True)
        data.unlink()


def memory(bundle: Path, folder: Path) -> None:
    """Prints the greatest resident set by the number of rows."""
    variant = load_bundle(bundle).manifest.variants[0].id
    for count in MEMORY_ROWS:
        data = folder / "rows.npy"
        make_rows(bundle, data, count)
        found = alone("batch", bundle, data, variant, workers=1)
        print(f"  {count:9,} rows: command {found['parent_mb']:.0f} MB, worker {found['worker_mb']:.0f} MB")
        data.unlink()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="*")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the loop, about")
    parser.add_argument("--workers", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=["loop", "batch"], help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--variant", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only == "loop":
        print(json.dumps(plain_loop(asked.bundles[0], asked.data, asked.variant)))
    elif asked.only == "batch":
        print(json.dumps(batch(asked.bundles[0], asked.data, asked.variant, asked.workers)))
    else:
        measure(asked.bundles or [make_bundle(name) for name in NETWORKS], asked.seconds)


def measure(bundles: list[Path], seconds: float) -> None:
    """Prints throughput for each bundle, and memory for the first."""
    print(f"best of {ROUNDS} in turn; default: {len(os.sched_getaffinity(0))} workers; load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="edgeferry-benchmark-") as folder:
        for bundle in bundles:
            print(bundle)
            compare(bundle, Path(folder), seconds)
        memory(bundles[0], Path(folder))


if __name__ == "__main__":
    main()
