"""The registry of releases: versions never change once published, aliases move.

Rules: a release is registered only when its manifest and every blob it names are in the store with the right size,
its verdict passed (or somebody overrode it on record), and its family's key has signed it: the TUF repository
checks that as a client would. Publishing the same release again changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fleet_contract.api import ReleaseView
from fleet_contract.errors import ConflictError, ContractError, DataError, GateError, NotFoundError
from fleet_contract.names import parse_name
from fleet_contract.release import MAX_RELEASE_BYTES, decode_release
from fleet_server.storage import releases as rows
from fleet_server.storage.database import after_commit

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy.engine import Connection, Row

    from fleet_contract.api import ReleasePublish
    from fleet_contract.release import ReleaseManifest
    from fleet_server.audit import Audit
    from fleet_server.blobs import Blobs
    from fleet_server.changes import Changes
    from fleet_server.clock import Clock
    from fleet_server.storage.database import Database

CHAMPION = "champion"


class ReleaseTrust(Protocol):
    """Where signed targets of a model family are checked and published."""

    def publish_release_targets(self, model: str, version: int, targets_json: bytes, manifest_bytes: bytes) -> None:
        """Checks the family's new targets metadata as a client would, and publishes it."""
        ...


class Registry:
    """The service over releases and aliases."""

    def __init__(
        self, database: Database, *, changes: Changes, audit: Audit, clock: Clock, blobs: Blobs, trust: ReleaseTrust
    ) -> None:
        self._database = database
        self._changes = changes
        self._audit = audit
        self._clock = clock
        self._blobs = blobs
        self._trust = trust

    def publish(self, request: ReleasePublish, *, actor: str) -> ReleaseView:
        """Registers a release.

        Raises:
            NotFoundError: its manifest or a blob of it was not uploaded.
            ContractError: its manifest is malformed.
            DataError: a blob has another size than the manifest says.
            GateError: its verdict did not pass and nobody overrode it.
            ConflictError: the version exists with another manifest.
            TrustError: the family's signature or metadata do not hold.
        """
        manifest_bytes = self._blobs.read(request.release_sha256, max_bytes=MAX_RELEASE_BYTES)
        manifest = decode_release(manifest_bytes)
        self._check_blobs(manifest)
        check_evidence(manifest)
        model, version = manifest.model, manifest.version
        with self._database.transaction() as connection:
            existing = rows.find(connection, model, version)
            if existing and existing.release_sha256 != request.release_sha256:
                raise ConflictError(
                    f"release {model} v{version}: exists with another manifest", hint="raise the version"
                )
            if existing is None:
                # Before the commit: where it fails, publishing again finds these targets current and goes on.
                self._trust.publish_release_targets(model, version, request.targets_json.encode(), manifest_bytes)
                self._insert(connection, manifest, request.release_sha256, actor)
        return self.get(model, version)

    def get(self, model: str, version: int | str, *, connection: Connection | None = None) -> ReleaseView:
        """A release by version or alias.

        Raises:
            NotFoundError: there is none.
        """
        if connection is None:
            with self._database.read() as own:
                return self.get(model, version, connection=own)
        number = _number(version)
        if number is None:
            number = rows.version_of_alias(connection, model, str(version))
        row = rows.find(connection, model, number) if number is not None else None
        if row is None:
            raise NotFoundError(f"release {model} {version}: there is none", hint="`edgeferry release list` shows them")
        return _view(row, rows.aliases_of(connection, model))

    def page(self, *, model: str = "", before_id: int | None = None, limit: int = 100) -> list[tuple[int, ReleaseView]]:
        """(id, release), the newest first."""
        with self._database.read() as connection:
            aliases = rows.aliases_of(connection, model)
            found = rows.page(connection, model=model, before_id=before_id, limit=limit)
        return [(row.id, _view(row, aliases)) for row in found]

    def champion(self, model: str) -> ReleaseView | None:
        """The release that `champion` is on."""
        with self._database.read() as connection:
            version = rows.version_of_alias(connection, model, CHAMPION)
            return None if version is None else self.get(model, version, connection=connection)

    def set_alias(
        self, model: str, alias: str, version: int, *, actor: str, connection: Connection | None = None
    ) -> None:
        """Moves an alias to a version.

        Raises:
            NotFoundError: there is no such release.
            ContractError: the alias is no name, or looks like a version.
        """
        if _number(parse_name(alias, "alias")) is not None:
            raise ContractError.mismatch("alias", got=alias, expected="a word, not a number")
        with self._database.within(connection) as own:
            self.get(model, version, connection=own)
            now = self._clock.now()
            rows.put_alias(own, model, alias, version, now)
            self._audit.record(actor, "set-alias", f"{model}/{alias}", f"version {version}", at=now, connection=own)
            after_commit(own, lambda: self._changes.publish("release", f"{model}/{version}"))

    def _insert(self, connection: Connection, manifest: ReleaseManifest, sha256: str, actor: str) -> None:
        now = self._clock.now()
        subject = f"{manifest.model}/{manifest.version}"
        rows.insert(connection, manifest, sha256, at=now, actor=actor)
        self._audit.record(actor, "publish-release", subject, f"sha256 {sha256}", at=now, connection=connection)
        if not manifest.verdict.passed:
            override = manifest.verdict.override
            self._audit.record(actor, "publish-overridden-release", subject, override, at=now, connection=connection)
        after_commit(connection, lambda: self._changes.publish("release", subject))

    def _check_blobs(self, manifest: ReleaseManifest) -> None:
        for blob in manifest.blobs():
            size_bytes = self._blobs.size_bytes(blob.sha256)
            if size_bytes is None:
                raise NotFoundError(
                    f"release {manifest.model} v{manifest.version}: blob {blob.name} ({blob.sha256}) is not here",
                    hint="upload every blob before the release",
                )
            if size_bytes != blob.size_bytes:
                raise DataError(f"blob {blob.name}: got {size_bytes} bytes, expected {blob.size_bytes} by the manifest")


def check_evidence(manifest: ReleaseManifest) -> None:
    """Passes when the release carries the evidence that it may go out.

    Raises:
        GateError: its verdict did not pass and nobody overrode it on record.
    """
    if not manifest.verdict.passed and not manifest.verdict.override:
        failed = ", ".join(gate.gate for gate in manifest.verdict.gates if not gate.passed)
        raise GateError(
            f"release {manifest.model} v{manifest.version}: validation failed ({failed or 'no gate named'})",
            hint="improve the model, or override the verdict on record: edgeferry convert --override REASON",
        )


def _number(version: int | str) -> int | None:
    text = str(version)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def _view(row: Row[Any], aliases: dict[tuple[str, int], tuple[str, ...]]) -> ReleaseView:
    return ReleaseView(
        model=row.model,
        version=row.version,
        release_sha256=row.release_sha256,
        published_at=row.published_at,
        published_by=row.published_by,
        aliases=aliases.get((row.model, row.version), ()),
        manifest=row.manifest,
    )
