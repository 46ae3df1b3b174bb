"""Which documents a device takes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from device_agent.director import open_command, open_desired, signer_ids
from device_agent.faults import RefusedError
from fleet_contract.codec import encode
from fleet_contract.desired import Desired
from fleet_contract.messages import Command, CommandName
from fleet_contract.signing import COMMAND_TYPE, DESIRED_TYPE
from tests.fakes.agent_world import DIRECTOR, sign, signed, tampered
from tests.fakes.contract_documents import NOON


def desired(**changes: object) -> bytes:
    """A signed desired document, rev 5."""
    fields = {"device_id": "pi", "rev": 5, "issued_at": NOON, "expires_at": NOON + timedelta(hours=1)}
    return signed(DESIRED_TYPE, encode(Desired(**{**fields, **changes})))  # type: ignore[arg-type]  # a factory


def verify(key_id: str, message: bytes, signature: bytes) -> bool:
    """Knows one director."""
    return key_id == DIRECTOR and signature == sign(key_id, message)


def take(data: bytes, *, last_rev: int = 4) -> Desired | None:
    """Opens as device pi at noon."""
    return open_desired(data, verify, device_id="pi", last_rev=last_rev, now=NOON)


def test_a_good_document_is_taken() -> None:
    """Signed, for this device, newer, not expired."""
    taken = take(desired())
    assert taken is not None
    assert taken.rev == 5


def test_the_same_rev_again_is_nothing_new_even_when_expired() -> None:
    """A retained message comes with every connect; that is no attack."""
    assert take(desired(expires_at=NOON), last_rev=5) is None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"{", "malformed", id="no envelope"),
        pytest.param(signed(DESIRED_TYPE, b"{}"), "malformed", id="no desired document inside"),
        pytest.param(signed(DESIRED_TYPE, encode({"a": 1}), "stranger"), "signature", id="unknown key"),
        pytest.param(tampered(desired(), b'"rev":5', b'"rev":9'), "signature", id="changed after signing"),
        pytest.param(desired(device_id="other"), "other-device", id="for another device"),
        pytest.param(desired(rev=3), "rev-replayed", id="older than the last"),
        pytest.param(desired(expires_at=NOON), "expired", id="expired"),
    ],
)
def test_what_does_not_hold_is_refused(data: bytes, code: str) -> None:
    """Each check refuses with its own code."""
    with pytest.raises(RefusedError) as caught:
        take(data)
    assert (caught.value.refused, caught.value.code) == ("desired", code)


def test_a_desired_document_is_no_command() -> None:
    """The signed type keeps one kind of document from passing for another."""
    with pytest.raises(RefusedError) as caught:
        open_command(desired(), verify, device_id="pi", now=NOON)
    assert caught.value.code == "signature"


def test_an_expired_command_is_refused() -> None:
    """A command that was held back is not carried out late."""
    command = Command(id="c", device_id="pi", name=CommandName.REFRESH, issued_at=NOON, expires_at=NOON)
    with pytest.raises(RefusedError) as caught:
        open_command(signed(COMMAND_TYPE, encode(command)), verify, device_id="pi", now=NOON)
    assert (caught.value.refused, caught.value.code) == ("command", "expired")


def test_signers_of_garbage_are_none() -> None:
    """What is no envelope names no key."""
    assert signer_ids(b"\xff") == ()
    assert signer_ids(desired()) == (DIRECTOR,)
