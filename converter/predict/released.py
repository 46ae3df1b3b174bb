"""The release that predicts: a bundle folder, or `model@version` of a fleet server; every byte is held to its hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from converter.bundle import RELEASE_FILE, load_bundle
from fleet_contract.errors import ContractError, TrustError
from fleet_contract.release import decode_release
from fleet_files.durable import write_file

if TYPE_CHECKING:
    from pathlib import Path

    from fleet_contract.api import ReleaseView
    from fleet_contract.release import ReleaseManifest, Variant


class ReleaseServer(Protocol):
    """What is asked of a fleet server; `fleet_client.FleetClient` is one."""

    def release(self, model: str, version: int | str) -> ReleaseView:
        """A release by version or alias."""

    def get_blob(self, sha256: str) -> bytes:
        """A blob's bytes."""


@dataclass(frozen=True, slots=True)
class ReleasedVariant:
    """One variant of a release with its file at hand."""

    manifest: ReleaseManifest
    release_sha256: str
    variant: Variant
    artifact: Path

    @property
    def scores(self) -> int:
        """How many scores a row has."""
        return self.manifest.outputs[0].shape[0]

    def __str__(self) -> str:
        """Model, version and variant."""
        return f"{self.manifest.model} v{self.manifest.version} {self.variant.id}"


def from_bundle(folder: Path, variant_id: str = "") -> ReleasedVariant:
    """The variant with that id, or the one nearest to the float model, of a bundle.

    Raises:
        NotFoundError: `folder` holds no bundle.
        ContractError: the manifest is malformed or has no such variant.
        DataError: a blob is missing or is not what the manifest names.
    """
    bundle = load_bundle(folder)
    variant = choose_variant(bundle.manifest, variant_id)
    digest = hashlib.sha256((folder / RELEASE_FILE).read_bytes()).hexdigest()
    return ReleasedVariant(bundle.manifest, digest, variant, bundle.blob(variant.blob).resolve())


def from_server(client: ReleaseServer, name: str, variant_id: str, folder: Path) -> ReleasedVariant:
    """The variant of `model@version` (or an alias for the version), fetched into `folder`.

    Raises:
        ContractError: `name` is not of that form, or the release has no such variant.
        TrustError: what the server sent is not what its hash says.
        UnreachableError: the server does not answer.
        NotFoundError: it has no such release.
    """
    model, at, version = name.partition("@")
    if not (model and at and version):
        raise ContractError.mismatch("release", got=name, expected="a bundle folder or MODEL@VERSION")
    digest = client.release(model, version).release_sha256
    manifest = decode_release(_fetch(client, digest, f"{name}: manifest"))
    variant = choose_variant(manifest, variant_id)
    artifact = folder / variant.blob.sha256
    write_file(artifact, _fetch(client, variant.blob.sha256, f"{name}: {variant.id}"))
    return ReleasedVariant(manifest, digest, variant, artifact.resolve())


def choose_variant(manifest: ReleaseManifest, variant_id: str) -> Variant:
    """The variant with that id; without one, that which is nearest to the float model, the quicker one of two equals.

    Raises:
        ContractError: there is none with that id.
    """
    if variant_id:
        return manifest.variant(variant_id)
    return min(manifest.variants, key=lambda each: (each.evidence.mean_abs_error, each.evidence.latency_p50_ms))


def _fetch(client: ReleaseServer, sha256: str, what: str) -> bytes:
    data = client.get_blob(sha256)
    got = hashlib.sha256(data).hexdigest()
    if got != sha256:
        raise TrustError(f"{what}: got bytes with SHA-256 {got}, expected {sha256}")
    return data
