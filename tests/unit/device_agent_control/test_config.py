"""The agent's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from device_agent.config import load_config
from fleet_contract.device_profile import Runtime
from fleet_contract.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def test_flags_beat_environment_beats_file(tmp_path: Path) -> None:
    """Each layer overrides the one before it; flags that were not given override nothing."""
    file = tmp_path / "agent.toml"
    file.write_text('state_dir = "a"\nthreads = 2\nhardware = "pi4"\nruntimes = ["tflite"]\n')
    environment = {"EDGEFERRY_AGENT_THREADS": "3", "EDGEFERRY_AGENT_HARDWARE": "pi5", "HOME": "/"}
    config = load_config(file, environment, {"hardware": "jetson", "host_port": None, "state_dir": "b"})
    assert (config.state_dir, config.threads, config.hardware) == ("b", 3, "jetson")
    assert config.runtimes == (Runtime.TFLITE,)


def test_a_list_in_the_environment_is_split_at_commas() -> None:
    """EDGEFERRY_AGENT_RUNTIMES=tflite,onnx names two."""
    config = load_config(None, {"EDGEFERRY_AGENT_RUNTIMES": "tflite,onnx"}, {"state_dir": "s"})
    assert config.runtimes == (Runtime.TFLITE, Runtime.ONNX)


@pytest.mark.parametrize("source", ["file", "environment"])
def test_an_unknown_setting_names_the_nearest(tmp_path: Path, source: str) -> None:
    """A typing error is an error, with the right word in its hint."""
    file = tmp_path / "agent.toml"
    file.write_text("thread = 2\n" if source == "file" else "")
    environment = {"EDGEFERRY_AGENT_THREAD": "2"} if source == "environment" else {}
    with pytest.raises(ConfigError) as caught:
        load_config(file, environment, {"state_dir": "s"})
    assert "'threads'" in caught.value.hint


@pytest.mark.parametrize(
    "flags",
    [{}, {"state_dir": ""}, {"state_dir": "s", "host_port": 70000}, {"state_dir": "s", "runtimes": ["caffe"]}],
)
def test_what_does_not_fit_is_refused(flags: dict[str, object]) -> None:
    """A missing state folder, a port out of range and an unknown runtime stop the agent."""
    with pytest.raises(ConfigError):
        load_config(None, {}, flags)


def test_a_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    """The message names the file."""
    file = tmp_path / "agent.toml"
    file.write_text("state_dir =")
    with pytest.raises(ConfigError, match=r"agent\.toml"):
        load_config(file, {}, {})
