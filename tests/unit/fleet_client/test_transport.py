"""The client's transport against a real HTTP server: errors become families, retries are safe and bounded."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from fleet_client import FleetClient
from fleet_client.transport import Transport, problem_error
from fleet_contract.api import LabelSample, Page, Problem, UserCreate, UserView
from fleet_contract.codec import encode
from fleet_contract.errors import (
    AccessError,
    ConflictError,
    ContractError,
    NotFoundError,
    TrustError,
    UnreachableError,
)
from fleet_contract.release import BlobRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Answer = tuple[int, bytes]


class Recorder(ThreadingHTTPServer):
    """A server that answers from a script and records what it was asked."""

    script: Callable[[str, str, int], Answer]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []


class Handler(BaseHTTPRequestHandler):
    """Every method goes to the script."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """Records the request and sends the scripted answer."""
        assert isinstance(self.server, Recorder)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        status, data = self.server.script(self.command, self.path, len(self.server.seen))
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_HEAD = do_PATCH = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Recorder]:
    """A recorder on a free port."""
    recorder = Recorder()
    thread = threading.Thread(target=recorder.serve_forever, daemon=True)
    thread.start()
    yield recorder
    recorder.shutdown()
    recorder.server_close()
    thread.join()


def client_of(server: Recorder) -> FleetClient:
    """A client with a token."""
    return FleetClient(f"http://127.0.0.1:{server.server_port}", "secret", timeout_s=5.0)


@pytest.mark.parametrize(
    ("status", "code", "family"),
    [
        (401, "", AccessError),
        (403, "", AccessError),
        (404, "", NotFoundError),
        (409, "conflict", ConflictError),
        (422, "trust", TrustError),
        (400, "", ContractError),
        (500, "", UnreachableError),
    ],
)
def test_a_problem_becomes_the_family_that_it_names(status: int, code: str, family: type[Exception]) -> None:
    """The problem's code decides, its status where the code says nothing."""
    error = problem_error(
        status, encode(Problem(title="t", status=status, detail="why", code=code, hint="do")), "GET /"
    )
    assert type(error) is family
    assert (error.message, error.hint) == ("why", "do")


def test_an_answer_that_is_no_problem_still_names_the_request() -> None:
    """A proxy's HTML page does not hide what was asked."""
    error = problem_error(404, b"<html>", "GET /api/v1/devices")
    assert error.message == "GET /api/v1/devices: HTTP 404"


def test_the_token_and_an_idempotency_key_go_along(server: Recorder) -> None:
    """Writes carry both, so that a retry is safe."""
    server.script = lambda *_: (200, b'{"name":"ann","role":"viewer","token":"t"}')
    from fleet_contract.api import Role

    client_of(server).add_user(UserCreate(name="ann", role=Role.VIEWER))
    _, path, headers, body = server.seen[0]
    assert path == "/api/v1/users"
    assert headers["Authorization"] == "Bearer secret"
    assert headers["Idempotency-Key"]
    assert body == b'{"name":"ann","role":"viewer"}'


def test_an_overloaded_server_is_tried_again_with_the_same_key(server: Recorder) -> None:
    """503 is retried, and the retry is recognisable as the same request."""
    server.script = lambda _method, _path, count: (
        (503, b"") if count < 3 else (200, b'{"name":"a","role":"viewer","token":"t"}')
    )
    from fleet_contract.api import Role

    client_of(server).add_user(UserCreate(name="a", role=Role.VIEWER))
    assert len({headers["Idempotency-Key"] for _, _, headers, _ in server.seen}) == 1
    assert len(server.seen) == 3


def test_a_refusal_is_not_tried_again(server: Recorder) -> None:
    """403 is final."""
    server.script = lambda *_: (403, b"")
    with pytest.raises(AccessError):
        client_of(server).fleet_status()
    assert len(server.seen) == 1


def test_tries_are_bounded() -> None:
    """A dead address ends in UnreachableError with a hint, after the set number of tries."""
    with pytest.raises(UnreachableError, match="does not answer") as caught:
        Transport("http://127.0.0.1:1", tries=2).request("GET", "/healthz")
    assert "edgeferry server" in caught.value.hint


def test_pages_are_followed_to_the_end(server: Recorder) -> None:
    """The cursor of each page leads to the next until it is empty."""

    def script(_method: str, path: str, _count: int) -> Answer:
        second = "cursor=b" in path
        return 200, encode(Page[UserView](items=[], next="" if second else "b"))

    server.script = script
    assert list(client_of(server).users()) == []
    assert [path for _, path, _, _ in server.seen] == ["/api/v1/users", "/api/v1/users?cursor=b"]


def test_a_blob_that_the_server_has_is_not_sent_again(server: Recorder, tmp_path: Path) -> None:
    """HEAD answers first; only a missing blob travels, from the file and with its length."""
    file = tmp_path / "blob"
    file.write_bytes(b"x" * 70_000)
    blob = BlobRef(sha256="0" * 64, size_bytes=70_000, name="b")
    server.script = lambda method, _path, _count: (200, b"") if method == "HEAD" else (201, b"")
    client_of(server).put_blob(blob, file)
    assert [method for method, *_ in server.seen] == ["HEAD"]
    server.script = lambda method, _path, _count: (404, b"") if method == "HEAD" else (201, b"")
    client_of(server).put_blob(blob, file)
    method, path, headers, body = server.seen[-1]
    assert (method, path, headers["Content-Length"], body) == (
        "PUT",
        f"/api/v1/blobs/{'0' * 64}",
        "70000",
        b"x" * 70_000,
    )


def test_a_query_is_escaped(server: Recorder) -> None:
    """What a user types does not become part of the path."""
    server.script = lambda *_: (200, b'{"items":[],"next":""}')
    list(client_of(server).devices(label="site:a&b=c/d"))
    assert server.seen[0][1] == "/api/v1/devices?label=site%3Aa%26b%3Dc%2Fd"


def test_an_answer_that_is_not_the_promised_type_is_a_contract_error(server: Recorder) -> None:
    """A server of another kind is noticed at once."""
    server.script = lambda *_: (200, b'{"unexpected": true}')
    with pytest.raises(ContractError):
        client_of(server).label_sample("s", LabelSample(label="x").label)
