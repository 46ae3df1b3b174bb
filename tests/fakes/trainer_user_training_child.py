"""Trainings with what users bring of their own, all in one process: `python -m ...trainer_user_training_child FOLDER`.

Prints one JSON object: what came of each, by the names of the functions below.
"""

from __future__ import annotations

import hashlib
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from fleet_contract.errors import EdgeferryError
from tests.fakes.trainer_projects import LABELS, write_test_project
from trainer.pipeline import run
from trainer.progress import Silent
from trainer.project import load_project
from trainer.stages import ingest, split_and_fit, verify
from trainer.training.train_stage import train
from trainer.tuning.tune import Search, search

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fleet_contract.candidate import Candidate
    from trainer.progress import Progress
    from trainer.project import Project
    from trainer.training.train_stage import Trained

NETWORK = """
import keras

def build_model(input_shape, class_count, *, units=16):
    layers = keras.layers
    model = keras.Sequential([
        keras.Input(input_shape), layers.Flatten(), layers.Dense(units, activation="relu"), layers.Dropout(0.2),
        layers.Dense(class_count, activation="softmax"),
    ])
    {compiled}
    return model
"""
MOMENTUM = """rate = keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.9)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, weight_decay=1e-3)
    model.compile(optimizer, loss=focal, metrics=["accuracy"])"""
FOCAL = """
def focal(labels, scores):
    right = keras.ops.take_along_axis(scores, keras.ops.cast(keras.ops.reshape(labels, (-1, 1)), "int32"), axis=1)
    return -keras.ops.mean((1.0 - right) ** 2 * keras.ops.log(right + 1e-6), axis=-1)
"""
WRONGLY_COMPILED = {
    "one-hot loss": 'model.compile("adam", loss="categorical_crossentropy", metrics=["accuracy"])',
    "loss of numbers": 'model.compile("adam", loss="mse", metrics=["accuracy"])',
    "no loss": 'model.compile("adam", metrics=["accuracy"])',
    "no accuracy": 'model.compile("adam", loss="sparse_categorical_crossentropy")',
}
TRAIN_MODEL = """
def train_model(model, train, validation, *, epochs, batch_size, learning_rate, seed, on_epoch, class_weight):
    model.compile(keras.optimizers.SGD(learning_rate, momentum=0.9), "sparse_categorical_crossentropy",
                  metrics=["accuracy"])
    tell = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, figures: on_epoch(figures))
    model.fit(*train, batch_size, epochs, validation_data=validation, callbacks=[tell], class_weight=class_weight,
              verbose=0)
"""
RETURNS_HISTORY = """
def train_model(model, train, validation, *, on_epoch, **settings):
    on_epoch({"loss": 1.0, "val_loss": 1.0, "val_accuracy": 0.5})
    return keras.callbacks.History()
"""
SEARCH = '\n[tune]\n[tune.space]\nSECTION.NAME = { kind = "choice", values = VALUES }\n'


class Stopping(Silent):
    """A progress that stops the training after an epoch, as Ctrl-C does, and keeps the remarks."""

    def __init__(self, after: int = 0) -> None:
        self.after = after
        self.remarks: list[str] = []

    def epoch(self, done: int, total: int, figures: Mapping[str, float]) -> None:  # noqa: ARG002 - the port's names
        """Stops after its epoch."""
        if done == self.after:
            raise KeyboardInterrupt

    def remark(self, text: str) -> None:
        """Keeps the sentence."""
        self.remarks.append(text)


def write_project(folder: Path, model: str, *, train: str = "", more: str = "", epochs: int = 4) -> Project:
    """A project with this model file, these keys in place of [train] learning_rate, and more at the end."""
    write_test_project(folder, rows=120, epochs=epochs, data="report = false")
    (folder / "model.py").write_text(model)
    path = folder / "edgeferry.toml"
    path.write_text(path.read_text().replace("learning_rate = 0.02", train) + more)
    return load_project(folder)


def network(compiled: str = "", *functions: str) -> str:
    """A model file."""
    return "".join([NETWORK.format(compiled=compiled), *functions])


def fit(project: Project, progress: Progress | None = None) -> Trained:
    """The training alone, with its checkpoints."""
    data = ingest(project, None, Silent())
    prepared = split_and_fit(project, data, verify(project, data, Silent()).schema, Silent())
    return train(project, prepared, progress or Silent())


def candidate(project: Project) -> Candidate:
    """The whole pipeline."""
    out = project.folder / "candidate"
    return run(project, out=out, now=datetime(2026, 1, 1, tzinfo=UTC), progress=Silent()).candidate


