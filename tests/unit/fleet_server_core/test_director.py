"""The director: what it signs holds, and revisions only rise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet_contract.codec import decode
from fleet_contract.desired import Desired, SlotDesired, TelemetryPolicy
from fleet_contract.errors import NotFoundError, TrustError
from fleet_contract.messages import Command, CommandName, Reported
from fleet_contract.signing import COMMAND_TYPE, DESIRED_TYPE, SignedDocument, open_envelope
from fleet_server.devices import Devices
from fleet_server.director import Director
from fleet_server.document_signer import DocumentSigner
from tests.fakes.contract_documents import profile
from tests.fakes.server_core import START, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fleet_server.changes import Change
    from tests.fakes.server_core import Store

ID = "pi-1"
KEY = Ed25519PrivateKey.generate()
SIGNER = DocumentSigner(KEY)
SLOT = SlotDesired(slot="main", deployment_id="d-1", model="digits", version=2, release_sha256="0" * 64)


def verify(key_id: str, message: bytes, signature: bytes) -> bool:
    """What a device does with the director's public key."""
    try:
        KEY.public_key().verify(signature, message)
    except InvalidSignature:
        return False
    return key_id == SIGNER.key_id


def opened(data: bytes | None) -> Desired:
    """The desired document in a signed one."""
    assert data is not None
    return decode(open_envelope(decode(data, SignedDocument), DESIRED_TYPE, verify), Desired)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database with one enrolled device that allows sampling."""
    with open_store(tmp_path) as fresh:
        devices = Devices(fresh.database, fresh.changes, fresh.audit, fresh.clock)
        with fresh.database.transaction() as connection:
            devices.register(ID, {"sampling": "allowed"}, profile(device_id=ID), connection=connection)
        yield fresh


@pytest.fixture
def director(store: Store) -> Director:
    """The director over it."""
    return Director(store.database, store.changes, SIGNER, store.clock, TelemetryPolicy(window_s=7))


def test_an_assignment_is_signed_stored_and_told(store: Store, director: Director) -> None:
    """The stored bytes are a document that the device will take."""
    heard: list[Change] = []
    store.changes.listen(heard.append)
    with store.database.transaction() as connection:
        assert director.assign(ID, SLOT, connection=connection) == 1
        assert heard == []
    document = opened(director.desired_bytes(ID))
    assert (document.device_id, document.rev, document.slots) == (ID, 1, (SLOT,))
    assert document.sampling_allowed
    assert document.telemetry.window_s == 7
    assert [(change.kind, change.id) for change in heard] == [("desired", ID)]
    assert director.all_desired() == [(ID, director.desired_bytes(ID))]


def test_a_tampered_document_does_not_open(store: Store, director: Director) -> None:
    """One changed byte of the payload breaks the signature."""
    with store.database.transaction() as connection:
        director.assign(ID, SLOT, connection=connection)
    signed = decode(director.desired_bytes(ID) or b"", SignedDocument)
    forged = SignedDocument(
        payload_type=signed.payload_type, payload="A" + signed.payload[1:], signatures=signed.signatures
    )
    with pytest.raises(TrustError):
        open_envelope(forged, DESIRED_TYPE, verify)


def test_slots_are_kept_apart_and_can_be_emptied(store: Store, director: Director) -> None:
    """Assigning one slot leaves the others; None empties it."""
    other = SlotDesired(slot="spare", deployment_id="d-2", model="wear", version=1, release_sha256="1" * 64)
    with store.database.transaction() as connection:
        director.assign(ID, SLOT, connection=connection)
        director.assign(ID, other, connection=connection)
        director.assign(ID, None, connection=connection)
    assert opened(director.desired_bytes(ID)).slots == (other,)


def test_a_revision_is_never_below_what_the_device_reported(store: Store, director: Director) -> None:
    """A server that lost its database catches up with the device."""
    devices = Devices(store.database, store.changes, store.audit, store.clock)
    devices.take_reported(ID, Reported(seq=1, at=START, desired_rev=41))
    with store.database.transaction() as connection:
        assert director.assign(ID, SLOT, connection=connection) == 42


def test_a_rolled_back_decision_leaves_no_document(store: Store, director: Director) -> None:
    """The document is part of the decision's transaction."""
    store.roll_back(lambda connection: director.assign(ID, SLOT, connection=connection))
    assert director.desired_bytes(ID) is None


def test_a_withdrawn_document_is_gone_but_its_revision_is_kept(store: Store, director: Director) -> None:
    """A device in a later life still sees rising revisions."""
    with store.database.transaction() as connection:
        director.assign(ID, SLOT, connection=connection)
        director.withdraw(ID, connection=connection)
    assert director.desired_bytes(ID) is None
    assert director.all_desired() == []
    with store.database.transaction() as connection:
        assert director.refresh(ID, connection=connection) == 2


def test_documents_are_signed_again_before_they_expire(store: Store, director: Director) -> None:
    """Old documents are renewed, young ones left alone."""
    with store.database.transaction() as connection:
        director.assign(ID, SLOT, connection=connection)
    assert director.renew_expiring() == 0
    store.clock.step(days=40)
    assert director.renew_expiring() == 1
    renewed = opened(director.desired_bytes(ID))
    assert (renewed.rev, renewed.slots) == (2, (SLOT,))
    assert renewed.expires_at > store.clock.now()


def test_nothing_is_assigned_to_an_unknown_device(store: Store, director: Director) -> None:
    """There is nobody to sign for."""
    with pytest.raises(NotFoundError), store.database.transaction() as connection:
        director.assign("nobody", SLOT, connection=connection)


def test_a_command_is_signed_under_its_own_type(director: Director) -> None:
    """A command cannot be passed off as a desired document."""
    command = Command(id="c", device_id=ID, name=CommandName.REFRESH, issued_at=START, expires_at=START)
    signed = decode(director.sign_command(command), SignedDocument)
    assert decode(open_envelope(signed, COMMAND_TYPE, verify), Command) == command
    with pytest.raises(TrustError):
        open_envelope(signed, DESIRED_TYPE, verify)
