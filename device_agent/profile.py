"""What this device is: architecture, memory, runtimes and accelerators, for variant choice and operators."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fleet_contract.device_profile import DeviceProfile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from device_agent.config import AgentConfig
    from fleet_contract.device_profile import RuntimeInfo

_ACCELERATORS: Final = (
    ("cuda", "dev/nvidia0"),
    ("cuda", "etc/nv_tegra_release"),
    ("edgetpu", "dev/apex_0"),
    ("hailo", "dev/hailo0"),
)


def detect_profile(
    device_id: str, config: AgentConfig, runtimes: Iterable[RuntimeInfo], *, root: Path = Path("/")
) -> DeviceProfile:
    """The profile of this device under `config`; `root` is where its files are looked for."""
    return DeviceProfile(
        device_id=device_id,
        hardware=config.hardware or board_name(root) or platform.machine(),
        arch=platform.machine(),
        ram_mb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        memory_budget_mb=config.memory_budget_mb,
        runtimes=tuple(info for info in runtimes if not config.runtimes or info.runtime in config.runtimes),
        accelerators=found_accelerators(root),
        agent_version=agent_version(),
    )


def board_name(root: Path) -> str:
    """The board's model as a word, for instance `raspberry-pi-5-model-b-rev-1-0`; empty where it has none."""
    try:
        text = (root / "proc/device-tree/model").read_text(errors="replace")
    except OSError:
        return ""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")


def found_accelerators(root: Path) -> tuple[str, ...]:
    """Accelerators whose device file is there, each once."""
    return tuple(dict.fromkeys(name for name, file in _ACCELERATORS if (root / file).exists()))


def agent_version() -> str:
    """The installed version of edgeferry; `unknown` when run from sources alone."""
    try:
        return importlib.metadata.version("edgeferry")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
