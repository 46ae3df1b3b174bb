"""A whole `edgeferry train` against a hand-written Keras script that fits the same network to the same rows.

    python benchmarks/training [--rows 70000] [--epochs 10] [--rounds 3]

Both are commands of their own that read one NPZ file, split it 70/15/15 by class, standardize, fit with the best
epoch's weights kept, score the test part and save the model; seeded and with deterministic operations. All else that
the pipeline does (schema, statistics, leakage, checkpoints, intervals, simple models, importances, pages, lineage,
MLflow) is overhead. Rows are Fashion-MNIST's where its Debian package is installed, else scikit-learn's digits.
Commands run in turn; the ratio is of the medians. Stages are timed by when the command names them, so `start` holds
the imports.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from trainer.scaffold import write_project
from trainer.settings import DataSection
from trainer.sources.uri import load_source

SCRIPT = Path(__file__).with_name("plain_keras.py")
STAGES = ("ingest", "verify", "split", "train", "evaluate", "validate", "keep")


def make_project(folder: Path, rows: int, epochs: int) -> None:
    """The image template on one NPZ file, with a fixed number of epochs, and the script beside it."""
    write_project(folder, template="image", name="benchmark", force=False)
    data = load_source(DataSection(source="builtin:auto", limit=rows), folder)
    np.savez(folder / "data.npz", inputs=data.inputs_B, labels=data.labels_B)
    print(f"{len(data):,} rows of {list(data.sample_shape)} from {data.source}, {epochs} epochs")
    settings = (folder / "edgeferry.toml").read_text()
    for old, new in (
        ('"builtin:auto"', '"npz:data.npz"'),
        ("limit = 12000", "limit = 0"),
        ("epochs = 10", f"epochs = {epochs}"),
        ("early_stopping_patience = 2", "early_stopping_patience = 0"),
    ):
        assert settings.count(old) == 1, old
        settings = settings.replace(old, new)
    (folder / "edgeferry.toml").write_text(settings)


def plain(folder: Path, epochs: int) -> float:
    """Seconds of the script."""
    begun_s = perf_counter()
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(SCRIPT), str(epochs)]
    subprocess.run(command, cwd=folder, env=quiet, check=True, stdout=subprocess.DEVNULL)
    return perf_counter() - begun_s


def pipeline(folder: Path, out: Path) -> dict[str, float]:
    """Seconds of each stage of the command."""
    command = [str(Path(sys.executable).parent / "edgeferry"), "train", "--project", str(folder), "--out", str(out)]
    stage, since_s, spent = "start", perf_counter(), {}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if line.strip() in STAGES:
                now_s = perf_counter()
                spent[stage] = now_s - since_s
                stage, since_s = line.strip(), now_s
    if running.returncode:
        raise SystemExit(f"edgeferry train ended with {running.returncode}")
    return {**spent, stage: perf_counter() - since_s}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=70_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgeferry-benchmark-") as scratch:
        folder = Path(scratch) / "project"
        make_project(folder, asked.rows, asked.epochs)
        scripts, runs = [], []
        for number in range(asked.rounds):
            scripts.append(plain(folder, asked.epochs))
            runs.append(pipeline(folder, Path(scratch) / f"candidate-{number}"))
            print(f"  round {number + 1}: script {scripts[-1]:.1f} s, edgeferry train {sum(runs[-1].values()):.1f} s")
    ours, theirs = median(sum(run.values()) for run in runs), median(scripts)
    print(f"  edgeferry train / script {ours / theirs:.3f}")
    print("  " + ", ".join(f"{stage} {median(run[stage] for run in runs):.1f}" for stage in ("start", *STAGES)))


if __name__ == "__main__":
    main()
