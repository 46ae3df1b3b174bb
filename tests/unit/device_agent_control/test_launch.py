"""From a command line to the light process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from device_agent.__main__ import parser
from device_agent.launch import agent_arguments, enrol_device, needs_enrolment, settings
from fleet_contract.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_light_process_understands_what_it_is_started_with() -> None:
    """Every flag that `agent run` passes on means the same there; what was not given is not passed."""
    arguments = agent_arguments(
        state_dir="s",
        config_file="c.toml",
        server_url="http://x",
        hardware="pi5",
        memory_budget_mb=100,
        runtimes=["tflite", "onnx"],
        host_port=9000,
    )
    parsed = parser().parse_args(arguments)
    assert vars(parsed) == {
        "state_dir": "s",
        "config_file": "c.toml",
        "server_url": "http://x",
        "hardware": "pi5",
        "memory_budget_mb": 100,
        "runtimes": ["tflite", "onnx"],
        "host_port": 9000,
        "claim": None,
    }


def test_a_device_without_identity_or_claim_says_what_it_needs(tmp_path: Path) -> None:
    """Before anything starts."""
    with pytest.raises(ConfigError, match="not enrolled"):
        needs_enrolment(settings(None, {"state_dir": str(tmp_path)}), None)


def test_enrolment_needs_a_server(tmp_path: Path) -> None:
    """A claim alone does not tell where to go."""
    with pytest.raises(ConfigError, match="server"):
        enrol_device(settings(None, {"state_dir": str(tmp_path)}), "efc1.s." + "0" * 64)
