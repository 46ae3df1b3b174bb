"""The TUF repository: a real client believes it, and nobody slips anything past it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import Updater  # type: ignore[attr-defined]  # public in its documentation
from tuf.ngclient.fetcher import FetcherInterface

from fleet_contract.errors import ConflictError, ContractError, EdgeferryError, NotFoundError, TrustError
from fleet_server.document_signer import load_ed25519
from fleet_server.keys import delegate, init_keys
from fleet_server.release_signing import sign_release_targets
from fleet_server.tuf_documents import Targets, parse, signed_bytes
from fleet_server.tuf_repository import TufRepository
from tests.fakes.server_core import StepClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MANIFEST = b'{"a": "manifest"}'


@dataclass
class Trust:
    """A repository, its keys and a clock that the client shares."""

    folder: Path
    clock: StepClock
    repository: TufRepository

    @property
    def keys(self) -> Path:
        """The whole key folder."""
        return self.folder / "KEYS"

    def reopened(self) -> TufRepository:
        """The repository as the next start of the server finds it."""
        return TufRepository(self.folder / "trust", self.keys, self.clock, lambda _: None)

    def sign(self, version: int, manifest: bytes = MANIFEST, model: str = "digits", key: str = "digits") -> bytes:
        """The family's next metadata, as a publisher signs it."""
        try:
            current: bytes | None = self.repository.metadata_file(f"release-{model}.json")
        except NotFoundError:
            current = None
        pem = self.keys / "release" / f"release-{key}.pem"
        return sign_release_targets(
            current, pem, model=model, version=version, manifest_bytes=manifest, now=self.clock.now()
        ).encode()

    def publish(self, version: int, manifest: bytes = MANIFEST) -> None:
        """Signs and publishes a release."""
        self.repository.publish_release_targets("digits", version, self.sign(version, manifest), manifest)

    def fetch(self, path: str) -> bytes | None:
        """What a fresh client gets for a target, after all its checks; None where no key signed it."""
        metadata, downloads = self.folder / "client", self.folder / "downloads"
        for folder in (metadata, downloads):
            folder.mkdir(exist_ok=True)
        updater = Updater(
            str(metadata),
            "http://x/m/",
            str(downloads),
            "http://x/t/",
            fetcher=_Fetcher(self.repository),
            bootstrap=self.repository.root_json,
        )
        updater.refresh()
        found = updater.get_targetinfo(path)
        return Path(updater.download_target(found)).read_bytes() if found else None


class _Fetcher(FetcherInterface):
    """Fetches straight from the repository."""

    def __init__(self, repository: TufRepository) -> None:
        self._repository = repository

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = urlsplit(url).path
        try:
            if path.startswith("/m/"):
                yield self._repository.metadata_file(path.removeprefix("/m/"))
            else:
                yield self._repository.target_file(path.removeprefix("/t/"))
        except NotFoundError as error:
            raise DownloadHTTPError(error.message, 404) from error


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    """A fresh repository of one model family; the clock is the real one, as the client's is."""
    clock = StepClock(datetime.now(UTC))
    init_keys(tmp_path / "KEYS", ["digits", "other"], now=clock.now())
    repository = TufRepository(tmp_path / "trust", tmp_path / "KEYS", clock, lambda _: None)
    return Trust(tmp_path, clock, repository)


def test_a_client_gets_the_director_keys_and_published_releases(trust: Trust) -> None:
    """From the pinned root, a TUF client verifies its way to both kinds of target."""
    trust.publish(1)
    assert trust.fetch("director/keys.json") == (trust.keys / "metadata" / "director-keys.json").read_bytes()
    assert trust.fetch("models/digits/1/release.json") == MANIFEST
    assert trust.fetch("models/digits/2/release.json") is None


def test_releases_stay_when_more_are_published_and_the_server_restarts(trust: Trust) -> None:
    """Publishing adds; a restart serves the same."""
    trust.publish(1)
    trust.publish(2, b"second")
    trust.repository = trust.reopened()
    assert trust.fetch("models/digits/1/release.json") == MANIFEST
    assert trust.fetch("models/digits/2/release.json") == b"second"


