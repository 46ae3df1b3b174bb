"""Releases and slots on the disk.

    blobs/<sha256>              verified blobs, shared by all releases; `<sha256>.part` while they come
    releases/<sha256>.json      release manifests, named by their own digest
    slots/<slot>/current.json   what the slot runs, for the SDK; written after the state file, rewritten at every start

Garbage collection keeps whatever any slot has as active, previous or staged, or still wants.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from device_agent.download import PART_SUFFIX
from device_agent.faults import RefusedError
from device_agent.host.hosted import HostedRelease
from fleet_contract.codec import encode
from fleet_contract.errors import ModelError
from fleet_contract.names import NameStr, Sha256Str
from fleet_contract.release import Variant, Version, decode_release
from fleet_files.durable import cannot_write, make_folder, write_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from device_agent.slot_record import SlotRecord
    from fleet_contract.messages import InstalledRelease
    from fleet_contract.release import BlobRef, ReleaseManifest

CURRENT_FILE: Final = "current.json"

_log = logging.getLogger(__name__)


class CurrentRelease(Struct, frozen=True, kw_only=True):
    """`current.json`."""

    schema: int = 1
    release_sha256: Sha256Str
    variant_id: NameStr
    model: NameStr
    version: Version


class SlotFiles:
    """The folders below one state folder."""

    def __init__(self, state_dir: Path) -> None:
        self.blobs = make_folder(state_dir / "blobs")
        self._releases = make_folder(state_dir / "releases")
        self._slots = make_folder(state_dir / "slots")

    def keep_manifest(self, data: bytes, sha256: str) -> ReleaseManifest:
        """Keeps the bytes of a genuine manifest and returns it.

        Raises:
            RefusedError: it is not the release that the desired document names.
            ContractError: it is malformed.
        """
        got = hashlib.sha256(data).hexdigest()
        if got != sha256:
            raise RefusedError(
                f"release: the signed manifest has SHA-256 {got}, the desired document names {sha256}",
                refused="release",
                code="release-mismatch",
                hint="director and repository disagree; one of them may be compromised",
            )
        manifest = decode_release(data)
        write_file(self._releases / f"{sha256}.json", data)
        return manifest

    def manifest(self, sha256: str) -> ReleaseManifest:
        """A manifest that was kept, checked again against its digest.

        Raises:
            ModelError: it is missing or damaged.
        """
        file = self._releases / f"{sha256}.json"
        try:
            data = file.read_bytes()
        except OSError as error:
            raise ModelError(f"{file}: cannot be read: {error.strerror}", hint="deploy the release again") from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ModelError(f"{file}: damaged: its SHA-256 does not hold", hint="deploy the release again")
        return decode_release(data)

    def hosted(self, sha256: str, variant_id: str) -> HostedRelease:
        """A release on the disk, ready for a host. Raises as `manifest`."""
        return HostedRelease(self.manifest(sha256), sha256, variant_id, self.blobs)

    def set_current(self, slot: str, active: InstalledRelease | None) -> None:
        """Tells the SDK what the slot runs now; None takes the file away."""
        folder = make_folder(self._slots / slot)
        file = folder / CURRENT_FILE
        if active is None:
            file.unlink(missing_ok=True)
            return
        current = CurrentRelease(
            release_sha256=active.release_sha256,
            variant_id=active.variant,
            model=active.model,
            version=active.version,
        )
        data = encode(current)
        if not file.exists() or file.read_bytes() != data:
            write_file(file, data)

    def collect_garbage(self, records: Iterable[SlotRecord]) -> list[str]:
        """Removes manifests and blobs that no slot needs; returns the names of what went.

        A manifest that is needed but damaged stops the collection: what it names cannot be known.

        Raises:
            StorageError: a file cannot be removed.
        """
        present = {file.stem: file for file in self._releases.glob("*.json")}
        records = list(records)
        try:
            kept = self._kept_blobs(records, present.keys())
        except ModelError as error:
            _log.error("garbage stays: %s", error.message)
            return []
        kept_releases = {each.release_sha256 for record in records for each in record.installed()}
        kept_releases |= {sha256 for record in records for sha256 in record.wanted()}
        doomed = [file for sha256, file in present.items() if sha256 not in kept_releases]
        doomed += [file for file in self.blobs.iterdir() if file.name.removesuffix(PART_SUFFIX) not in kept]
        for file in doomed:
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise cannot_write(file, error) from error
        return [file.name for file in doomed]

    def _kept_blobs(self, records: Iterable[SlotRecord], present: Collection[str]) -> set[str]:
        kept: set[str] = set()
        for record in records:
            for installed in record.installed():
                manifest = self.manifest(installed.release_sha256)
                blobs = needed_blobs(manifest, [manifest.variant(installed.variant)])
                kept.update(blob.sha256 for blob in blobs)
            for sha256 in record.wanted():
                if sha256 in present:
                    kept.update(blob.sha256 for blob in self.manifest(sha256).blobs())
        return kept


def needed_blobs(manifest: ReleaseManifest, variants: Sequence[Variant]) -> list[BlobRef]:
    """What a device downloads to try `variants`: their own blobs, golden vectors and reference profile."""
    return [*(variant.blob for variant in variants), manifest.golden, manifest.reference_profile]
