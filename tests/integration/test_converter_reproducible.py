"""Every family of recipes gives the same bytes in two processes whose sets and dictionaries are ordered differently."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from converter.jobs import JOB_FILE, BuildJob, Built
from converter.recipe import FAMILIES
from converter.sandbox import Limits, environment, explain, run_limited
from fleet_contract.codec import decode, encode
from fleet_contract.tensors import DType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

SHAPE = (12, 12, 2)
CLASSES = 6
LIMITS = Limits(timeout_s=240.0)
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
    first, second = (built(model, tmp_path_factory.mktemp(f"run-{seed}"), seed) for seed in ("1", "4242"))
    return first, second


def built(model: Path, folder: Path, hash_seed: str) -> Run:
    """All families, from one child process."""
    shared = model.parent
    job = BuildJob(
        model=str(model),
        input=TensorSpec(name="image", dtype=DType.FLOAT32, shape=SHAPE),
        output=TensorSpec(name="scores", dtype=DType.FLOAT32, shape=(CLASSES,)),
        recipes=FAMILIES,
        calibration=str(shared / "calibration.npy"),
        selection=str(shared / "selection.npy"),
        holdout=str(shared / "holdout.npy"),
        reference=True,
        min_sqnr_db=40.0,
        search_s=600.0,
        trials=str(folder / "trials"),
    )
    (folder / JOB_FILE).write_bytes(encode(job))
    env = {**environment(single_thread=False), "PYTHONHASHSEED": hash_seed}
    outcome = run_limited([sys.executable, "-P", "-m", "converter.child", str(folder)], folder, LIMITS, env)
    assert (outcome.returncode, outcome.timed_out) == (0, False), explain(outcome, LIMITS) + outcome.stderr_tail
    outcomes = {name: decode((folder / f"{name}.result.json").read_bytes(), Built) for name in FAMILIES}
    artifacts = {name: (folder / each.artifact).read_bytes() for name, each in outcomes.items() if each.artifact}
    return Run(artifacts, outcomes)


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
    artifacts = runs[0].artifacts
    alike = {("tflite-int8", "tflite-int4"), ("tflite-int8", "tflite-int8-mixed"), ("onnx-int8", "onnx-int8-mixed")}
    alike |= {("tflite-int8-mixed", "tflite-int4")}
    for one in artifacts:
        for other in artifacts:
            if one != other and (one, other) not in alike and (other, one) not in alike:
                assert artifacts[one] != artifacts[other], (one, other)