def test_publishing_the_same_metadata_again_changes_nothing(trust: Trust) -> None:
    """A publisher may repeat a request whose answer was lost."""
    signed = trust.sign(1)
    trust.repository.publish_release_targets("digits", 1, signed, MANIFEST)
    before = trust.repository.metadata_file("timestamp.json")
    trust.repository.publish_release_targets("digits", 1, signed, MANIFEST)
    assert trust.repository.metadata_file("timestamp.json") == before


def skip_a_version(targets: Targets) -> None:
    """Goes one too far."""
    targets.version += 1


def stay_at_the_version(targets: Targets) -> None:
    """Claims the version that is published."""
    targets.version -= 1


def expire(targets: Targets) -> None:
    """Ended long ago."""
    targets.expires = datetime(2020, 1, 1, tzinfo=UTC)


def drop_the_old(targets: Targets) -> None:
    """Forgets a published release."""
    del targets.targets["models/digits/1/release.json"]


def alter_the_old(targets: Targets) -> None:
    """Changes a published release."""
    targets.targets["models/digits/1/release.json"].length += 1


def add(path: str) -> Callable[[Targets], None]:
    """Signs for one more path."""

    def edit(targets: Targets) -> None:
        targets.targets[path] = targets.targets["models/digits/2/release.json"]

    return edit


def nothing(targets: Targets) -> None:
    """Leaves the metadata as they are."""
    del targets


@pytest.mark.parametrize(
    ("edit", "key", "manifest"),
    [
        pytest.param(nothing, "other", b"two", id="another family's key"),
        pytest.param(skip_a_version, "digits", b"two", id="the version skips one"),
        pytest.param(stay_at_the_version, "digits", b"two", id="the version is the current one"),
        pytest.param(expire, "digits", b"two", id="it has expired"),
        pytest.param(drop_the_old, "digits", b"two", id="an old release is dropped"),
        pytest.param(alter_the_old, "digits", b"two", id="an old release is altered"),
        pytest.param(add("models/other/1/release.json"), "digits", b"two", id="a target outside its paths"),
        pytest.param(add("models/digits/9/release.json"), "digits", b"two", id="a second release sneaks in"),
        pytest.param(add("director/keys.json"), "digits", b"two", id="the director's keys are replaced"),
        pytest.param(nothing, "digits", b"TWO", id="another manifest than was uploaded"),
    ],
)
def test_wrong_release_metadata_is_refused_and_nothing_changes(
    trust: Trust, edit: Callable[[Targets], None], key: str, manifest: bytes
) -> None:
    """The server checks like a client, and a refusal leaves the repository as it was."""
    trust.publish(1)
    before = trust.repository.metadata_file("timestamp.json")
    targets = parse(trust.sign(2, b"two"), Targets, "x").signed
    edit(targets)
    signed = signed_bytes(targets, load_ed25519(trust.keys / "release" / f"release-{key}.pem"))
    with pytest.raises(TrustError):
        trust.repository.publish_release_targets("digits", 2, signed, manifest)
    assert trust.repository.metadata_file("timestamp.json") == before
    assert trust.fetch("models/digits/1/release.json") == MANIFEST
    assert trust.fetch("models/digits/2/release.json") is None


def test_one_changed_byte_breaks_the_signature(trust: Trust) -> None:
    """Signed metadata that were altered on the way are refused."""
    signed = trust.sign(1)
    altered = signed.replace(b"models/digits/1/", b"models/digits/7/")
    with pytest.raises(TrustError):
        trust.repository.publish_release_targets("digits", 7, altered, MANIFEST)


def test_a_family_without_a_delegation_is_refused(trust: Trust) -> None:
    """Nobody publishes a model that the offline targets key has not delegated."""
    signed = trust.sign(1, model="newcomer", key="digits")
    with pytest.raises(TrustError, match="delegates to no such role"):
        trust.repository.publish_release_targets("newcomer", 1, signed, MANIFEST)


def test_a_new_family_is_delegated_offline_and_then_publishes(trust: Trust) -> None:
    """`keys delegate` and `put_targets` are all that a new model needs."""
    file = delegate(trust.keys, "wear", now=trust.clock.now())
    trust.repository.put_targets(file.read_bytes())
    signed = trust.sign(1, model="wear", key="wear")
    trust.repository.publish_release_targets("wear", 1, signed, MANIFEST)
    trust.repository = trust.reopened()
    assert trust.fetch("models/wear/1/release.json") == MANIFEST


