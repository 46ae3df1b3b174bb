"""The same training alone, mirrored over two devices of this CPU, and in mixed precision: one process, three fits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.trainer_projects import write_test_project

ROOT = Path(__file__).parents[2]
CHILD = """
import json, sys
from dataclasses import replace
from pathlib import Path
from msgspec.structs import replace as changed
from trainer.progress import Silent
from trainer.project import load_project
from trainer.stages import ingest, split_and_fit, verify
from trainer.training.distribute import Strategy
from trainer.training.keras_runtime import import_keras
from trainer.training.precision import Precision
from trainer.training.train_stage import train

import_keras()
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
project = load_project(Path(sys.argv[1]))
data = ingest(project, None, Silent())
prepared = split_and_fit(project, data, verify(project, data, Silent()).schema, Silent())
for settings in ({}, {"strategy": Strategy.MIRRORED}, {"precision": Precision.MIXED_FLOAT16},
                 {"precision": Precision.MIXED_BFLOAT16}):
    section = changed(project.settings.train, **settings)
    model = train(replace(project, settings=changed(project.settings, train=section)), prepared, Silent(),
                  keep_checkpoints=False).model
    print(json.dumps({"policies": sorted({layer.dtype_policy.name for layer in model.layers}),
                      "weights": [weights.ravel().tolist() for weights in model.get_weights()]}))
"""


@pytest.mark.slow
def test_strategy_and_precision_change_how_a_network_is_fitted_and_not_what_it_is(tmp_path: Path) -> None:
    """Two replicas agree with one but for rounding; 16 bits come near; what leaves the training is float32."""
    write_test_project(tmp_path, rows=150, epochs=2, trained=True)
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    alone, mirrored, half, brain = (json.loads(line) for line in done.stdout.splitlines())
    assert all(fitted["policies"] == ["float32"] for fitted in (alone, mirrored, half, brain))
    assert 0.0 <= largest_difference(alone, mirrored) < 1e-5
    assert 1e-5 < largest_difference(alone, half) < 0.1
    assert 1e-5 < largest_difference(alone, brain) < 0.2


def largest_difference(first: dict[str, Any], second: dict[str, Any]) -> float:
    """Over all weights."""
    pairs = zip(first["weights"], second["weights"], strict=True)
    return max(float(abs(one - other)) for ones, others in pairs for one, other in zip(ones, others, strict=True))
