"""Enrolment, labels, history and leaving, over the real API."""

from __future__ import annotations

import hashlib
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fleet_contract.api import ClaimCreate, EnrolRequest
from fleet_contract.codec import decode
from fleet_contract.desired import Desired
from fleet_contract.errors import AccessError, ConflictError, ContractError, NotFoundError
from fleet_contract.signing import SignedDocument
from fleet_server.certificates import BACKDATE
from tests.fakes.contract_documents import profile
from tests.fakes.server_core import csr_pem, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fakes.server_core import TestServer


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A running server."""
    with serving(tmp_path_factory.mktemp("members")) as running:
        yield running


def request(claim: str, csr: str = "") -> EnrolRequest:
    """An enrolment."""
    return EnrolRequest(claim=claim, csr_pem=csr or csr_pem(), profile=profile(device_id="liar"))


def test_enrolment_gives_a_certificate_whose_subject_the_server_wrote(server: TestServer) -> None:
    """Whatever the request says, the certificate names the claimed device and is for clients only."""
    answer = server.enrol("pi-cert", {"site": "lab"})
    certificate = x509.load_pem_x509_certificate(answer.certificate_pem.encode())
    authority = x509.load_pem_x509_certificate(answer.ca_pem.encode())
    certificate.verify_directly_issued_by(authority)
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "pi-cert"
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=90) + BACKDATE
    view = server.client().device("pi-cert")
    assert view.labels == {"site": "lab"}
    assert view.profile is not None
    assert view.profile.device_id == "pi-cert"
    assert view.desired_rev == 1


def test_a_claim_is_bound_to_the_root_and_buys_one_key_once(server: TestServer) -> None:
    """The same key may repeat it, since the answer may be lost; another key may not."""
    claim = server.client().claim(ClaimCreate(device_id="pi-once"))
    root = server.client("").trust_metadata("1.root.json")
    assert claim.token.endswith("." + hashlib.sha256(root).hexdigest())
    key = ec.generate_private_key(ec.SECP256R1())
    first = server.client("").enrol(request(claim.token, csr_pem(key)))
    second = server.client("").enrol(request(claim.token, csr_pem(key)))
    assert first.root_json.encode() == root
    assert first.http_token != second.http_token
    with pytest.raises(AccessError, match="used"):
        server.client("").enrol(request(claim.token))


def test_claims_that_are_wrong_withdrawn_or_for_another_fleet_buy_nothing(server: TestServer) -> None:
    """Each is refused with the same family, and no device comes of it."""
    client = server.client()
    old = client.claim(ClaimCreate(device_id="pi-none"))
    new = client.claim(ClaimCreate(device_id="pi-none"))
    for token in ("", "efc1.guess", old.token, new.token[:-1] + "0", new.token + "x", f"efc1.{'a' * 43}.{'0' * 64}"):
        with pytest.raises(AccessError):
            server.client("").enrol(request(token))
    with pytest.raises(NotFoundError):
        client.device("pi-none")


def test_an_expired_claim_buys_nothing(server: TestServer) -> None:
    """A claim ends by itself."""
    claim = server.client().claim(ClaimCreate(device_id="pi-late", ttl_s=0.001))
    with pytest.raises(AccessError):
        server.client("").enrol(request(claim.token))


def test_a_bad_certificate_request_does_not_use_the_claim_up(server: TestServer) -> None:
    """A device that sent nonsense may mend it and try again."""
    claim = server.client().claim(ClaimCreate(device_id="pi-bad"))
    rsa_key = rsa.generate_private_key(65537, 2048)
    for csr in ("nonsense", "x" * 20_000, csr_pem(rsa_key)):  # type: ignore[arg-type]  # the case
        with pytest.raises(ContractError):
            server.client("").enrol(request(claim.token, csr))
    assert server.client("").enrol(request(claim.token)).device_id == "pi-bad"


def test_a_member_cannot_be_claimed_again_until_it_left(server: TestServer) -> None:
    """Nobody takes over a device that is there."""
    server.enrol("pi-taken")
    with pytest.raises(ConflictError):
        server.client().claim(ClaimCreate(device_id="pi-taken"))
    server.client().decommission("pi-taken")
    assert server.enrol("pi-taken").device_id == "pi-taken"


def test_a_decommissioned_device_loses_its_token(server: TestServer) -> None:
    """Its credentials stop working at once."""
    token = server.enrol("pi-gone").http_token
    missing = "0" * 64
    with pytest.raises(NotFoundError):
        server.client(token).get_blob(missing)
    server.client().decommission("pi-gone")
    with pytest.raises(AccessError):
        server.client(token).get_blob(missing)
    with pytest.raises(NotFoundError):
        server.client().device("pi-gone")
    with pytest.raises(NotFoundError):
        server.client().decommission("pi-gone")


def test_labels_are_patched_filtered_and_signed_into_the_desired_document(server: TestServer) -> None:
    """The label that allows sampling reaches the device through a new revision."""
    server.enrol("pi-label")
    client = server.client()
    view = client.set_labels("pi-label", {"sampling": "allowed", "line": "b7"})
    assert view.desired_rev == 2
    assert [device.device_id for device in client.devices(label="line:b7")] == ["pi-label"]
    assert client.set_labels("pi-label", {"line": ""}).labels == {"sampling": "allowed"}
    with pytest.raises(ContractError):
        list(client.devices(label="nonsense"))
    with pytest.raises(NotFoundError):
        client.set_labels("nobody", {"a": "b"})


def test_pages_follow_their_cursor_to_the_end(server: TestServer) -> None:
    """A list is the same in one page or in many."""
    for number in range(3):
        server.enrol(f"pi-page-{number}")
    client = server.client()
    whole = [device.device_id for device in client.devices()]
    found, cursor = list[str](), ""
    while True:
        page = client._transport.request("GET", f"/api/v1/devices?limit=2&cursor={cursor}")
        body = page.json()
        found += [device["device_id"] for device in body["items"]]
        cursor = body["next"]
        if not cursor:
            break
        assert len(body["items"]) == 2
    assert found == whole
    with pytest.raises(ContractError):
        client._transport.request("GET", "/api/v1/devices?cursor=%21%21")
    with pytest.raises(ContractError):
        client._transport.request("GET", "/api/v1/devices?limit=0")


def test_the_desired_document_is_a_signed_envelope(server: TestServer) -> None:
    """What enrolment stores decodes as the contract says."""
    import base64
    import sqlite3

    server.enrol("pi-doc")
    with closing(sqlite3.connect(server.folder / "state" / "edgeferry.db")) as connection:
        row = connection.execute("SELECT signed FROM desired WHERE device_id = 'pi-doc'").fetchone()
    document = decode(row[0], SignedDocument)
    assert decode(base64.b64decode(document.payload), Desired).device_id == "pi-doc"
