"""Trains a project in a process of its own, for tests that kill it: `python -m ...trainer_training_child PROJECT OUT`.

Prints a line per remark and epoch; ends with the weights and the generators' states in the NPZ file OUT.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer.progress import Silent
from trainer.project import load_project
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


def main(folder: Path, out: Path, *options: str) -> None:
    """Trains and writes; `--fresh` begins anew, `--forget` removes the checkpoints at the end."""
    project = load_project(folder)
    data = ingest(project, None, Silent())
    verified = verify(project, data, Silent())
    prepared = split_and_fit(project, data, verified.schema, Silent())
    trained = train(project, prepared, Printing(), fresh="--fresh" in options)
    arrays = [np.asarray(variable.numpy()) for variable in trained.model.variables]
    np.savez(out, *arrays, figures=np.asarray([figures.get("val_loss", np.nan) for figures in trained.fit.epochs]))
    if "--forget" in options:
        trained.forget()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
