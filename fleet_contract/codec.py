"""JSON in and out of the contract's types: any bytes give an object or a `ContractError`, nothing else.

Unknown fields are ignored, so that a newer sender can talk to an older receiver.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Final, TypeVar, cast

import msgspec

from fleet_contract.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Hashable

T = TypeVar("T")

MAX_DOCUMENT_BYTES: Final = 128 * 1024
"""The largest MQTT payload that every broker we name accepts. Source: docs/measurements.md (mqtt)"""

UtcTime = Annotated[datetime, msgspec.Meta(tz=True)]
"""An aware point in time; always UTC on the wire."""


def encode(document: object) -> bytes:
    """The document as JSON, keys in declaration order; the same document gives the same bytes."""
    return _encoder().encode(document)


def decode(data: bytes, kind: type[T], *, max_bytes: int = MAX_DOCUMENT_BYTES) -> T:
    """The document of type `kind` in `data`.

    Raises:
        ContractError: `data` is too long, is not JSON, or does not have the shape of `kind`.
    """
    if len(data) > max_bytes:
        raise ContractError.mismatch(kind.__name__, got=f"{len(data)} bytes", expected=f"at most {max_bytes} bytes")
    try:
        return cast("T", _decoder(cast("Hashable", kind)).decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ContractError(f"{kind.__name__}: {error}") from error


def decode_toml(text: str, kind: type[T], *, source: str) -> T:
    """The document of type `kind` in the TOML `text` read from `source`; unknown keys follow `kind`'s rule.

    Raises:
        ContractError: `text` is not TOML or does not have the shape of `kind`.
    """
    try:
        return msgspec.toml.decode(text, type=kind)
    except (msgspec.DecodeError, ValueError) as error:
        raise ContractError(f"{source}: {error}") from error


@cache
def _encoder() -> msgspec.json.Encoder:
    return msgspec.json.Encoder()


@cache
def _decoder(kind: Hashable) -> msgspec.json.Decoder[object]:
    return msgspec.json.Decoder(kind)
