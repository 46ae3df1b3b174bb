"""Trust in releases and directors through TUF, with python-tuf's client and our own limits and clock.

The pinned root comes from enrolment, where its hash was checked against the claim. Every `refresh` fetches fresh
metadata and the directors' keys; the keys are kept on disk, so that documents can be judged with no network.
Expired metadata raise `RefusedError` with the code `metadata-expired`; they block new activations and nothing else.

Source: TUF specification 1.0, section 5 (detailed client workflow).
"""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from device_agent.faults import FetchError, RefusedError
from fleet_contract.release import MAX_RELEASE_BYTES, release_target_path
from fleet_files.durable import make_folder, write_file

if TYPE_CHECKING:
    from collections.abc import Callable

    import urllib3
    from securesystemslib.signer._key import Key
    from tuf.ngclient.updater import Updater

    from fleet_contract.errors import UnreachableError

DIRECTOR_TARGET: Final = "director/keys.json"
DIRECTOR_FILE: Final = "director-keys.json"
CHECKED_FILE: Final = "checked-at"
MAX_DIRECTOR_BYTES: Final = 64 * 1024


class TufTrust:
    """The trusted repository of one server, cached in a folder.

    Args:
        folder: where metadata, targets and director keys are kept.
        root: the pinned root metadata.
        pool: connections, see `http.open_pool`.
        url: the server.
        now: the effective clock, see `clock.TrustedClock`.
        monotonic: reads a clock that does not jump, in seconds.
    """

    def __init__(
        self,
        folder: Path,
        root: bytes,
        pool: urllib3.PoolManager,
        url: str,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._folder = make_folder(folder)
        self._targets = make_folder(folder / "targets")
        self._root = root
        self._pool = pool
        self._url = url.rstrip("/") + "/api/v1/trust"
        self._now = now
        self._monotonic = monotonic
        self._single = threading.Lock()
        self._directors: dict[str, Key] = {}
        self._loaded = False

    @property
    def checked_at(self) -> datetime | None:
        """When the metadata were last found fresh; None before the first time."""
        try:
            return datetime.fromisoformat((self._folder / CHECKED_FILE).read_text())
        except (OSError, ValueError):
            return None

    async def refresh(self) -> None:
        """Fetches fresh metadata and the directors' keys.

        Raises:
            RefusedError: metadata or keys do not hold, or have expired.
            UnreachableError: the server does not answer.
        """
        await asyncio.to_thread(self._refresh)

    async def release(self, model: str, version: int) -> bytes:
        """The bytes of a genuine release manifest, from fresh metadata. Raises as `refresh`."""
        return await asyncio.to_thread(self._release, model, version)

    def knows(self, key_id: str) -> bool:
        """Whether a director's key of that id is known by now."""
        if not self._loaded:
            self._load_directors()
        return key_id in self._directors

    def verify(self, key_id: str, message: bytes, signature: bytes) -> bool:
        """Whether a director's key that is known by now made `signature` over `message`."""
        return self.knows(key_id) and verify_signature(self._directors[key_id], message, signature)

    def _release(self, model: str, version: int) -> bytes:
        with self._single:
            updater = self._refreshed()
            path = release_target_path(model, version)
            return self._target(updater, path, MAX_RELEASE_BYTES, refused="release")

    def _refresh(self) -> None:
        with self._single:
            self._refreshed()

    def _refreshed(self) -> Updater:
        with translated(self._url):
            from tuf.ngclient.updater import Updater

            from device_agent.tuf_fetcher import BoundedFetcher

            updater = Updater(
                str(self._folder),
                f"{self._url}/metadata/",
                str(self._targets),
                f"{self._url}/targets/",
                fetcher=BoundedFetcher(self._pool, self._monotonic),
                bootstrap=self._root,
            )
            # python-tuf reads the system's clock; a board without a battery-backed one needs the effective time.
            updater._trusted_set.reference_time = self._now()  # noqa: SLF001 - no public way (python-tuf #388)
            updater.refresh()
        keys = self._target(updater, DIRECTOR_TARGET, MAX_DIRECTOR_BYTES, refused="metadata")
        self._directors, self._loaded = parse_directors(keys), True
        write_file(self._folder / DIRECTOR_FILE, keys)
        write_file(self._folder / CHECKED_FILE, self._now().isoformat().encode())
        return updater

    def _target(self, updater: Updater, path: str, max_bytes: int, *, refused: str) -> bytes:
        with translated(self._url, refused=refused):
            found = updater.get_targetinfo(path)
            if found is None:
                raise RefusedError(
                    f"{path}: not among the signed targets",
                    refused=refused,
                    code="not-signed",
                    hint="publish the release first; if it was published, somebody names what nobody signed",
                )
            if found.length > max_bytes:
                raise RefusedError(
                    f"{path}: got {found.length} bytes, expected at most {max_bytes}", refused=refused, code="too-long"
                )
            file = updater.find_cached_target(found) or updater.download_target(found)
            return Path(file).read_bytes()

    def _load_directors(self) -> None:
        self._loaded = True
        file = self._folder / DIRECTOR_FILE
        if file.exists():
            self._directors = parse_directors(file.read_bytes())


class translated:  # noqa: N801 - reads as the statement that it is
    """Turns python-tuf's errors into ours; its exceptions are only imported when there is one."""

    def __init__(self, url: str, *, refused: str = "metadata") -> None:
        self._url = url
        self._refused = refused

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Raises ours in place of theirs."""
        if error is not None and type(error).__module__.startswith(("tuf.", "securesystemslib.")):
            raise translate(error, self._url, self._refused) from error


def translate(error: BaseException, url: str, refused: str) -> RefusedError | FetchError | UnreachableError:
    """Our error for one of python-tuf."""
    from tuf.api import exceptions

    if isinstance(error, exceptions.DownloadHTTPError):
        return FetchError(f"{url}: HTTP {error.status_code}", code=f"http-{error.status_code}", retryable=True)
    if isinstance(error, exceptions.ExpiredMetadataError):
        return RefusedError(
            f"{url}: signed metadata have expired: {error}",
            refused="metadata",
            code="metadata-expired",
            hint="the server must sign new metadata; inference goes on, new activations wait",
        )
    if isinstance(error, exceptions.DownloadLengthMismatchError):
        return RefusedError(f"{url}: longer than signed: {error}", refused=refused, code="too-long")
    if isinstance(error, exceptions.DownloadError):
        return FetchError(f"{url}: {error}", code="unreachable", retryable=True)
    if isinstance(error, exceptions.LengthOrHashMismatchError):
        return RefusedError(f"{url}: does not have the signed hash: {error}", refused=refused, code="hash")
    return RefusedError(f"{url}: signed metadata do not hold: {error}", refused="metadata", code="metadata-invalid")


def parse_directors(data: bytes) -> dict[str, Key]:
    """Director keys by id out of `director/keys.json`.

    Raises:
        RefusedError: it does not have the agreed form.
    """
    from securesystemslib.signer._key import SSlibKey

    try:
        keys = json.loads(data)["keys"]
        return {
            str(key_id): SSlibKey(str(key_id), key["keytype"], key["scheme"], {"public": key["public"]})
            for key_id, key in keys.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError(
            f"{DIRECTOR_TARGET}: got {type(error).__name__}: {error}, expected the keys of directors",
            refused="metadata",
            code="director-keys",
        ) from error


def verify_signature(key: Key, message: bytes, signature: bytes) -> bool:
    """Whether `key` made `signature` over `message`; a key that cannot be used verifies nothing."""
    from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
    from securesystemslib.signer._signature import Signature

    try:
        key.verify_signature(Signature(key.keyid, signature.hex()), message)
    except (UnverifiedSignatureError, VerificationError):
        return False
    return True
