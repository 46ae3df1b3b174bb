"""Releases made on the spot, with real bytes and digests and no model in them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet_contract.codec import encode
from fleet_contract.desired import SlotDesired
from fleet_contract.release import BlobRef
from tests.fakes.contract_documents import manifest, variant

if TYPE_CHECKING:
    from fleet_contract.release import ReleaseManifest


def sha256(data: bytes) -> str:
    """Digest in hex."""
    return hashlib.sha256(data).hexdigest()


def blob_of(name: str, data: bytes) -> BlobRef:
    """A reference to `data`."""
    return BlobRef(sha256=sha256(data), size_bytes=len(data), name=name)


@dataclass(frozen=True)
class FakeRelease:
    """A manifest, its bytes, and the bytes of all its blobs."""

    manifest: ReleaseManifest
    data: bytes
    blobs: dict[str, bytes]

    @property
    def sha256(self) -> str:
        """Digest of the manifest."""
        return sha256(self.data)

    def desired(self, deployment_id: str = "", **changes: object) -> SlotDesired:
        """A wish for this release in slot main."""
        fields: dict[str, object] = {
            "slot": "main",
            "deployment_id": deployment_id or f"d-{self.manifest.version}",
            "model": self.manifest.model,
            "version": self.manifest.version,
            "release_sha256": self.sha256,
        }
        return SlotDesired(**{**fields, **changes})  # type: ignore[arg-type]  # a factory for tests


def make_release(version: int = 1, *, variants: tuple[str, ...] = ("tflite-f32",), size_bytes: int = 64) -> FakeRelease:
    """A release whose blobs differ from those of every other version; later variants are a little larger."""
    files = {
        name: f"{name} of v{version} ".encode().ljust(size_bytes + index, b".")
        for index, name in enumerate((*variants, "golden.npz", "reference_profile.json", "README.md"))
    }
    refs = {name: blob_of(name, data) for name, data in files.items()}
    made = manifest(
        version=version,
        variants=tuple(variant(name, blob=refs[name]) for name in variants),
        golden=refs["golden.npz"],
        reference_profile=refs["reference_profile.json"],
        model_card=refs["README.md"],
    )
    return FakeRelease(made, encode(made), {refs[name].sha256: data for name, data in files.items()})
