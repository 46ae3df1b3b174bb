"""`python -m device_agent`: the agent as a process of its own, without typer and rich."""

from __future__ import annotations

import argparse
import os
import sys

# One thread of OpenBLAS: the agent's arrays are small, and each further thread costs memory.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from pathlib import Path
from typing import TYPE_CHECKING

from device_agent.identity import is_enrolled
from fleet_contract.errors import EdgeferryError

if TYPE_CHECKING:
    from device_agent.config import AgentConfig


def main(arguments: list[str]) -> int:
    """Runs the agent; returns the process's exit code."""
    parsed = parser().parse_args(arguments)
    try:
        config = _settings(parsed)
        if parsed.claim and not is_enrolled(Path(config.state_dir)):
            _enrol_and_restart(config, parsed)
        from device_agent.service import run_agent

        run_agent(config)
    except EdgeferryError as error:
        sys.stderr.write(f"error: {error.message}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line, the same as that of `edgeferry agent run`."""
    made = argparse.ArgumentParser(prog="python -m device_agent", description=__doc__)
    made.add_argument("--state-dir", required=True)
    made.add_argument("--server", dest="server_url")
    made.add_argument("--claim", help="one-time claim; only for a device that is not enrolled yet")
    made.add_argument("--config", dest="config_file")
    made.add_argument("--hardware")
    made.add_argument("--memory-budget-mb", type=int)
    made.add_argument("--runtime", dest="runtimes", action="append")
    made.add_argument("--port", dest="host_port", type=int)
    return made


def _settings(parsed: argparse.Namespace) -> AgentConfig:
    from device_agent.launch import settings

    flags = {key: value for key, value in vars(parsed).items() if key not in {"claim", "config_file"}}
    return settings(parsed.config_file, flags)


def _enrol_and_restart(config: AgentConfig, parsed: argparse.Namespace) -> None:
    from device_agent.launch import agent_arguments, become_agent, enrol_device

    identity = enrol_device(config, parsed.claim)
    sys.stderr.write(f"enrolled as {identity.membership.device_id}\n")
    become_agent(
        agent_arguments(
            state_dir=parsed.state_dir,
            config_file=parsed.config_file,
            server_url=parsed.server_url,
            hardware=parsed.hardware,
            memory_budget_mb=parsed.memory_budget_mb,
            runtimes=parsed.runtimes or [],
            host_port=parsed.host_port,
        )
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
