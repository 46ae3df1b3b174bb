"""What the server checks of metadata that offline keys signed, before a client ever sees them. Pure.

Rules:
1. Enough keys that the delegator names have signed.                       (TUF 5.6.3, 5.6.7.1)
2. The version is the current one plus one, so that nothing is skipped or undone.   (TUF 5.6.4)
3. It has not expired.                                                     (TUF 5.6.5)
4. A release role adds and keeps targets, never alters or drops one, within the paths delegated to it, and it
   delegates to nobody. The published manifest's length and hash are those that it signed.
5. The top-level role keeps every delegation of a family that has releases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet_contract.errors import ConflictError, TrustError
from fleet_contract.release import release_target_path
from fleet_server.tuf_documents import TargetFile, Targets, verify

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from fleet_server.tuf_documents import Metadata, Root


@dataclass(frozen=True, slots=True)
class NewRelease:
    """The manifest that a release role's new metadata must name."""

    role: str
    model: str
    version: int
    manifest_bytes: bytes

    @property
    def path(self) -> str:
        """The manifest's target path."""
        return release_target_path(self.model, self.version)


def check_release_targets(
    top: Targets, metadata: Metadata[Targets], current: Targets | None, release: NewRelease, now: datetime
) -> None:
    """Passes when a family's new targets metadata may be published.

    Raises:
        TrustError: rule 1 to 4 is broken; the message says which.
    """
    role, targets = release.role, metadata.signed
    delegated = (top.delegations.roles or {}).get(role) if top.delegations else None
    if delegated is None:
        raise TrustError(
            f"{role}: targets delegates to no such role",
            hint=f"`edgeferry keys delegate --model {release.model}` and hand its file to the server",
        )
    verify(top, role, metadata, role)
    _check_version(role, targets, current.version if current else 0)
    _check_fresh(role, targets, now)
    if targets.delegations is not None:
        raise TrustError(f"{role}: delegates to others, expected none")
    for path in targets.targets:
        if not delegated.is_delegated_path(path):
            raise TrustError(f"{role}: target {path} is outside the paths delegated to it")
    _check_only_adds(role, targets, current, release.path)
    expected = TargetFile.from_data(release.path, release.manifest_bytes, ["sha256"])
    if release.path not in targets.targets or targets.targets[release.path] != expected:
        raise TrustError(f"{role}: {release.path} is not signed with the length and hash of the uploaded manifest")


def check_top_targets(
    root: Root, metadata: Metadata[Targets], current: Targets, families: Iterable[str], now: datetime
) -> None:
    """Passes when new top-level targets metadata may be published; `families` are the roles that have releases.

    Raises:
        TrustError: rule 1 to 3 is broken.
        ConflictError: rule 5 is.
    """
    targets = metadata.signed
    verify(root, "targets", metadata, "targets")
    _check_version("targets", targets, current.version)
    _check_fresh("targets", targets, now)
    kept = (targets.delegations.roles or {}) if targets.delegations else {}
    for family in families:
        if family not in kept:
            raise ConflictError(f"targets: drops {family}, which has releases", hint="keep its delegation")


def _check_version(role: str, targets: Targets, current: int) -> None:
    if targets.version != current + 1:
        raise TrustError(
            f"{role}: got version {targets.version}, expected {current + 1}",
            hint="somebody published in between: fetch the current metadata and sign again",
        )


def _check_fresh(role: str, targets: Targets, now: datetime) -> None:
    if targets.is_expired(now):
        raise TrustError(f"{role}: expired at {targets.expires.isoformat()}", hint="is this machine's clock right?")


def _check_only_adds(role: str, targets: Targets, current: Targets | None, added: str) -> None:
    before = current.targets if current else {}
    for path, target in before.items():
        if targets.targets.get(path) != target:
            raise TrustError(f"{role}: alters or drops {path}, which is published", hint="releases never change")
    unexpected = set(targets.targets) - set(before) - {added}
    if unexpected:
        raise TrustError(f"{role}: adds {', '.join(sorted(unexpected))} besides {added}", hint="one release at a time")
