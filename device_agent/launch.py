"""From a command line to a running agent: settings, enrolment where it is due, then the light process.

Enrolment needs cryptography and a secret; the agent needs neither, so it starts as a fresh image of the process.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from device_agent.config import AgentConfig, load_config
from device_agent.enrol import UNNAMED, enrol, parse_claim
from device_agent.identity import Identity, is_enrolled
from device_agent.profile import detect_profile
from device_agent.runtimes import installed_runtimes
from fleet_contract.errors import ConfigError
from fleet_files.durable import make_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn


def settings(config_file: str | None, flags: dict[str, object]) -> AgentConfig:
    """The agent's settings out of file, environment and flags. Raises ConfigError."""
    return load_config(Path(config_file) if config_file else None, os.environ, flags)


def enrol_device(config: AgentConfig, claim: str) -> Identity:
    """Enrols this device with the server of `config`, unless it is enrolled already. Raises as `enrol.enrol`."""
    from fleet_client import FleetClient

    if not config.server_url:
        raise ConfigError("enrolment: got no server", hint="--server http://HOST:PORT")
    parsed = parse_claim(claim)
    state_dir = make_folder(Path(config.state_dir), mode=0o700)
    profile = detect_profile(UNNAMED, config, installed_runtimes())
    client = FleetClient(config.server_url, ca_file=Path(config.ca_file) if config.ca_file else None, tries=1)
    try:
        return enrol(state_dir, parsed, client, config.server_url, profile)
    finally:
        client.close()


def needs_enrolment(config: AgentConfig, claim: str | None) -> bool:
    """Whether the device must enrol before it can run.

    Raises:
        ConfigError: it must, and there is no claim.
    """
    if is_enrolled(Path(config.state_dir)):
        return False
    if not claim:
        raise ConfigError(f"{config.state_dir}: this device is not enrolled", hint="--server URL --claim TOKEN, once")
    return True


def become_agent(arguments: Sequence[str]) -> NoReturn:
    """Replaces this process by the light agent; the claim is not among its arguments."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "device_agent", *arguments])  # noqa: S606 - our own module


def agent_arguments(
    *,
    state_dir: str,
    config_file: str | None,
    server_url: str | None,
    hardware: str | None,
    memory_budget_mb: int | None,
    runtimes: Sequence[str],
    host_port: int | None,
) -> list[str]:
    """The light agent's command line for these flags; None and empty ones are left out."""
    pairs: list[tuple[str, object]] = [
        ("--state-dir", state_dir),
        ("--config", config_file),
        ("--server", server_url),
        ("--hardware", hardware),
        ("--memory-budget-mb", memory_budget_mb),
        *(("--runtime", runtime) for runtime in runtimes),
        ("--port", host_port),
    ]
    return [text for flag, value in pairs if value is not None for text in (flag, str(value))]
