"""The server's side of TUF: publishes what offline keys signed, and signs only what is current.

Rules:
- Nothing is taken on trust: targets metadata are checked as a client would check them before they are published.
- The server holds the snapshot and timestamp keys only, so it can neither forge nor alter a release.
- `timestamp.json` is written last, so it is the commit: whatever a crash leaves half-done before it, no client sees.
Source: TUF specification v1.0.33, sections 5.3 to 5.7 and 6.2 (writing consistent snapshots).
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from fleet_contract.errors import ConflictError, ContractError
from fleet_server.document_signer import load_ed25519
from fleet_server.tuf_checks import NewRelease, check_release_targets, check_top_targets
from fleet_server.tuf_documents import (
    SNAPSHOT_LIFETIME,
    TIMESTAMP_LIFETIME,
    MetaFile,
    Snapshot,
    Targets,
    Timestamp,
    expires,
    parse,
    release_role,
    signed_bytes,
)
from fleet_server.tuf_files import Published, TufFiles, load_offline, load_published

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fleet_server.clock import Clock

RESIGN_TIMESTAMP_BEFORE: Final = TIMESTAMP_LIFETIME * 6 / 7
RESIGN_SNAPSHOT_BEFORE: Final = SNAPSHOT_LIFETIME / 2
MAX_TARGETS_BYTES: Final = 5_000_000
"""What python-tuf's client takes at most."""


