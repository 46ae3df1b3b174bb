"""The plan of a rollout as a TOML file: `[[stages]]` and the tables `[probation]`, `[preflight]`, `[download]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fleet_contract.api import RolloutCreate
from fleet_contract.codec import decode_toml
from fleet_contract.desired import DownloadPolicy, PreflightPolicy, ProbationPolicy
from fleet_contract.errors import ConfigError, ContractError
from fleet_contract.rollout import OnFailure, StagePlan

if TYPE_CHECKING:
    from pathlib import Path


class RolloutPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a plan file may say; no stages takes canary, quarter, all."""

    stages: tuple[StagePlan, ...] = ()
    on_failure: OnFailure = OnFailure.ROLL_BACK
    selector: dict[str, str] = {}
    slot: str = "main"
    approval: bool = False
    probation: ProbationPolicy = ProbationPolicy()
    preflight: PreflightPolicy = PreflightPolicy()
    download: DownloadPolicy = DownloadPolicy()

    def request(self, model: str, version: int) -> RolloutCreate:
        """The rollout of a release by this plan."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return RolloutCreate(model=model, version=version, **fields)


def read_plan(path: Path | None) -> RolloutPlan:
    """The plan in `path`, the defaults for None.

    Raises:
        ConfigError: the file cannot be read, has an unknown key or a value out of range.
    """
    if path is None:
        return RolloutPlan()
    try:
        return decode_toml(path.read_text(), RolloutPlan, source=str(path))
    except OSError as error:
        raise ConfigError(f"cannot read the plan {path}: {error.strerror}") from error
    except ContractError as error:
        raise ConfigError(error.message, hint="docs/reference/rollouts.md lists every key") from error
