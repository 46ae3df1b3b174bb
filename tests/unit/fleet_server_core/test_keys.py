"""Key making: fresh, complete, private, and never over what is there."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from fleet_contract.errors import ConflictError, ContractError, TrustError
from fleet_server.certificates import Authority
from fleet_server.document_signer import DocumentSigner
from fleet_server.keys import delegate, init_keys
from tests.fakes.server_core import START

if TYPE_CHECKING:
    from pathlib import Path

LAYOUT = {
    "offline/root-1.pem",
    "offline/root-2.pem",
    "offline/root-3.pem",
    "offline/targets.pem",
    "release/release-digits.pem",
    "online/snapshot.pem",
    "online/timestamp.pem",
    "online/director.pem",
    "online/ca.pem",
    "online/ca.crt",
    "metadata/1.root.json",
    "metadata/1.targets.json",
    "metadata/1.release-digits.json",
    "metadata/director-keys.json",
}


def test_the_layout_is_the_documented_one_and_keys_are_private(tmp_path: Path) -> None:
    """Every file of docs/reference/trust.md is there; only its owner reads a private key."""
    keys = tmp_path / "KEYS"
    init_keys(keys, ["digits"], now=START)
    assert {str(path.relative_to(keys)) for path in keys.rglob("*") if path.is_file()} == LAYOUT
    for pem in keys.rglob("*.pem"):
        assert stat.S_IMODE(pem.stat().st_mode) == 0o600, pem


def test_root_is_two_of_three_and_the_director_is_named(tmp_path: Path) -> None:
    """The threshold and the director's key id are what devices rely on."""
    keys = tmp_path / "KEYS"
    init_keys(keys, [], now=START)
    root = json.loads((keys / "metadata" / "1.root.json").read_bytes())["signed"]
    assert root["roles"]["root"]["threshold"] == 2
    assert len(root["roles"]["root"]["keyids"]) == 3
    assert root["consistent_snapshot"] is True
    known = json.loads((keys / "metadata" / "director-keys.json").read_bytes())["keys"]
    signer = DocumentSigner.load(keys / "online" / "director.pem")
    assert set(known) == {signer.key_id}
    assert known[signer.key_id] | {"public": ""} == {"keytype": "ed25519", "scheme": "ed25519", "public": ""}


def test_two_sets_share_no_key(tmp_path: Path) -> None:
    """There is no default key anywhere."""
    for name in ("a", "b"):
        init_keys(tmp_path / name, ["digits"], now=START)
    contents = [path.read_bytes() for path in tmp_path.rglob("*.pem")]
    assert len(contents) == len(set(contents))


def test_nothing_is_overwritten_and_a_failure_leaves_nothing(tmp_path: Path) -> None:
    """Keys that exist stay; a bad name makes no folder."""
    keys = tmp_path / "KEYS"
    init_keys(keys, [], now=START)
    with pytest.raises(ConflictError):
        init_keys(keys, [], now=START)
    with pytest.raises(ContractError):
        init_keys(tmp_path / "other", ["Not A Name"], now=START)
    assert [path.name for path in tmp_path.iterdir()] == ["KEYS"]


def test_a_family_is_delegated_once_and_only_with_the_offline_key(tmp_path: Path) -> None:
    """The targets key must be at hand, and a second delegation is a mistake."""
    keys = tmp_path / "KEYS"
    init_keys(keys, ["digits"], now=START)
    assert delegate(keys, "wear", now=START).name == "2.targets.json"
    assert (keys / "release" / "release-wear.pem").exists()
    with pytest.raises(ConflictError):
        delegate(keys, "wear", now=START)
    (keys / "offline" / "targets.pem").unlink()
    with pytest.raises(TrustError):
        delegate(keys, "third", now=START)


def test_keys_of_another_kind_are_refused(tmp_path: Path) -> None:
    """A P-256 key does not pass for Ed25519, nor another CA's key for this one's."""
    for name in ("a", "b"):
        init_keys(tmp_path / name, [], now=START)
    online = tmp_path / "a" / "online"
    with pytest.raises(TrustError, match="expected an Ed25519"):
        DocumentSigner.load(online / "ca.pem")
    with pytest.raises(TrustError, match="is not the key of"):
        Authority.load(online / "ca.pem", tmp_path / "b" / "online" / "ca.crt")
