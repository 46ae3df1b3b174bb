"""New identifiers, as a port: readable prefix, then enough randomness that none is given twice."""

from __future__ import annotations

import secrets
from collections.abc import Callable

IdSource = Callable[[str], str]
"""(prefix) -> a new identifier that is also a name (`fleet_contract.names`)."""


def random_id(prefix: str) -> str:
    """An identifier such as `r-3f9a0c1b2d4e`."""
    return f"{prefix}-{secrets.token_hex(6)}"
