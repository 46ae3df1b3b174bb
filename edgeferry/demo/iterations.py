"""One iteration of the model, through the same commands that a user types: train, convert, publish."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fleet_contract.codec import decode
from fleet_contract.errors import GateError
from fleet_contract.release import MAX_RELEASE_BYTES, ReleaseManifest

if TYPE_CHECKING:
    from edgeferry.demo.processes import Processes

MODEL: Final = "eye"

SCALE: Final = '{ kind = "scale", factor = FACTOR }'
FRAGILE: Final = '{ kind = "standardize-each", epsilon = 0.0 }'
"""Passes every gate, for no training image is blank; a blank frame in the field gives 0/0."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the demo's developer changes from one iteration to the next."""

    transform: str
    filters: int
    dropout: float
    epochs: int
    learning_rate: float
    min_accuracy: float


FIRST: Final = Recipe(transform=SCALE, filters=4, dropout=0.1, epochs=9, learning_rate=0.003, min_accuracy=0.5)
BETTER: Final = replace(FIRST, filters=16, dropout=0.2, epochs=10, learning_rate=0.003, min_accuracy=0.7)
BAD: Final = replace(BETTER, transform=FRAGILE)


def project_text(recipe: Recipe, *, largest_value: int) -> str:
    """`edgeferry.toml` of an iteration."""
    transform = recipe.transform.replace("FACTOR", f"{1.0 / largest_value:.10f}")
    return f"""\
[project]
name = "{MODEL}"

[data]
source = "npz:data.npz"
report = false

[preprocessing]
transforms = [{transform}]

[model.hyperparameters]
filters = {recipe.filters}
dropout = {recipe.dropout}

[train]
epochs = {recipe.epochs}
batch_size = 64
learning_rate = {recipe.learning_rate}
seed = 7

[resources]
threads = 2

[validate]
min_accuracy = {recipe.min_accuracy}
max_champion_regression = 0.02

[convert]
recipes = ["tflite-f32", "tflite-int8-minmax-bias", "onnx-f32", "onnx-int8-minmax"]

[convert.gates]
max_accuracy_drop = 0.02
"""


@dataclass(frozen=True, slots=True)
class Trained:
    """A candidate's folder and how long its training took."""

    folder: Path
    took_s: float


@dataclass(frozen=True, slots=True)
class Workshop:
    """A project folder with the commands that turn it into releases."""

    processes: Processes
    project: Path
    release_key: Path
    server_url: str
    token_file: Path

    def train(self, recipe: Recipe, name: str, *, largest_value: int) -> Trained:
        """Trains an iteration."""
        (self.project / "edgeferry.toml").write_text(project_text(recipe, largest_value=largest_value))
        folder = self.project / f"candidate-{name}"
        started_s = time.monotonic()
        self.command(f"train-{name}", "train", "--project", str(self.project), "--out", str(folder))
        return Trained(folder, time.monotonic() - started_s)

    def convert(self, candidate: Path, name: str) -> Path:
        """Converts a candidate; the bundle's folder."""
        folder = self.project / f"release-{name}"
        self.command(f"convert-{name}", "convert", str(candidate), "--out", str(folder))
        return folder

    def publish(self, bundle: Path, name: str) -> int:
        """Publishes a bundle; its version."""
        output = self.command(
            f"publish-{name}",
            *("publish", str(bundle), "--key", str(self.release_key), "--json"),
            *("--server", self.server_url, "--token", f"@{self.token_file}"),
        )
        version: int = json.loads(output)["version"]
        return version

    def command(self, log: str, *arguments: str) -> str:
        """Runs `edgeferry ARGUMENTS`; its standard output.

        Raises:
            GateError: it ended with another code than 0; the hint is the end of its log.
        """
        code, output = self.processes.run(log, ["-m", "edgeferry", *arguments])
        if code != 0:
            raise GateError(
                f"`edgeferry {arguments[0]}` ended with {code}", hint=f"{self.processes.tail(log)}\n{output[-400:]}"
            )
        return output


def manifest_of(bundle: Path) -> ReleaseManifest:
    """The manifest in a bundle's folder."""
    return decode((bundle / "release.json").read_bytes(), ReleaseManifest, max_bytes=MAX_RELEASE_BYTES)
