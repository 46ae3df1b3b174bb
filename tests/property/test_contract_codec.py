"""Documents of the contract: round trips, and any bytes give an object or a ContractError."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_contract import api, candidate, desired, device_profile, messages, reference_profile, release, signing
from fleet_contract.codec import MAX_DOCUMENT_BYTES, decode, encode
from fleet_contract.deployment import DeploymentError, DeploymentState, ErrorClass
from fleet_contract.errors import ContractError, TrustError
from fleet_contract.signing import envelope, open_envelope
from fleet_contract.topics import DeviceTopic, device_topic, parse_device_topic

DOCUMENTS: tuple[type, ...] = (
    release.ReleaseManifest,
    candidate.Candidate,
    desired.Desired,
    device_profile.DeviceProfile,
    messages.DeviceStatus,
    messages.ServerStatus,
    messages.Reported,
    messages.Event,
    messages.SecurityReport,
    messages.Command,
    messages.CommandResult,
    messages.Hint,
    reference_profile.ReferenceProfile,
    signing.SignedDocument,
    api.EnrolRequest,
    api.RolloutCreate,
    api.SampleBatch,
)
names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
moments = st.floats(0.0, 4e9).map(lambda unix_s: datetime.fromtimestamp(unix_s, UTC))
texts = st.text(max_size=40)
deployment_errors = st.builds(
    DeploymentError, kind=st.sampled_from(ErrorClass), code=texts, retryable=st.booleans(), detail=texts
)
states = st.sampled_from(DeploymentState)
events = st.builds(
    messages.Event,
    seq=st.integers(1, 2**53),
    at=moments,
    slot=names,
    deployment_id=texts,
    event=texts,
    from_state=states,
    to_state=states,
    model=texts,
    version=st.integers(0, 2**31 - 1),
    variant=texts,
    error=st.none() | deployment_errors,
    detail=texts,
)
slot_reports = st.builds(
    messages.SlotReport,
    slot=names,
    deployment_id=texts,
    state=states,
    since=moments,
    error=st.none() | deployment_errors,
)
reports = st.builds(
    messages.Reported,
    seq=st.integers(0, 2**53),
    at=moments,
    desired_rev=st.integers(0, 2**53),
    slots=st.lists(slot_reports, max_size=4).map(tuple),
    metadata_age_s=st.floats(0, 1e9),
)
wanted_slots = st.builds(
    desired.SlotDesired,
    slot=names,
    deployment_id=texts,
    model=names,
    version=st.integers(1, 2**31 - 1),
    release_sha256=st.just("0" * 64),
)
wanted = st.builds(
    desired.Desired,
    device_id=names,
    rev=st.integers(1, 2**53),
    issued_at=moments,
    expires_at=moments,
    slots=st.lists(wanted_slots, max_size=3).map(tuple),
)


@pytest.mark.parametrize("kind", DOCUMENTS, ids=lambda kind: kind.__name__)
@given(
    data=st.binary(max_size=400)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=12,
    ).map(msgspec.json.encode)
)
def test_any_bytes_give_a_document_or_a_contract_error(kind: type, data: bytes) -> None:
    """Whatever arrives, decoding answers with an object of the type or with ContractError."""
    try:
        document: object = decode(data, kind)
    except ContractError:
        return
    assert isinstance(document, kind)


@given(document=events | reports | wanted)
def test_documents_survive_the_wire(document: messages.Event | messages.Reported | desired.Desired) -> None:
    """What was encoded is what is decoded, and encoding is a function of the document alone."""
    data = encode(document)
    assert decode(data, type(document)) == document
    assert encode(decode(data, type(document))) == data


@given(document=events)
def test_unknown_fields_of_a_newer_sender_are_ignored(document: messages.Event) -> None:
    """A field that this version does not know changes nothing."""
    fields = {**msgspec.to_builtins(document), "from_the_future": {"deep": [1]}}
    assert decode(msgspec.json.encode(fields), messages.Event) == document


def test_a_document_that_no_broker_would_carry_is_refused() -> None:
    """Anything above the portable MQTT payload limit is refused before it is parsed."""
    with pytest.raises(ContractError, match="at most"):
        decode(b" " * (MAX_DOCUMENT_BYTES + 1), messages.Hint)


def test_deeply_nested_json_is_a_contract_error() -> None:
    """Nesting that would exhaust the stack is refused like any other malformed document."""
    with pytest.raises(ContractError):
        decode(b'{"schema":1,"reason":' + b"[" * 50_000, messages.Hint)


@given(tenant=names, device_id=names, topic=st.sampled_from(DeviceTopic))
def test_topics_round_trip_within_the_portable_limits(tenant: str, device_id: str, topic: DeviceTopic) -> None:
    """Every topic parses back to its parts, in at most 7 levels and 256 bytes."""
    text = device_topic(tenant, device_id, topic)
    assert parse_device_topic(text) == (tenant, device_id, topic)
    assert text.count("/") <= 6
    assert len(text.encode()) <= 256


@given(text=st.text(max_size=80) | st.builds("ef/1/{}/d/{}/{}".format, texts, texts, texts))
def test_any_topic_parses_or_is_a_contract_error(text: str) -> None:
    """A topic that is not ours raises ContractError; one that is, builds back to itself."""
    try:
        parsed = parse_device_topic(text)
    except ContractError:
        return
    assert device_topic(*parsed) == text


@given(payload=st.binary(max_size=200), signature=st.binary(min_size=1, max_size=64), flip=st.integers(0, 10_000))
def test_an_envelope_opens_only_for_the_very_bytes_that_were_signed(
    payload: bytes, signature: bytes, flip: int
) -> None:
    """The payload comes back when the check holds; another type or one changed byte does not pass."""
    document = envelope("kind/a", payload, "key", signature)
    message = signing.pre_authentication_encoding("kind/a", payload)
    verify = lambda key_id, got, signed: (key_id, got, signed) == ("key", message, signature)  # noqa: E731 - a table of one
    assert open_envelope(document, "kind/a", verify) == payload
    with pytest.raises(TrustError):
        open_envelope(document, "kind/b", verify)
    if payload:
        changed = bytearray(payload)
        changed[flip % len(payload)] ^= 1
        with pytest.raises(TrustError):
            open_envelope(envelope("kind/a", bytes(changed), "key", signature), "kind/a", verify)


@given(first=st.binary(max_size=30), second=st.binary(max_size=30), kinds=st.tuples(texts, texts))
def test_the_signed_encoding_is_injective(first: bytes, second: bytes, kinds: tuple[str, str]) -> None:
    """Two different (type, payload) pairs never share the bytes that are signed."""
    encoded = signing.pre_authentication_encoding
    assert (encoded(kinds[0], first) == encoded(kinds[1], second)) == ((kinds[0], first) == (kinds[1], second))


def test_numbers_of_numpy_are_not_smuggled_into_documents() -> None:
    """A numpy scalar in a document is a programming error that shows at once."""
    with pytest.raises(TypeError):
        encode(np.float32(1.0))
