"""Trains projects in a process of its own, for tests that kill it: `python -m ...trainer_training_child PROJECT...`.

Prints a line per remark and epoch; ends with the weights and the generators' states in PROJECT.npz. The first project's
checkpoints are removed at the end, as when a candidate is kept.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer.progress import Silent
from trainer.project import load_project
from trainer.records.tracking import tracked_run
from trainer.stages import ingest, split_and_fit, verify
from trainer.training.train_stage import train

if TYPE_CHECKING:
    from collections.abc import Mapping


class Printing:
    """A progress that a parent process can read line by line."""

    def stage(self, name: str) -> None:
        """Prints the stage."""
        print(f"stage {name}", flush=True)  # noqa: T201 - the parent reads it

    def epoch(self, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Prints the epoch."""
        print(f"epoch {done} of {total} {figures['val_loss']:.6f}", flush=True)  # noqa: T201 - the parent reads it

    def remark(self, text: str) -> None:
        """Prints the sentence."""
        print(f"remark {text}", flush=True)  # noqa: T201 - the parent reads it


def train_one(folder: Path, *, forget: bool) -> None:
    """Trains, under a record of its own, and writes what came of it."""
    project = load_project(folder)
    data = ingest(project, None, Silent())
    verified = verify(project, data, Silent())
    prepared = split_and_fit(project, data, verified.schema, Silent())
    with tracked_run(project, name="child") as tracked:
        trained = train(project, prepared, Printing(), tracked=tracked)
    arrays = [np.asarray(variable.numpy()) for variable in trained.model.variables]
    figures = np.asarray([figures["val_loss"] for figures in trained.fit.epochs])
    np.savez(folder.with_suffix(".npz"), *arrays, figures=figures)
    if forget:
        trained.forget()


if __name__ == "__main__":
    for number, name in enumerate(sys.argv[1:]):
        train_one(Path(name), forget=number == 0)
