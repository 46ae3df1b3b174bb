"""A whole `edgeferry train` against a hand-written Keras script that fits the same network to the same rows.

    python benchmarks/training [--rows 70000] [--epochs 10] [--rounds 3]

Both are commands of their own that read one NPZ file, split it 70/15/15 by class, standardize, fit with the best
epoch's weights kept, score the test part and save the model; seeded and with deterministic operations. All else that
the pipeline does (schema, statistics, leakage, checkpoints, intervals, simple models, importances, pages, lineage,
MLflow) is overhead. Rows are Fashion-MNIST's where its Debian package is installed, else scikit-learn's digits.
Commands run in turn; ratios are of the medians: of wall time, and of the processor time (user and system) of the child
and its children, which a busy machine disturbs less. Stages are timed by when the command names them, so `start` holds
the imports.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from trainer.scaffold import write_project
from trainer.settings import DataSection
from trainer.sources.uri import load_source

if TYPE_CHECKING:
    from collections.abc import Sequence

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


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of one command: on the clock, of the processors, and on the clock by stage."""

    wall_s: float
    processor_s: float
    stages_s: dict[str, float]


def plain(folder: Path, epochs: int) -> Spent:
    """What the script takes."""
    return timed([sys.executable, str(SCRIPT), str(epochs)], folder)


def pipeline(folder: Path, out: Path) -> Spent:
    """What the command takes."""
    edgeferry = str(Path(sys.executable).parent / "edgeferry")
    return timed([edgeferry, "train", "--project", str(folder), "--out", str(out)], folder)


def timed(command: Sequence[str], folder: Path) -> Spent:
    """Runs `command` in `folder`; a line of its stderr that is a stage's name begins that stage."""
    begun_s = perf_counter()
    stage, since_s, spent = "start", begun_s, {}
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    child = subprocess.Popen(
        command, cwd=folder, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    for line in child.stderr:
        if line.strip() in STAGES:
            now_s = perf_counter()
            spent[stage] = now_s - since_s
            stage, since_s = line.strip(), now_s
    _, status, usage = os.wait4(child.pid, 0)
    now_s = perf_counter()
    child.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(f"{' '.join(command)}: ended with {child.returncode}")
    return Spent(now_s - begun_s, usage.ru_utime + usage.ru_stime, {**spent, stage: now_s - since_s})


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
            print(f"  round {number + 1}: script {in_words(scripts[-1])}, edgeferry train {in_words(runs[-1])}")
    wall, processor = (ratio(runs, scripts, kind) for kind in ("wall_s", "processor_s"))
    print(f"  edgeferry train / script: {wall} of wall time, {processor} of processor time")
    stages = {stage: median(run.stages_s[stage] for run in runs) for stage in ("start", *STAGES)}
    print("  " + ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in stages.items()))


def in_words(spent: Spent) -> str:
    """The seconds of one command."""
    return f"{spent.wall_s:.1f} s ({spent.processor_s:.1f} s of processors)"


def ratio(runs: Sequence[Spent], scripts: Sequence[Spent], kind: str) -> str:
    """Of the medians."""
    ours, theirs = (median(getattr(spent, kind) for spent in several) for several in (runs, scripts))
    return f"{ours / theirs:.3f}"


if __name__ == "__main__":
    main()
