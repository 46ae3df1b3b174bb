"""What pip's last words mean for a person. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from fleet_contract.errors import ConfigError, NotFoundError, StorageError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from converter.environments.known import Pin
    from fleet_contract.errors import EdgeferryError

_NETWORK_SIGNS: Final = (
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "Name or service not known",
    "Connection refused",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "SSLError",
    "Max retries exceeded",
    "Network is unreachable",
)
_NO_WHEEL_SIGNS: Final = ("No matching distribution found for", "Could not find a version that satisfies")
_DISK_SIGN: Final = "No space left on device"
_SECRET: Final = re.compile(r"(?<=://)[^/@\s]+@")


def is_no_wheel(output: str) -> bool:
    """Whether pip reached its index and found no file for this Python and machine."""
    return any(sign in output for sign in _NO_WHEEL_SIGNS) and not _unreachable(output)


def explain(output: str, pin: Pin) -> EdgeferryError:
    """The error for a `pip install` that failed, other than for the want of a wheel."""
    if _unreachable(output):
        return UnreachableError(
            f"{pin}: pip cannot reach its package index: {_last_words(output)}",
            hint="check the network, or pip's own configuration: `pip config list`",
        )
    if _DISK_SIGN in output:
        return StorageError(f"{pin}: no space left on the device", hint="an environment takes 100 to 250 MB")
    return ConfigError(f"{pin}: pip failed: {_last_words(output)}", hint="check pip's configuration: `pip config list`")


def no_wheel(pin: Pin, tried: Sequence[str], available: Sequence[str]) -> NotFoundError:
    """The error for a pin without a wheel for the Pythons `tried`; `available` are versions for which there is one."""
    if not available:
        return NotFoundError(
            f"{pin}: there is no wheel for this machine, whichever Python; tried {', '.join(tried)}",
            hint="look whether that version exists, and for this architecture",
        )
    return NotFoundError(
        f"{pin}: no wheel for {', '.join(tried)}; there is one for Python {', '.join(available)}",
        hint=f"install one of those, then name it: --python python{available[-1]}",
    )


def _unreachable(output: str) -> bool:
    return any(sign in output for sign in _NETWORK_SIGNS)


def _last_words(output: str) -> str:
    """The last error line of pip, without passwords of index addresses."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["it said nothing"]
    return _SECRET.sub("", errors[-1].removeprefix("ERROR:").strip())
