"""Every family of recipes gives the same bytes in two processes whose sets are ordered differently."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from converter.process.jobs import JOB_FILE, BuildJob, Built
from converter.process.sandbox import Limits, environment, explain, run_limited
from converter.recipe import FAMILIES
from fleet_contract.codec import decode, encode
from fleet_contract.tensors import DType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SHAPE = (12, 12, 2)
CLASSES = 6
LIMITS = Limits(timeout_s=240.0)
SEEDS = ("1", "4242")
MODEL = f"""
import sys, keras
from keras import layers
keras.utils.set_random_seed(11)
inputs = keras.Input({SHAPE})
first = layers.Conv2D(24, 3, padding="same", use_bias=False)(inputs)
normal = layers.ReLU()(layers.BatchNormalization()(first))
deep = layers.DepthwiseConv2D(3, padding="same", activation="relu")(normal)
joined = layers.Add()([normal, layers.Conv2D(24, 1)(deep)])
flat = layers.Flatten()(layers.MaxPooling2D(3)(joined))
hidden = layers.Dense(48, activation="relu")(flat)
keras.Model(inputs, layers.Dense({CLASSES}, activation="softmax")(hidden)).save(sys.argv[1])
"""
BUILD = """
import sys
from pathlib import Path
from converter.backends.build import build
from converter.process.jobs import JOB_FILE, BuildJob
from fleet_contract.codec import decode
for folder in map(Path, sys.argv[1:]):
    build(decode((folder / JOB_FILE).read_bytes(), BuildJob), folder)
"""
GOALS_DB = {44.0: ("tflite-int8-mixed", "onnx-int8-mixed"), 30.0: tuple(n for n in FAMILIES if "mixed" not in n)}
"""The first is one that int8 alone misses, so that layers go back to float; the second one that int4 holds."""


class Run(NamedTuple):
    """What one process made: artifacts and outcomes by recipe."""

    artifacts: Mapping[str, bytes]
    outcomes: Mapping[str, Built]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """All families built twice, with other hash seeds and in folders of other names."""
    shared = tmp_path_factory.mktemp("model")
    model = shared / "model.keras"
    command = [sys.executable, "-c", MODEL, str(model)]
    subprocess.run(command, check=True, capture_output=True, timeout=120, env=dict(environment(single_thread=False)))
    rng = np.random.default_rng(5)
    for name, count in (("calibration", 24), ("selection", 40), ("holdout", 8)):
        np.save(shared / f"{name}.npy", rng.uniform(0.0, 1.0, (count, *SHAPE)).astype(np.float32))
    folders = [tmp_path_factory.mktemp(f"run-{seed}") for seed in SEEDS]
    with ThreadPoolExecutor(len(SEEDS)) as pool:
        first, second = pool.map(built, [model] * len(SEEDS), folders, SEEDS)
    return first, second


def built(model: Path, folder: Path, hash_seed: str) -> Run:
    """All families, from one child process."""
    parts = [laid_out(model, folder / f"{goal:g}", goal) for goal in GOALS_DB]
    env = {**environment(single_thread=False), "PYTHONHASHSEED": hash_seed}
    outcome = run_limited([sys.executable, "-P", "-c", BUILD, *map(str, parts)], folder, LIMITS, env)
    assert (outcome.returncode, outcome.timed_out) == (0, False), explain(outcome, LIMITS) + outcome.stderr_tail
    results = [path for part in parts for path in part.glob("*.result.json")]
    outcomes = {path: decode(path.read_bytes(), Built) for path in results}
    artifacts = {
        each.recipe: (path.parent / each.artifact).read_bytes() for path, each in outcomes.items() if each.artifact
    }
    return Run(artifacts, {each.recipe: each for each in outcomes.values()})


def laid_out(model: Path, folder: Path, goal_db: float) -> Path:
    """The folder with the job of one goal."""
    folder.mkdir()
    shared = model.parent
    job = BuildJob(
        model=str(model),
        input=TensorSpec(name="image", dtype=DType.FLOAT32, shape=SHAPE),
        output=TensorSpec(name="scores", dtype=DType.FLOAT32, shape=(CLASSES,)),
        recipes=GOALS_DB[goal_db],
        calibration=str(shared / "calibration.npy"),
        selection=str(shared / "selection.npy"),
        holdout=str(shared / "holdout.npy"),
        reference=True,
        min_sqnr_db=goal_db,
        search_s=600.0,
        trials=str(folder / "trials"),
    )
    (folder / JOB_FILE).write_bytes(encode(job))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("recipe", FAMILIES)
def test_a_family_gives_the_same_bytes_in_two_processes(runs: tuple[Run, Run], recipe: str) -> None:
    """Neither hash seeds nor folders show in the artifact, nor in what the search found."""
    first, second = runs
    assert first.outcomes[recipe].error == ""
    assert first.artifacts[recipe] == second.artifacts[recipe]
    assert found(first.outcomes[recipe]) == found(second.outcomes[recipe])


def found(outcome: Built) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """What the search decided."""
    assert outcome.search_complete
    return outcome.resolved, outcome.float_layers, outcome.int4_layers


@pytest.mark.slow
def test_the_families_are_different_models(runs: tuple[Run, Run]) -> None:
    """The same bytes for all would pass the test above."""
    assert len(set(runs[0].artifacts.values())) == len(FAMILIES)


@pytest.mark.slow
def test_the_search_had_something_to_find(runs: tuple[Run, Run]) -> None:
    """Layers left in float, and layers in int4, came out of many trials alike."""
    outcomes = runs[0].outcomes
    assert outcomes["tflite-int8-mixed"].float_layers
    assert outcomes["onnx-int8-mixed"].float_layers
    assert outcomes["tflite-int4"].int4_layers
