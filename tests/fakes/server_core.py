"""A fleet server in this process for tests, with keys, devices and releases to feed it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from msgspec import structs

from fleet_client import FleetClient
from fleet_contract.api import ClaimCreate, EnrolRequest, ReleasePublish, Role, UserCreate
from fleet_contract.codec import encode
from fleet_contract.errors import NotFoundError
from fleet_contract.release import BlobRef
from fleet_server.app import running_server
from fleet_server.audit import Audit
from fleet_server.changes import Changes
from fleet_server.config import load_config
from fleet_server.keys import init_keys
from fleet_server.release_signing import sign_release_targets
from fleet_server.storage import tables
from fleet_server.storage.database import Database
from tests.fakes.contract_documents import manifest, profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy.engine import Connection

    from fleet_contract.api import EnrolResponse, ReleaseView
    from fleet_contract.release import ReleaseManifest
    from fleet_server.app import RunningServer

assert tables.MODULES
START = datetime(2026, 6, 1, 12, tzinfo=UTC)
MODEL = "digits"


class StepClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        """The moment that the test has set."""
        return self.at

    def step(self, **units: float) -> None:
        """Moves on, for instance by `days=2`."""
        self.at += timedelta(**units)


@dataclass(frozen=True)
class Store:
    """A database with what every service takes."""

    database: Database
    changes: Changes
    audit: Audit
    clock: StepClock

    def roll_back(self, deed: Callable[[Connection], object]) -> None:
        """Does `deed` in a transaction that then fails."""
        with contextlib.suppress(_Interrupted), self.database.transaction() as connection:
            deed(connection)
            raise _Interrupted


class _Interrupted(Exception):  # noqa: N818 -- a test's own stop sign
    """Whatever may go wrong before a commit."""


@contextmanager
def open_store(folder: Path) -> Iterator[Store]:
    """A fresh SQLite database in `folder` with all tables."""
    database = Database(f"sqlite:///{folder / 'test.db'}")
    database.create_all()
    changes = Changes()
    try:
        yield Store(database, changes, Audit(database, changes), StepClock())
    finally:
        database.close()


@dataclass(frozen=True)
class TestServer:
    """A server that answers, with a client for each role."""

    __test__ = False

    running: RunningServer
    folder: Path
    keys: Path

    @property
    def url(self) -> str:
        """The server's address."""
        return self.running.http_url

    @property
    def admin_token(self) -> str:
        """The first admin's token."""
        return self.running.admin_token_file.read_text().strip()

    def client(self, token: str | None = None) -> FleetClient:
        """A client with `token`, the admin's unless told."""
        return FleetClient(self.url, self.admin_token if token is None else token, tries=1)

    def token(self, role: Role) -> str:
        """A new user's token."""
        name = f"u-{hashlib.sha256(str(datetime.now(UTC)).encode()).hexdigest()[:12]}"
        return self.client().add_user(UserCreate(name=name, role=role)).token

    def enrol(
        self, device_id: str, labels: dict[str, str] | None = None, *, key: ec.EllipticCurvePrivateKey | None = None
    ) -> EnrolResponse:
        """A new member of the fleet."""
        claim = self.client().claim(ClaimCreate(device_id=device_id, labels=labels or {}))
        request = EnrolRequest(claim=claim.token, csr_pem=csr_pem(key), profile=profile(device_id=device_id))
        return self.client("").enrol(request)

    def publish(self, release: ReleaseManifest) -> ReleaseView:
        """Uploads a release's blobs and manifest and publishes it, as `edgeferry publish` does."""
        client = self.client()
        data = encode(release)
        for content in (*blob_contents(release.version), data):
            put(client, content, self.folder)
        try:
            current: bytes | None = client.trust_metadata(f"release-{release.model}.json")
        except NotFoundError:
            current = None
        targets = sign_release_targets(
            current,
            self.keys / "release" / f"release-{release.model}.pem",
            model=release.model,
            version=release.version,
            manifest_bytes=data,
            now=datetime.now(UTC),
        )
        return client.publish(ReleasePublish(release_sha256=hashlib.sha256(data).hexdigest(), targets_json=targets))


@contextmanager
def serving(folder: Path, *, broker: str = "embedded", **settings: object) -> Iterator[TestServer]:
    """A whole server on free ports, run in a thread with its own event loop."""
    keys = folder / "KEYS"
    if not keys.exists():
        init_keys(keys, [MODEL], now=datetime.now(UTC))
    flags = {"state_dir": folder / "state", "keys_dir": keys, "http_port": 0, "broker": broker, **settings}
    config = load_config(None, {}, flags)
    started, ended, found = threading.Event(), threading.Event(), list[object]()

    async def run() -> None:
        async with running_server(config) as server:
            found.append(server)
            started.set()
            await asyncio.to_thread(ended.wait)

    def enter() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 -- handed to the test's thread
            found.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=enter, name="test-server")
    thread.start()
    started.wait(60)
    try:
        if not found or isinstance(found[0], BaseException):
            raise found[0] if found else TimeoutError("the server did not start")  # type: ignore[misc]
        yield TestServer(found[0], folder, keys)  # type: ignore[arg-type]
    finally:
        ended.set()
        thread.join(60)
    if len(found) > 1 and isinstance(found[1], BaseException):
        raise found[1]


def csr_pem(key: ec.EllipticCurvePrivateKey | None = None, common_name: str = "whatever") -> str:
    """A certificate request as a device makes it."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM).decode()


def blob_contents(version: int) -> tuple[bytes, ...]:
    """The bytes of a test release's four blobs."""
    return tuple(f"{name} of v{version}".encode() for name in ("variant", "golden", "profile", "card"))


def release(version: int = 1, model: str = MODEL, **changes: object) -> ReleaseManifest:
    """A small release whose blobs are `blob_contents(version)`."""
    variant, golden, reference, card = (
        BlobRef(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content), name=name)
        for name, content in zip(("m.tflite", "golden.npz", "p.json", "README.md"), blob_contents(version), strict=True)
    )
    base = manifest(model=model, version=version, golden=golden, reference_profile=reference, model_card=card)
    variants = (structs.replace(base.variants[0], blob=variant),)
    return structs.replace(base, variants=variants, **changes)


def put(client: FleetClient, content: bytes, folder: Path) -> str:
    """Uploads `content` and returns its SHA-256."""
    sha256 = hashlib.sha256(content).hexdigest()
    file = folder / sha256
    file.write_bytes(content)
    client.put_blob(BlobRef(sha256=sha256, size_bytes=len(content), name="x"), file)
    return sha256
