"""One HTTP request to the fleet server, with its errors turned into ours.

Connections are pooled and kept alive; a request that never reached the server, and a read, is retried with
capped full-jitter backoff; a write carries an Idempotency-Key, so that retrying it is safe too.
"""

from __future__ import annotations

import random
import time
import uuid
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlencode

import urllib3
from urllib3.util import Timeout

from fleet_contract.api import Problem
from fleet_contract.codec import decode, encode
from fleet_contract.errors import (
    AccessError,
    ConflictError,
    ContractError,
    DataError,
    EdgeferryError,
    GateError,
    ModelError,
    NotFoundError,
    StorageError,
    TrustError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from urllib3 import BaseHTTPResponse

T = TypeVar("T")

MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024
_RETRY_STATUS: Final = frozenset({502, 503, 504})
_BY_CODE: Final[dict[str, type[EdgeferryError]]] = {
    "contract": ContractError,
    "data": DataError,
    "model": ModelError,
    "gate": GateError,
    "trust": TrustError,
    "access": AccessError,
    "not-found": NotFoundError,
    "conflict": ConflictError,
    "storage": StorageError,
    "unreachable": UnreachableError,
}
_BY_STATUS: Final[dict[int, type[EdgeferryError]]] = {
    400: ContractError,
    401: AccessError,
    403: AccessError,
    404: NotFoundError,
    409: ConflictError,
    413: ContractError,
    422: ContractError,
    507: StorageError,
}


class Transport:
    """Requests below one base URL with one token.

    Args:
        url: the server, for instance `http://127.0.0.1:8080`.
        token: bearer token; empty for the few calls that need none.
        ca_file: certificate authority to trust for https; None for the system's.
        timeout_s: for connecting and for each read.
        tries: how often a retryable request is tried in all.
    """

    def __init__(
        self, url: str, token: str = "", *, ca_file: Path | None = None, timeout_s: float = 30.0, tries: int = 4
    ) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._tries = tries
        self._pool = urllib3.PoolManager(
            ca_certs=str(ca_file) if ca_file else None,
            timeout=Timeout(connect=min(timeout_s, 10.0), read=timeout_s),
            retries=False,
            maxsize=8,
        )

    def json(self, method: str, path: str, kind: type[T], *, body: object = None, query: Mapping[str, str] = {}) -> T:
        """The decoded answer to a JSON request.

        Raises:
            EdgeferryError: of the family that the server's problem names.
            UnreachableError: the server did not answer.
        """
        response = self.request(method, path, body=None if body is None else encode(body), query=query)
        return decode(response.data, kind, max_bytes=MAX_RESPONSE_BYTES)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        query: Mapping[str, str] = {},
        headers: Mapping[str, str] = {},
    ) -> BaseHTTPResponse:
        """The answer with its whole body read, status below 400. Raises as `json` does."""
        sent = {**self._headers, **headers}
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        if method == "POST":
            sent["Idempotency-Key"] = uuid.uuid4().hex
        for pause_s in _pauses(self._tries):
            try:
                response = self._pool.request(method, self._address(path, query), body=body, headers=sent)
            except urllib3.exceptions.HTTPError as error:
                failure: EdgeferryError = self._unreachable(error)
            else:
                if response.status < 400:
                    return response
                failure = problem_error(response.status, response.data, f"{method} {path}")
                if response.status not in _RETRY_STATUS:
                    raise failure
            if pause_s is not None:
                time.sleep(pause_s)
        raise failure

    def upload(self, path: str, file: Path, size_bytes: int) -> None:
        """PUTs a file without reading it into memory. Raises as `json` does."""
        for pause_s in _pauses(self._tries):
            try:
                with file.open("rb") as stream:
                    response = self._pool.request(
                        "PUT",
                        self.url + path,
                        body=stream,
                        headers={
                            **self._headers,
                            "Content-Length": str(size_bytes),
                            "Content-Type": "application/octet-stream",
                        },
                    )
            except urllib3.exceptions.HTTPError as error:
                failure: EdgeferryError = self._unreachable(error)
            else:
                if response.status < 400:
                    return
                failure = problem_error(response.status, response.data, f"PUT {path}")
                if response.status not in _RETRY_STATUS:
                    raise failure
            if pause_s is not None:
                time.sleep(pause_s)
        raise failure

    def close(self) -> None:
        """Closes the pooled connections."""
        self._pool.clear()

    def _address(self, path: str, query: Mapping[str, str]) -> str:
        return f"{self.url}{path}?{urlencode(query)}" if query else self.url + path

    def _unreachable(self, error: Exception) -> UnreachableError:
        return UnreachableError(
            f"fleet server {self.url} does not answer: {type(error).__name__}",
            hint="is `edgeferry server` running, and is the address right (--server or EDGEFERRY_SERVER)?",
        )


def _pauses(tries: int) -> Iterator[float | None]:
    """Seconds to wait after each try, full jitter, at most 5; None after the last."""
    for number in range(tries):
        yield None if number == tries - 1 else random.uniform(0.0, min(5.0, 0.2 * 2**number))  # noqa: S311 - jitter


def problem_error(status: int, body: bytes, request: str) -> EdgeferryError:
    """The error of ours for an answer of status 400 or above."""
    try:
        problem = decode(body, Problem)
    except ContractError:
        problem = Problem(title="", status=status)
    family = _BY_CODE.get(problem.code) or _BY_STATUS.get(status, UnreachableError)
    return family(problem.detail or problem.title or f"{request}: HTTP {status}", hint=problem.hint)