def test_top_level_targets_must_be_signed_offline_and_come_in_order(trust: Trust) -> None:
    """The online side cannot delegate, and a repeated or skipped version is refused."""
    file = delegate(trust.keys, "wear", now=trust.clock.now())
    targets = parse(file.read_bytes(), Targets, "x").signed
    forged = signed_bytes(targets, load_ed25519(trust.keys / "online" / "snapshot.pem"))
    with pytest.raises(TrustError):
        trust.repository.put_targets(forged)
    trust.repository.put_targets(file.read_bytes())
    with pytest.raises(TrustError, match="expected 3"):
        trust.repository.put_targets(file.read_bytes())


def test_top_level_targets_may_not_drop_a_family_that_has_releases(trust: Trust) -> None:
    """Devices that run them would lose their evidence."""
    targets = parse((trust.keys / "metadata" / "1.targets.json").read_bytes(), Targets, "x").signed
    assert targets.delegations
    targets.delegations.roles = {}
    targets.version = 2
    with pytest.raises(ConflictError):
        trust.repository.put_targets(signed_bytes(targets, load_ed25519(trust.keys / "offline" / "targets.pem")))


def test_signatures_are_renewed_in_time_and_not_before(trust: Trust) -> None:
    """The timestamp daily, the snapshot at half its life."""
    assert not trust.repository.renew()
    before = parse_version(trust.repository.metadata_file("timestamp.json"))
    trust.clock.step(days=1, hours=1)
    assert trust.repository.renew()
    assert not trust.repository.renew()
    assert parse_version(trust.repository.metadata_file("timestamp.json")) == before + 1
    trust.clock.step(days=20)
    assert trust.repository.renew()
    assert parse_version(trust.repository.metadata_file("snapshot.json")) == 2


def parse_version(data: bytes) -> int:
    """The version in a metadata file."""
    import json

    return int(json.loads(data)["signed"]["version"])


@pytest.mark.parametrize("name", ["timestamp.json", "1.root.json", "1.targets.json", "1.snapshot.json"])
def test_a_start_on_meddled_files_is_refused(trust: Trust, name: str) -> None:
    """Whoever edits the published files stops the next start, not the fleet."""
    file = trust.folder / "trust" / "metadata" / name
    file.write_bytes(
        file.read_bytes().replace(b'"expires": "20', b'"expires": "21').replace(b'"expires":"20', b'"expires":"21')
    )
    with pytest.raises(EdgeferryError):
        trust.reopened()


def test_a_crash_before_the_timestamp_leaves_the_old_state(trust: Trust) -> None:
    """Everything before `timestamp.json` is invisible, and the next publication goes on from there."""
    trust.publish(1)
    metadata = trust.folder / "trust" / "metadata"
    (metadata / "3.snapshot.json").write_bytes(b"half a snap")
    (metadata / "3.release-digits.json").write_bytes(b"half of it")
    trust.repository = trust.reopened()
    assert trust.fetch("models/digits/1/release.json") == MANIFEST
    trust.publish(2)
    assert trust.fetch("models/digits/2/release.json") == MANIFEST


@pytest.mark.parametrize(
    "path", ["../metadata/timestamp.json", "/etc/passwd", "director", ".hidden", "director/../../x"]
)
def test_no_path_leads_out_of_the_repository(trust: Trust, path: str) -> None:
    """Names from outside never become other files."""
    with pytest.raises(NotFoundError):
        trust.repository.target_file(path)


def test_a_version_cannot_be_signed_for_two_manifests(trust: Trust) -> None:
    """The publisher's own tool refuses before the server has to."""
    trust.publish(1)
    with pytest.raises(ConflictError):
        trust.sign(1, b"something else")


def test_oversized_metadata_are_refused_unread(trust: Trust) -> None:
    """What no client would take is not parsed."""
    with pytest.raises(ContractError):
        trust.repository.put_targets(b" " * 5_000_001)
