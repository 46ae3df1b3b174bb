"""Exit codes of the command line: one per error family, documented in docs/reference/exit-codes.md."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from fleet_contract import errors


class ExitCode(IntEnum):
    """What a script can tell from `$?`."""

    OK = 0
    BUG = 1
    USAGE = 2
    CONFIG = 3
    CONTRACT = 4
    DATA = 5
    MODEL = 6
    GATE = 7
    TRUST = 8
    UNREACHABLE = 9
    ACCESS = 10
    NOT_FOUND = 11
    CONFLICT = 12
    STORAGE = 13
    MISSING_EXTRA = 14
    INTERRUPTED = 130


BY_FAMILY: Final[dict[type[errors.EdgeferryError], ExitCode]] = {
    errors.ConfigError: ExitCode.CONFIG,
    errors.ContractError: ExitCode.CONTRACT,
    errors.DataError: ExitCode.DATA,
    errors.ModelError: ExitCode.MODEL,
    errors.GateError: ExitCode.GATE,
    errors.TrustError: ExitCode.TRUST,
    errors.UnreachableError: ExitCode.UNREACHABLE,
    errors.AccessError: ExitCode.ACCESS,
    errors.NotFoundError: ExitCode.NOT_FOUND,
    errors.ConflictError: ExitCode.CONFLICT,
    errors.StorageError: ExitCode.STORAGE,
    errors.MissingExtraError: ExitCode.MISSING_EXTRA,
}


def exit_code(error: errors.EdgeferryError) -> ExitCode:
    """The code of the error's family; BUG for a family without one."""
    for family in type(error).__mro__:
        if family in BY_FAMILY:
            return BY_FAMILY[family]
    return ExitCode.BUG