class TufRepository:
    """The repository in `folder`, started from `keys`, of which only `online/` and `metadata/` are read.

    `find_blob` gives an uploaded blob's bytes by SHA-256, None where there is none: new top-level targets may name
    files that were uploaded that way.

    Raises:
        TrustError: a key or a signature does not hold.
        NotFoundError: `keys` has no metadata to start from.
    """

    def __init__(self, folder: Path, keys: Path, clock: Clock, find_blob: Callable[[str], bytes | None]) -> None:
        self._files = TufFiles(folder)
        self._clock = clock
        self._find_blob = find_blob
        self._lock = threading.Lock()
        self._snapshot_key = load_ed25519(keys / "online" / "snapshot.pem")
        self._timestamp_key = load_ed25519(keys / "online" / "timestamp.pem")
        started = self._files.has_metadata("timestamp.json")
        self._import_metadata(keys / "metadata", only_roots=started)
        self._published = load_published(self._files) if started else load_offline(self._files)
        if not started:
            self._put_target_files(self._published.targets, [keys / "metadata" / "director-keys.json"])
            self._sign_snapshot(self._published)

    @property
    def root_json(self) -> bytes:
        """The first root: what devices pin when they enrol."""
        return self._files.metadata("1.root.json")

    def metadata_file(self, name: str) -> bytes:
        """A metadata file as a client asks for it; `{role}.json` without a version gives the current one.

        Raises:
            NotFoundError: there is none.
        """
        with self._lock:
            published = self._published
            versions = published.versions()
            if published.snapshot:
                versions["snapshot"] = published.snapshot.version
        version = versions.get(name.removesuffix(".json"))
        return self._files.metadata(f"{version}.{name}" if version else name)

    def target_file(self, path: str) -> bytes:
        """A target file under its consistent-snapshot name, for instance `director/{sha256}.keys.json`.

        Raises:
            NotFoundError: there is none.
        """
        return self._files.target(path)

    def publish_release_targets(self, model: str, version: int, targets_json: bytes, manifest_bytes: bytes) -> None:
        """Checks the family's new targets metadata as a client would, and publishes it; the same again is harmless.

        Raises:
            TrustError: a signature, version, hash, path or expiry does not hold.
            ContractError: the metadata is too large.
        """
        role = release_role(model)
        _check_size(targets_json, role)
        release = NewRelease(role, model, version, manifest_bytes)
        with self._lock:
            current = self._published.releases.get(role)
            if current is not None and self._files.metadata(f"{current.version}.{role}.json") == targets_json:
                return
            metadata = parse(targets_json, Targets, role)
            check_release_targets(self._published.targets, metadata, current, release, self._clock.now())
            self._files.put_target(release.path, hashlib.sha256(manifest_bytes).hexdigest(), manifest_bytes)
            self._files.put_metadata(f"{metadata.signed.version}.{role}.json", targets_json)
            releases = {**self._published.releases, role: metadata.signed}
            self._sign_snapshot(replace(self._published, releases=releases))

    def put_targets(self, targets_json: bytes) -> None:
        """Publishes new top-level targets metadata; a new target's bytes must have been uploaded as a blob.

        Raises:
            TrustError: a signature, version or expiry does not hold.
            ConflictError: a target's bytes are not here, or a family that has releases would lose its delegation.
            ContractError: the metadata is too large.
        """
        _check_size(targets_json, "targets")
        with self._lock:
            published = self._published
            metadata = parse(targets_json, Targets, "targets")
            check_top_targets(published.root, metadata, published.targets, published.releases, self._clock.now())
            self._put_target_files(metadata.signed, [])
            self._files.put_metadata(f"{metadata.signed.version}.targets.json", targets_json)
            self._sign_snapshot(replace(published, targets=metadata.signed))

    def renew(self) -> bool:
        """Signs snapshot or timestamp again where too little of their life is left; whether it did."""
        now = self._clock.now()
        with self._lock:
            snapshot, timestamp = self._published.snapshot, self._published.timestamp
            if snapshot is None or snapshot.expires < now + RESIGN_SNAPSHOT_BEFORE:
                self._sign_snapshot(self._published)
                return True
            if timestamp is None or timestamp.expires < now + RESIGN_TIMESTAMP_BEFORE:
                self._sign_timestamp(self._published, snapshot)
                return True
        return False

    def _import_metadata(self, source: Path, *, only_roots: bool) -> None:
        for file in sorted(source.glob("*.root.json" if only_roots else "*.json")):
            if file.name[0].isdigit() and not self._files.has_metadata(file.name):
                self._files.put_metadata(file.name, file.read_bytes())

    def _put_target_files(self, targets: Targets, sources: list[Path]) -> None:
        """Puts the bytes of every target in place, from `sources` or uploaded blobs, where they are not yet."""
        at_hand = {hashlib.sha256(data).hexdigest(): data for data in (source.read_bytes() for source in sources)}
        for path, target in targets.targets.items():
            sha256 = target.hashes.get("sha256", "")
            known = self._published.targets.targets.get(path)
            if known == target and not sources:
                continue
            data = at_hand.get(sha256) or self._find_blob(sha256)
            if data is None:
                raise ConflictError(
                    f"targets: the bytes of {path} ({sha256}) are not here", hint="upload them as a blob"
                )
            target.verify_length_and_hashes(data)
            self._files.put_target(path, sha256, data)

    def _sign_snapshot(self, published: Published) -> None:
        before = published.snapshot
        snapshot = Snapshot(
            version=before.version + 1 if before else 1,
            expires=expires(self._clock.now(), SNAPSHOT_LIFETIME),
            meta={f"{role}.json": MetaFile(version) for role, version in published.versions().items()},
        )
        self._files.put_metadata(f"{snapshot.version}.snapshot.json", signed_bytes(snapshot, self._snapshot_key))
        self._sign_timestamp(published, snapshot)

    def _sign_timestamp(self, published: Published, snapshot: Snapshot) -> None:
        """Writes the commit; only then does the state in memory move on."""
        before = published.timestamp
        timestamp = Timestamp(
            version=before.version + 1 if before else 1,
            expires=expires(self._clock.now(), TIMESTAMP_LIFETIME),
            snapshot_meta=MetaFile(snapshot.version),
        )
        self._files.put_metadata("timestamp.json", signed_bytes(timestamp, self._timestamp_key))
        self._published = replace(published, snapshot=snapshot, timestamp=timestamp)


def _check_size(targets_json: bytes, role: str) -> None:
    if len(targets_json) > MAX_TARGETS_BYTES:
        raise ContractError.mismatch(
            f"{role} metadata", got=f"{len(targets_json)} bytes", expected=f"at most {MAX_TARGETS_BYTES}"
        )
