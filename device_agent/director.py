"""Documents from the director: what a device takes, in the order in which it is checked.

 1. the envelope decodes and a director key that TUF distributes made its signature;
 2. the payload decodes and names this device;
 3. it has not expired on the effective clock;
 4. desired: its `rev` is higher than the last one taken.
Whatever fails is a `RefusedError`; an equal `rev` is the same document again and simply nothing new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from device_agent.faults import RefusedError
from fleet_contract.codec import decode
from fleet_contract.desired import Desired
from fleet_contract.errors import ContractError, TrustError
from fleet_contract.messages import Command
from fleet_contract.signing import COMMAND_TYPE, DESIRED_TYPE, SignedDocument, open_envelope

if TYPE_CHECKING:
    from datetime import datetime

    from fleet_contract.signing import Verify

T = TypeVar("T", Desired, Command)


def open_desired(data: bytes, verify: Verify, *, device_id: str, last_rev: int, now: datetime) -> Desired | None:
    """The desired document in `data`; None when its `rev` was taken already.

    Raises:
        RefusedError: it must not be taken.
    """
    desired = _open(data, DESIRED_TYPE, Desired, verify, refused="desired", device_id=device_id)
    if desired.rev == last_rev:
        return None
    if desired.rev < last_rev:
        raise RefusedError(
            f"desired: got rev {desired.rev}, expected above {last_rev}",
            refused="desired",
            code="rev-replayed",
            hint="an old document was replayed, or the server lost its state",
        )
    _check_expiry(desired, now, refused="desired")
    return desired


def open_command(data: bytes, verify: Verify, *, device_id: str, now: datetime) -> Command:
    """The command in `data`.

    Raises:
        RefusedError: it must not be carried out.
    """
    command = _open(data, COMMAND_TYPE, Command, verify, refused="command", device_id=device_id)
    _check_expiry(command, now, refused="command")
    return command


def signer_ids(data: bytes) -> tuple[str, ...]:
    """Ids of the keys that claim to have signed `data`; none when it is no envelope."""
    try:
        return tuple(signature.key_id for signature in decode(data, SignedDocument).signatures)
    except ContractError:
        return ()


def _open(data: bytes, payload_type: str, kind: type[T], verify: Verify, *, refused: str, device_id: str) -> T:
    try:
        payload = open_envelope(decode(data, SignedDocument), payload_type, verify)
        document = decode(payload, kind)
    except TrustError as error:
        raise RefusedError(error.message, refused=refused, code="signature", hint=error.hint) from error
    except ContractError as error:
        raise RefusedError(error.message, refused=refused, code="malformed") from error
    if document.device_id != device_id:
        raise RefusedError(
            f"{refused}: got a document for {document.device_id!r}, expected {device_id!r}",
            refused=refused,
            code="other-device",
            hint="the broker delivers another device's messages",
        )
    return document


def _check_expiry(document: Desired | Command, now: datetime, *, refused: str) -> None:
    if document.expires_at <= now:
        raise RefusedError(
            f"{refused}: expired at {document.expires_at.isoformat()}, now is {now.isoformat()}",
            refused=refused,
            code="expired",
            hint="is the device's clock right, and does the server still renew its documents?",
        )