def refusal(action: Callable[[], object]) -> str:
    """Kind and words of the error that the action ends with; empty when it does not."""
    try:
        action()
    except EdgeferryError as error:
        return f"{type(error).__name__}: {error.message}"
    return ""


def digest(trained: Trained) -> str:
    """Of every weight and generator, to the last bit."""
    values = [np.ascontiguousarray(variable.numpy()).tobytes() for variable in trained.model.variables]
    return hashlib.sha256(b"".join(values)).hexdigest()


def compiled(folder: Path) -> dict[str, Any]:
    """A network with a focal loss, momentum, weight decay and a schedule: whole, and stopped after its second epoch."""
    whole = fit(write_project(folder / "whole", network(MOMENTUM, FOCAL)))
    project, going_on = write_project(folder / "stopped", network(MOMENTUM, FOCAL)), Stopping()
    try:
        fit(project, Stopping(after=2))
    except KeyboardInterrupt:
        again = fit(project, going_on)
    losses = [figures["val_loss"] for figures in whole.fit.epochs]
    return {"same": digest(again) == digest(whole), "remarks": going_on.remarks, "losses": losses}


def refused(folder: Path) -> dict[str, str]:
    """What each wrong way is told."""
    wrong = {name: write_project(folder / name, network(words)) for name, words in WRONGLY_COMPILED.items()}
    ours = network(MOMENTUM, FOCAL)
    wrong["a rate"] = write_project(folder / "rate", ours, train="learning_rate = 0.5")
    wrong["mirrored"] = write_project(folder / "mirrored", network("", TRAIN_MODEL), train='strategy = "mirrored"')
    wrong["no model"] = write_project(folder / "history", network("", RETURNS_HISTORY))
    rates = SEARCH.replace("SECTION.NAME", "train.learning_rate").replace("VALUES", "[0.01, 0.1]")
    searched = write_project(folder / "searched", ours, more=rates)
    found = {name: refusal(partial(fit, project)) for name, project in wrong.items()}
    plan = Search(trials=2)
    found["a searched rate"] = refusal(lambda: search(searched, plan, progress=Silent(), on_trial=lambda _: None))
    return found


def write_rare_rows(path: Path) -> None:
    """Rows of which one in sixteen is of the last class, so near to the first that an answer is a matter of odds."""
    rng, labels_B = np.random.default_rng(0), np.repeat([0, 1, 2], [1200, 1200, 160])
    inputs_B = rng.normal(size=(len(labels_B), 4, 4, 1))
    inputs_B[:, 0, 0, 0] += np.asarray([0.0, -6.0, 1.4])[labels_B]
    np.savez(path, inputs=inputs_B.astype(np.float32), labels=labels_B, label_names=np.asarray(LABELS))


def rare_class(folder: Path) -> dict[str, Any]:
    """A rare class: candidates without weights, with them, and with both them and train_model."""
    models = {"none": network(), "balanced": network(), "by user": network("", TRAIN_MODEL)}
    found = {}
    for name, model in models.items():
        weight = "none" if name == "none" else "balanced"
        keys = f'learning_rate = 0.02\nclass_weight = "{weight}"'
        more = "min_class_recall = 0.4\nmin_slice_samples = 5\nmin_gain_over_baseline = 0.0\n"
        project = write_project(folder / name, model, train=keys, more=more, epochs=3)
        write_rare_rows(project.folder / "data.npz")
        made = candidate(project)
        gates = {gate.gate: msgspec.to_builtins(gate) for gate in made.verdict.gates}
        page = msgspec.json.decode((project.folder / "candidate" / "evaluation.json").read_bytes())
        found[name] = {"gates": gates, "with": made.lineage.hyperparameters, "page": page}
    return found


def searched(folder: Path) -> list[dict[str, Any]]:
    """Trials of a study whose trainings are the user's own."""
    units = SEARCH.replace("SECTION.NAME", "model.units").replace("VALUES", "[4, 8]")
    project = write_project(folder, network("", TRAIN_MODEL), more=units)
    study = search(project, Search(trials=2), progress=Silent(), on_trial=lambda _: None)
    return [msgspec.to_builtins(trial) for trial in study.view().trials]


if __name__ == "__main__":
    root = Path(sys.argv[1])
    results = {each.__name__: each(root / each.__name__) for each in (compiled, refused, rare_class, searched)}
    sys.stdout.buffer.write(msgspec.json.encode(results))
