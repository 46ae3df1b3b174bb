"""Enrolment: a claim buys an identity, once and from the right server."""

from __future__ import annotations

import hashlib
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from device_agent.enrol import Claim, enrol, parse_claim
from device_agent.identity import is_enrolled, load_identity
from fleet_contract.api import BrokerAddress, EnrolRequest, EnrolResponse
from fleet_contract.errors import AccessError, ConfigError, ConflictError, EdgeferryError, TrustError, UnreachableError
from tests.fakes.contract_documents import profile

if TYPE_CHECKING:
    from pathlib import Path

ROOT = '{"signed": "root"}'
CLAIM = Claim(f"efc1.secret.{hashlib.sha256(ROOT.encode()).hexdigest()}", hashlib.sha256(ROOT.encode()).hexdigest())
URL = "http://server"


class FakeEnroller:
    """Answers claims; keeps the requests."""

    def __init__(self, root_json: str = ROOT, failure: EdgeferryError | None = None) -> None:
        self.root_json = root_json
        self.failure = failure
        self.requests: list[EnrolRequest] = []

    def enrol(self, request: EnrolRequest) -> EnrolResponse:
        """Takes any claim, unless it is told to fail."""
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
        return EnrolResponse(
            device_id="pi",
            tenant="main",
            certificate_pem="certificate",
            ca_pem="ca",
            http_token="token",
            root_json=self.root_json,
            broker=BrokerAddress(host="127.0.0.1", port=1883, tls=False),
        )


def test_a_claim_buys_an_identity(tmp_path: Path) -> None:
    """Key, certificate, root and token are there, and secrets are for their owner only."""
    server = FakeEnroller()
    identity = enrol(tmp_path, CLAIM, server, URL, profile())
    assert identity.membership.device_id == "pi"
    assert identity.root == ROOT.encode()
    assert stat.S_IMODE(identity.key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE((identity.folder / "identity.json").stat().st_mode) == 0o600
    request = x509.load_pem_x509_csr(server.requests[0].csr_pem.encode())
    assert request.is_signature_valid
    assert "PRIVATE" not in server.requests[0].csr_pem
    assert load_identity(tmp_path) == identity


def test_another_root_than_the_claim_names_is_refused(tmp_path: Path) -> None:
    """A server that is not the claim's own gets no member."""
    with pytest.raises(TrustError):
        enrol(tmp_path, CLAIM, FakeEnroller(root_json="{}"), URL, profile())
    assert not is_enrolled(tmp_path)


def test_a_retry_uses_the_same_key(tmp_path: Path) -> None:
    """After a server that did not answer, the second try sends the same request."""
    server = FakeEnroller(failure=UnreachableError("down"))
    with pytest.raises(UnreachableError):
        enrol(tmp_path, CLAIM, server, URL, profile())
    server.failure = None
    enrol(tmp_path, CLAIM, server, URL, profile())
    assert server.requests[0] == server.requests[1]


@pytest.mark.parametrize("failure", [AccessError("used"), ConflictError("used")])
def test_a_spent_claim_is_clearly_reported(tmp_path: Path, failure: EdgeferryError) -> None:
    """The hint says that a new claim mends it."""
    with pytest.raises(AccessError) as caught:
        enrol(tmp_path, CLAIM, FakeEnroller(failure=failure), URL, profile())
    assert "new claim" in caught.value.hint


def test_an_enrolled_device_keeps_its_identity(tmp_path: Path) -> None:
    """A second claim is not spent."""
    enrol(tmp_path, CLAIM, FakeEnroller(), URL, profile())
    server = FakeEnroller()
    enrol(tmp_path, CLAIM, server, URL, profile())
    assert server.requests == []


@pytest.mark.parametrize(
    "token", ["", "efc1.secret", "efc2.secret." + "0" * 64, "efc1.secret.xyz", "efc1.." + "0" * 64]
)
def test_a_token_of_another_form_is_refused_without_repeating_it(token: str) -> None:
    """A claim is a secret and stays out of messages."""
    with pytest.raises(ConfigError) as caught:
        parse_claim(token)
    assert "secret." not in caught.value.message.replace(".<secret>.", "")


def test_a_device_without_identity_says_how_to_enrol(tmp_path: Path) -> None:
    """The hint holds the command."""
    with pytest.raises(ConfigError) as caught:
        load_identity(tmp_path)
    assert "agent enrol" in caught.value.hint
