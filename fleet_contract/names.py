"""Identifiers that look alike but are not, and the one grammar that they share.

A name is 1 to 63 characters of `a-z`, `0-9` and `-`, starting and ending with a letter or digit, so that
it is safe in a topic, a path, a URL, a certificate subject and a file name.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, NewType

from msgspec import Meta

from fleet_contract.errors import ContractError

DeviceId = NewType("DeviceId", str)
ModelName = NewType("ModelName", str)
Tenant = NewType("Tenant", str)
SlotName = NewType("SlotName", str)
VariantId = NewType("VariantId", str)
DeploymentId = NewType("DeploymentId", str)
RolloutId = NewType("RolloutId", str)
Sha256 = NewType("Sha256", str)

NAME_PATTERN: Final = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z"
SHA256_PATTERN: Final = r"^[0-9a-f]{64}\Z"

NameStr = Annotated[str, Meta(pattern=NAME_PATTERN)]
Sha256Str = Annotated[str, Meta(pattern=SHA256_PATTERN)]

_NAME: Final = re.compile(NAME_PATTERN)
_SHA256: Final = re.compile(SHA256_PATTERN)


def parse_name(text: str, what: str = "name") -> str:
    """Returns `text` when it is a name.

    Raises:
        ContractError: it is not.
    """
    if not _NAME.match(text):
        raise ContractError.mismatch(
            what, got=text, expected="1 to 63 characters of a-z, 0-9 and '-', not starting or ending with '-'"
        )
    return text


def parse_sha256(text: str) -> Sha256:
    """Returns `text` when it is a SHA-256 digest in lower-case hex.

    Raises:
        ContractError: it is not.
    """
    if not _SHA256.match(text):
        raise ContractError.mismatch("sha256", got=text, expected="64 lower-case hexadecimal digits")
    return Sha256(text)
