"""A release on this device's disk, with the one variant that is to run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from fleet_contract.release import BlobRef, ReleaseManifest, Variant


@dataclass(frozen=True, slots=True)
class HostedRelease:
    """What a host needs: the manifest, the chosen variant, and the folder with its verified blobs by SHA-256."""

    manifest: ReleaseManifest
    release_sha256: str
    variant_id: str
    blobs: Path

    @property
    def variant(self) -> Variant:
        """The chosen variant.

        Raises:
            ContractError: the manifest has no such variant.
        """
        return self.manifest.variant(self.variant_id)

    @property
    def title(self) -> str:
        """Model, version and variant for messages to people."""
        return f"{self.manifest.model} v{self.manifest.version} {self.variant_id}"

    def blob_path(self, blob: BlobRef) -> Path:
        """The blob's file, after its size and digest were checked once more: memory cards do rot.

        Raises:
            ModelError: the file is missing, unreadable, or is not what the manifest names.
        """
        path = self.blobs / blob.sha256
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                size_bytes = file.tell()
        except OSError as error:
            raise ModelError(f"blob {blob.name} of {self.title}: {error}") from error
        if size_bytes != blob.size_bytes or digest != blob.sha256:
            raise ModelError(
                f"blob {blob.name} of {self.title}: got {size_bytes} bytes with digest {digest[:12]}, "
                f"expected {blob.size_bytes} bytes with digest {blob.sha256[:12]}",
                hint="the file is damaged: remove it and deploy again",
            )
        return path
