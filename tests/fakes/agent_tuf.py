"""A TUF repository in memory, put into an `HttpFake`; it can be attacked, expire and rotate keys.

repository = TufFake(server)
repository.add_release(release)
repository.publish()
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer._crypto_signer import CryptoSigner
from tuf.api._payload import DelegatedRole, Delegations, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.metadata import Metadata

from fleet_contract.release import release_target_path

if TYPE_CHECKING:
    from tests.fakes.agent_http import HttpFake
    from tests.fakes.agent_releases import FakeRelease

BASE = "/api/v1/trust"
D = TypeVar("D", Root, Targets, Snapshot, Timestamp)


def new_signer() -> CryptoSigner:
    """A fresh Ed25519 key."""
    return CryptoSigner(Ed25519PrivateKey.generate())


class TufFake:
    """Root, targets with one delegated family, snapshot and timestamp; consistent snapshots as the real server has."""

    def __init__(self, server: HttpFake, model: str = "eye") -> None:
        self._server = server
        self._signers = {role: new_signer() for role in ("root", "targets", "release", "snapshot", "timestamp")}
        self.director = new_signer()
        far = datetime.now(UTC).replace(microsecond=0) + timedelta(days=365)
        self.expires = {"timestamp": far, "snapshot": far}
        self._far = far
        self._role = f"release-{model}"
        self._model = model
        self._family = Targets(expires=far)
        self._version = 0
        root = Root(expires=far, consistent_snapshot=True)
        for role in ("root", "targets", "snapshot", "timestamp"):
            root.add_key(self._signers[role].public_key, role)
        self.root = self._signed(root, "root")
        server.files[f"{BASE}/metadata/1.root.json"] = self.root

    def add_release(self, release: FakeRelease) -> None:
        """Signs a manifest into the family's targets; visible after `publish`."""
        path = release_target_path(release.manifest.model, release.manifest.version)
        self._family.targets[path] = self._put(path, release.data)

    def publish(self) -> None:
        """Signs everything anew, one version higher."""
        self._version += 1
        keys = {
            self.director.public_key.keyid: {
                "keytype": "ed25519",
                "scheme": "ed25519",
                "public": self.director.public_key.keyval["public"],
            }
        }
        directors = json.dumps({"keys": keys}).encode()
        role = DelegatedRole(
            self._role,
            [self._signers["release"].public_key.keyid],
            1,
            terminating=True,
            paths=[f"models/{self._model}/*/*"],
        )
        targets = Targets(
            version=self._version,
            expires=self._far,
            targets={"director/keys.json": self._put("director/keys.json", directors)},
            delegations=Delegations(
                {self._signers["release"].public_key.keyid: self._signers["release"].public_key},
                {self._role: role},
            ),
        )
        self._family.version = self._version
        meta = {"targets.json": MetaFile(self._version), f"{self._role}.json": MetaFile(self._version)}
        snapshot = Snapshot(version=self._version, expires=self.expires["snapshot"], meta=meta)
        timestamp = Timestamp(
            version=self._version, expires=self.expires["timestamp"], snapshot_meta=MetaFile(self._version)
        )
        files = self._server.files
        files[f"{BASE}/metadata/{self._version}.targets.json"] = self._signed(targets, "targets")
        files[f"{BASE}/metadata/{self._version}.{self._role}.json"] = self._signed(self._family, "release")
        files[f"{BASE}/metadata/{self._version}.snapshot.json"] = self._signed(snapshot, "snapshot")
        files[f"{BASE}/metadata/timestamp.json"] = self._signed(timestamp, "timestamp")

    def target_url(self, release: FakeRelease) -> str:
        """Where the server keeps a release's manifest."""
        return f"{BASE}/targets/models/{self._model}/{release.manifest.version}/{release.sha256}.release.json"

    def _put(self, path: str, data: bytes) -> TargetFile:
        target = TargetFile.from_data(path, data, ["sha256"])
        folder, _, name = path.rpartition("/")
        self._server.files[f"{BASE}/targets/{folder}/{target.hashes['sha256']}.{name}"] = data
        return target

    def _signed(self, document: D, role: str) -> bytes:
        metadata = Metadata(document)
        metadata.sign(self._signers[role])
        return metadata.to_bytes()
