"""Our default int8 choice against what the default tools give: size, agreement, SQNR, accuracy, latency, in one run.

    python benchmarks/converter [--models FOLDER] [--only NAME] [--json FILE]

For each model: (a) the TFLite converter's full int8, (b) onnxruntime's default static quantization, (c) float. Ranges
are calibrated and the choice is made on rows of their own, every figure is of others. Latency is the median of single
inferences on one thread, all contenders in turn in one process. FOLDER holds the reference models of MLPerf Tiny
(mlcommons/tiny, Apache-2.0); without it only our own two networks are measured, which are trained on the spot.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from inputs import INPUTS

from converter.calibration import calibration_split
from converter.process.jobs import JOB_FILE, REFERENCE_FILE, SCORES_FILE, BuildJob, Built, ModelKind, ProveJob
from converter.process.sandbox import Limits, environment, run_job
from converter.proof.latency import compare_latency
from converter.proof.parity import agreement, sqnr_db
from fleet_contract.codec import decode, encode
from fleet_contract.device_profile import Runtime
from fleet_contract.tensors import DType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

HERE = Path(__file__).parent
RECIPES = ("tflite-f32", "tflite-int8", "tflite-int8-tf", "onnx-f32", "onnx-int8")
CALIBRATION_ROWS, REPORT_ROWS = 400, 1000
LIMITS = Limits(timeout_s=1200)


class Case(NamedTuple):
    """A model with its rows. `labels` is absent where we have none."""

    name: str
    model: Path
    kind: ModelKind
    calibration_B: NDArray[np.float32]
    report_B: NDArray[np.float32]
    outputs: int
    labels_B: NDArray[np.int64] | None = None


def mlperf_tiny(folder: Path) -> Iterable[Case]:
    """The four reference models, from their float originals."""
    for name, file, kind, source, outputs in (
        ("ResNet8", "ic_resnet8.h5", ModelKind.KERAS, "photos-32", 10),
        ("MobileNet 0.25", "vww_mobilenet.h5", ModelKind.KERAS, "photos-96", 2),
        ("DS-CNN", "kws_dscnn_savedmodel", ModelKind.SAVED_MODEL, "spoken", 12),
        ("autoencoder", "ad_autoencoder.h5", ModelKind.KERAS, "hum", 640),
    ):
        rows_B = INPUTS[source](CALIBRATION_ROWS + REPORT_ROWS)
        yield Case(name, folder / file, kind, rows_B[:CALIBRATION_ROWS], rows_B[CALIBRATION_ROWS:], outputs)


def own_projects(folder: Path) -> Iterable[Case]:
    """Two networks, trained now; accuracy on rows that they never saw."""
    subprocess.run(
        [sys.executable, HERE / "projects.py", folder], check=True, env=dict(environment(single_thread=False))
    )
    data = np.load(folder / "data.npz")
    for kind in ("plain", "separable"):
        yield Case(
            f"{data['name']} {kind}",
            folder / f"{kind}.keras",
            ModelKind.KERAS,
            data["calibration"][:CALIBRATION_ROWS],
            data["inputs"],
            10,
            data["labels"],
        )


def measure(case: Case, folder: Path) -> dict[str, Any]:
    """All figures of one model."""
    folder.mkdir(parents=True)
    job = _job(case, folder)
    started = perf_counter()
    run_job(job, folder / "ours", what=case.name, limits=LIMITS)
    search_s = perf_counter() - started
    (folder / "rivals").mkdir()
    (folder / "rivals" / JOB_FILE).write_bytes(encode(job))
    subprocess.run(
        [sys.executable, HERE / "rivals.py", folder / "rivals"],
        check=True,
        env=dict(environment(single_thread=False)),
        stdout=subprocess.DEVNULL,
    )
    reference_BK = np.load(folder / "ours" / REFERENCE_FILE)
    contenders = _contenders(folder)
    scores = {name: _scores(name, *each, folder) for name, each in contenders.items()}
    p50_ms = compare_latency(contenders, folder / "report.npy", folder / "latency", LIMITS)
    return {
        "model": case.name,
        "search_s": search_s,
        "resolved": {name: _built(folder, name).resolved for name in RECIPES},
        "lossless": bool(np.array_equal(scores["tf-int8"], scores["tflite-int8-tf"])),
        "contenders": {
            name: _figures(scores[name], reference_BK, case.labels_B)
            | {"bytes": path.stat().st_size, "p50_ms": p50_ms[name]}
            for name, (_, path) in contenders.items()
        },
        "float_accuracy": None if case.labels_B is None else float((reference_BK.argmax(1) == case.labels_B).mean()),
    }


def _job(case: Case, folder: Path) -> BuildJob:
    ranged, selected = calibration_split(len(case.calibration_B))
    rows = {
        "calibration": case.calibration_B[ranged],
        "selection": case.calibration_B[selected],
        "report": case.report_B,
    }
    for name, rows_B in rows.items():
        np.save(folder / f"{name}.npy", rows_B)
    return BuildJob(
        model=str(case.model.resolve()),
        kind=case.kind,
        input=TensorSpec(name="input", dtype=DType.FLOAT32, shape=case.report_B.shape[1:]),
        output=TensorSpec(name="output", dtype=DType.FLOAT32, shape=(case.outputs,)),
        recipes=RECIPES,
        calibration=str(folder / "calibration.npy"),
        selection=str(folder / "selection.npy"),
        holdout=str(folder / "report.npy"),
        reference=True,
        trials=str(folder / "trials"),
    )


def _contenders(folder: Path) -> dict[str, tuple[Runtime, Path]]:
    rivals = {
        "tf-float": (Runtime.TFLITE, folder / "rivals" / "tf-float.tflite"),
        "tf-int8": (Runtime.TFLITE, folder / "rivals" / "tf-int8.tflite"),
        "ort-int8": (Runtime.ONNX, folder / "rivals" / "ort-int8.onnx"),
    }
    ours = {}
    for name in RECIPES:
        built = _built(folder, name)
        if built.error:
            print(f"   {name}: {built.error}")
        else:
            runtime = Runtime(name.partition("-")[0])
            ours[name] = (runtime, folder / "ours" / built.artifact)
    return {**ours, **{name: each for name, each in rivals.items() if each[1].is_file()}}


def _built(folder: Path, recipe: str) -> Built:
    return decode((folder / "ours" / f"{recipe}.result.json").read_bytes(), Built)


def _scores(name: str, runtime: Runtime, artifact: Path, folder: Path) -> NDArray[np.float32]:
    job = ProveJob(runtime=runtime, artifact=str(artifact), inputs=str(folder / "report.npy"), timed_runs=0)
    run_job(job, folder / f"prove-{name}", what=name, limits=LIMITS, single_thread=True)
    scores_BK: NDArray[np.float32] = np.load(folder / f"prove-{name}" / SCORES_FILE)
    return scores_BK


def _figures(
    scores_BK: NDArray[np.float32], reference_BK: NDArray[np.float32], labels_B: NDArray[np.int64] | None
) -> dict[str, float | None]:
    return {
        "sqnr_db": sqnr_db(scores_BK, reference_BK),
        "agreement": agreement(scores_BK, reference_BK),
        "accuracy": None if labels_B is None else float((scores_BK.argmax(1) == labels_B).mean()),
    }


def show(result: Mapping[str, Any]) -> None:
    """The table of one model, and the ratios that the aims are about."""
    print(f"\n{result['model']}  (all recipes with search {result['search_s']:.1f} s)")
    print(f"   {'':16}{'bytes':>10}{'SQNR dB':>9}{'agree':>8}{'accuracy':>10}{'p50 ms':>9}  made as")
    for name, each in result["contenders"].items():
        accuracy = "" if each["accuracy"] is None else f"{each['accuracy']:.4f}"
        print(
            f"   {name:16}{each['bytes']:>10,}{each['sqnr_db']:>9.1f}{each['agreement']:>8.4f}{accuracy:>10}"
            f"{each['p50_ms']:>9.4f}  {result['resolved'].get(name, '')}"
        )
    ours, theirs, plain = (result["contenders"][name] for name in ("tflite-int8", "tf-int8", "tflite-int8-tf"))
    print(
        f"   to the TFLite converter's int8: same outputs slimmed to {plain['bytes'] / theirs['bytes']:.3f} "
        f"(identical: {result['lossless']}); ours {ours['bytes'] / theirs['bytes']:.3f} of its size, "
        f"{ours['sqnr_db'] - theirs['sqnr_db']:+.1f} dB, {ours['p50_ms'] / theirs['p50_ms']:.2f} of its latency"
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder with the reference models of MLPerf Tiny")
    parser.add_argument("--only", default="", help="measure only reference models whose name holds this")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory(prefix="edgeferry-bench-") as scratch:
        reference = mlperf_tiny(options.models) if options.models else ()
        wanted = [case for case in reference if options.only.lower() in case.name.lower()]
        if not options.only or not wanted:
            wanted += own_projects(Path(scratch))
        for number, case in enumerate(wanted):
            results.append(measure(case, Path(scratch) / str(number)))
            show(results[-1])
    gains = [
        each["contenders"]["tflite-int8"]["sqnr_db"] - each["contenders"]["tf-int8"]["sqnr_db"] for each in results
    ]
    if gains:
        print(f"\nSQNR over the TFLite converter's int8: median {np.median(gains):+.1f} dB, least {min(gains):+.1f} dB")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
