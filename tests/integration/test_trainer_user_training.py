"""What users bring of their own: a compiled network, a training function, weights of classes; all in one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the trainings came to; one record for all projects, since making one takes seconds."""
    folder = tmp_path_factory.mktemp("projects")
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "-1",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.fakes.trainer_user_training_child", str(folder)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = msgspec.json.decode(done.stdout)
    return found


@pytest.mark.slow
def test_a_compiled_network_goes_on_after_a_stop_to_the_same_weights(results: dict[str, Any]) -> None:
    """Momentum, decay and the schedule's place are state like any other; the loss is the author's and falls."""
    found = results["compiled"]
    assert found["same"]
    assert any("goes on after epoch 2 of 4" in remark for remark in found["remarks"])
    assert found["losses"][-1] < found["losses"][0] < 0.5


REFUSALS = {
    "one-hot loss": "ModelError: build_model: loss categorical_crossentropy: got ValueError",
    "loss of numbers": "ModelError: build_model: loss mse: got ",
    "no loss": "ModelError: build_model: loss ",
    "no accuracy": "ModelError: build_model: metrics: got loss, expected accuracy as well",
    "a rate": "ConfigError: [train] learning_rate: got 0.5, expected none: build_model compiles its model",
    "a searched rate": "ConfigError: [train] learning_rate: got 0.",
    "mirrored": 'ConfigError: [train] strategy: got "mirrored", expected "none"',
    "no model": "train_model: got TypeError: 'History' object is not callable, expected a Keras model",
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "words"), REFUSALS.items(), ids=REFUSALS)
def test_what_cannot_be_trained_is_refused_in_words(results: dict[str, Any], name: str, words: str) -> None:
    """The error names what was got and what was expected."""
    assert words in results["refused"][name]


@pytest.mark.slow
def test_balanced_weights_find_the_rare_class_that_the_gate_asks_for(results: dict[str, Any]) -> None:
    """The same training without weights is right about most rows and misses the class; the gate says no to it."""
    found = results["rare_class"]
    passed = {name: found[name]["gates"]["min-class-recall"]["passed"] for name in found}
    assert passed == {"none": False, "balanced": True, "by user": True}
    assert found["none"]["gates"]["min-accuracy"]["passed"]
    assert found["none"]["page"]["balanced_accuracy"] < found["balanced"]["page"]["balanced_accuracy"]
    assert [one["name"] for one in found["none"]["page"]["classes"]] == ["low", "middle", "high"]


@pytest.mark.slow
def test_the_lineage_says_what_trained_a_candidate(results: dict[str, Any]) -> None:
    """An optimizer and a loss, or the user's own function; and how classes were weighed."""
    ours, theirs = (results["rare_class"][name]["with"] for name in ("balanced", "by user"))
    assert ours["optimizer"] == "adam"
    assert (ours["learning_rate"], ours["class_weight"]) == (0.02, "balanced")
    assert (theirs["trained_by"], theirs["learning_rate"]) == ("train_model", 0.02)
    assert "optimizer" not in theirs


@pytest.mark.slow
def test_trials_of_a_search_train_by_the_users_function(results: dict[str, Any]) -> None:
    """Each tells its epochs, which is what pruning looks at, and ends with a value."""
    trials = results["searched"]
    assert [(trial["state"], trial["epochs"]) for trial in trials] == [("complete", 4)] * 2
    assert all(trial["value"] > 0.0 for trial in trials)
