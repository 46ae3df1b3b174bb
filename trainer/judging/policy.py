"""The policy on data (`[data.policy]`): what nobody may train on, checked before a training starts.

Rules: pure; patterns are those of a shell, without regard to case; an empty list of sources allows any.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from fleet_contract.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trainer.judging.gate_settings import PolicySection


def require_allowed_source(policy: PolicySection, source: str) -> None:
    """Passes when the source meets one of the allowed patterns.

    Raises:
        DataError: it meets none.
    """
    if policy.sources and not _meets(source, policy.sources):
        raise DataError(
            f"[data] source: got {source!r}, expected one of {', '.join(policy.sources)}",
            hint="[data.policy] sources says what may be trained on; whoever owns that policy may widen it",
        )


def require_allowed_features(policy: PolicySection, names: Iterable[str], source: str) -> None:
    """Passes when no feature meets a forbidden pattern.

    Raises:
        DataError: at least one does.
    """
    forbidden = [name for name in names if _meets(name, policy.forbidden_features)]
    if forbidden:
        raise DataError(
            f"{source}: got features {', '.join(forbidden)}, which [data.policy] forbids",
            hint="leave them out with [data] features",
        )


def _meets(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)
