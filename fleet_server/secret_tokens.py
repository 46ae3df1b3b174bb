"""Bearer secrets: 256 random bits, shown once, kept only as their SHA-256.

A plain hash is enough here: nobody can guess 256 bits, so there is nothing for a slow hash to slow down.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

USER_PREFIX: Final = "efu1"
DEVICE_PREFIX: Final = "efd1"
CLAIM_PREFIX: Final = "efc1"
MAX_TOKEN_CHARS: Final = 200


def new_secret() -> str:
    """256 random bits in URL-safe letters."""
    return secrets.token_urlsafe(32)


def new_token(prefix: str) -> str:
    """A token whose prefix tells people (and secret scanners) what it is for."""
    return f"{prefix}.{new_secret()}"


def digest(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
