"""The repository's files on disk, and the state that they add up to, read back with every signature checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from fleet_contract.errors import NotFoundError, TrustError
from fleet_files.durable import write_file
from fleet_server.tuf_documents import Root, Snapshot, Targets, Timestamp, parse, verify

if TYPE_CHECKING:
    from pathlib import Path

S = TypeVar("S", Root, Timestamp, Snapshot, Targets)


@dataclass(frozen=True, slots=True)
class Published:
    """What is published; `releases` holds each family's role by name. No snapshot before the first is signed."""

    root: Root
    targets: Targets
    releases: dict[str, Targets]
    snapshot: Snapshot | None = None
    timestamp: Timestamp | None = None

    def versions(self) -> dict[str, int]:
        """The version of each role that the snapshot lists."""
        return {"targets": self.targets.version, **{role: each.version for role, each in self.releases.items()}}


class TufFiles:
    """`metadata/` and `targets/`, as clients fetch them."""

    def __init__(self, folder: Path) -> None:
        self._metadata = folder / "metadata"
        self._targets = folder / "targets"

    def metadata(self, name: str) -> bytes:
        """A metadata file.

        Raises:
            NotFoundError: there is none.
        """
        return _read_inside(self._metadata, name)

    def target(self, path: str) -> bytes:
        """A target file by its consistent-snapshot name.

        Raises:
            NotFoundError: there is none.
        """
        return _read_inside(self._targets, path)

    def has_metadata(self, name: str) -> bool:
        """Whether there is a metadata file of that name."""
        return (self._metadata / name).is_file()

    def put_metadata(self, name: str, data: bytes) -> None:
        """Writes a metadata file atomically."""
        write_file(self._metadata / name, data)

    def put_target(self, path: str, sha256: str, data: bytes) -> None:
        """Writes a target under its consistent-snapshot name."""
        folder, _, name = path.rpartition("/")
        write_file(self._targets / folder / f"{sha256}.{name}", data)

    def newest_version(self, role: str) -> int:
        """The highest version of a role's file on disk, 0 for none."""
        versions = (file.name.split(".")[0] for file in self._metadata.glob(f"*.{role}.json"))
        return max((int(version) for version in versions if version.isdigit()), default=0)


def load_root(files: TufFiles) -> Root:
    """The newest root, once each has been signed by the one before it and by itself.

    Raises:
        TrustError: the chain does not hold.
        NotFoundError: there is no root at all.
    """
    metadata = parse(files.metadata("1.root.json"), Root, "1.root.json")
    verify(metadata.signed, "root", metadata, "1.root.json")
    root = metadata.signed
    for version in range(2, files.newest_version("root") + 1):
        name = f"{version}.root.json"
        metadata = parse(files.metadata(name), Root, name)
        verify(root, "root", metadata, name)
        verify(metadata.signed, "root", metadata, name)
        root = metadata.signed
    return root


def load_published(files: TufFiles) -> Published:
    """The published state; a meddled-with disk is refused.

    Raises:
        TrustError: a signature or version does not hold.
        NotFoundError: a file that another one names is missing.
    """
    root = load_root(files)
    timestamp = load_checked(files, "timestamp.json", Timestamp, root, "timestamp")
    version = timestamp.snapshot_meta.version
    snapshot = load_checked(files, f"{version}.snapshot.json", Snapshot, root, "snapshot")
    versions = {name.removesuffix(".json"): meta.version for name, meta in snapshot.meta.items()}
    targets = load_checked(files, f"{versions.pop('targets')}.targets.json", Targets, root, "targets")
    releases = {
        role: load_checked(files, f"{version}.{role}.json", Targets, targets, role)
        for role, version in versions.items()
    }
    return Published(root, targets, releases, snapshot, timestamp)


def load_offline(files: TufFiles) -> Published:
    """What the offline keys have signed: the start of a repository that has no snapshot yet.

    Raises:
        TrustError: a signature does not hold.
        NotFoundError: root or targets metadata are missing.
    """
    root = load_root(files)
    targets = load_checked(files, f"{files.newest_version('targets')}.targets.json", Targets, root, "targets")
    releases = {}
    for role in (targets.delegations.roles or {}) if targets.delegations else {}:
        if version := files.newest_version(role):
            releases[role] = load_checked(files, f"{version}.{role}.json", Targets, targets, role)
    return Published(root, targets, releases)


def load_checked(files: TufFiles, name: str, kind: type[S], delegator: Root | Targets, role: str) -> S:
    """The document in a file, once the keys that `delegator` names have signed it.

    Raises:
        TrustError: they have not.
        NotFoundError: there is no such file.
    """
    metadata = parse(files.metadata(name), kind, name)
    verify(delegator, role, metadata, name)
    if name[0].isdigit() and not name.startswith(f"{metadata.signed.version}."):
        raise TrustError(f"{name}: holds version {metadata.signed.version}")
    return metadata.signed


def _read_inside(folder: Path, relative: str) -> bytes:
    """The file at `relative` below `folder`, and nowhere else."""
    path = (folder / relative).resolve()
    if not path.is_relative_to(folder.resolve()) or path.name.startswith(".") or not path.is_file():
        raise NotFoundError(f"trust: there is no {relative}")
    return path.read_bytes()
