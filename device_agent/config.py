"""The agent's settings: one frozen model; TOML file < environment (`EDGEFERRY_AGENT_*`) < flags."""

from __future__ import annotations

import difflib
import tomllib
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta, Struct

from fleet_contract.device_profile import Runtime
from fleet_contract.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENVIRONMENT_PREFIX: Final = "EDGEFERRY_AGENT_"


class AgentConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agent is told; everything else it learns when it enrols.

    `hardware` empty: detected. `memory_budget_mb` 0: no limit. `runtimes` empty: all that are installed.
    `host_port` 0: a free port. `max_variants` bounds how many variants are downloaded and tried (1 on metered
    links). `max_store_mb` bounds events and telemetry that wait for the network. `min_free_mb` of disk stay free.
    """

    state_dir: Annotated[str, Meta(min_length=1)]
    server_url: str = ""
    ca_file: str = ""
    hardware: str = ""
    memory_budget_mb: Annotated[int, Meta(ge=0)] = 0
    runtimes: tuple[Runtime, ...] = ()
    bind: str = "127.0.0.1"
    host_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    max_variants: Annotated[int, Meta(ge=1, le=8)] = 3
    retry_base_s: Annotated[float, Meta(gt=0.0)] = 5.0
    refresh_every_s: Annotated[float, Meta(gt=0.0)] = 3600.0
    max_store_mb: Annotated[int, Meta(ge=1)] = 32
    min_free_mb: Annotated[int, Meta(ge=0)] = 64
    max_collect_mb: Annotated[int, Meta(ge=0)] = 16


def load_config(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]) -> AgentConfig:
    """The settings of `file`, overridden by `environment`, overridden by `flags` that are not None.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or a value does not fit.
    """
    settings: dict[str, object] = {}
    if file is not None:
        settings.update(_from_file(file))
    settings.update(_from_environment(environment))
    settings.update({key: value for key, value in flags.items() if value is not None})
    try:
        return msgspec.convert(settings, AgentConfig, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"agent settings: {error}", hint="docs/reference has every setting and its range") from error


def check_keys(keys: Mapping[str, object], source: str) -> None:
    """Passes when every key is a setting.

    Raises:
        ConfigError: one is not; names the nearest.
    """
    known = AgentConfig.__struct_fields__
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            raise ConfigError(
                f"{source}: got unknown setting {key!r}, expected one of {', '.join(known)}",
                hint=f"did you mean {near[0]!r}?" if near else "",
            )


def _from_file(file: Path) -> dict[str, object]:
    try:
        settings = tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}", hint="the agent's file is TOML") from error
    check_keys(settings, str(file))
    return settings


def _from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    settings: dict[str, object] = {
        key.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for key, value in environment.items()
        if key.startswith(ENVIRONMENT_PREFIX)
    }
    check_keys(settings, "environment")
    if "runtimes" in settings:
        settings["runtimes"] = [word for word in str(settings["runtimes"]).split(",") if word]
    return settings
