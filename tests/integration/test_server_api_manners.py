"""How the API behaves at its edges: problems, repeats, limits, caching, news, pages, figures."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
import urllib3

from fleet_contract.api import Problem, Role, UserCreate
from fleet_contract.codec import decode
from fleet_contract.errors import ConflictError, NotFoundError
from tests.fakes.server_core import release, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fakes.server_core import TestServer

POOL = urllib3.PoolManager()


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A running server with a member and a release."""
    with serving(tmp_path_factory.mktemp("manners")) as running:
        running.enrol("pi-1", {"note": "<script>alert(1)</script>"})
        running.publish(release(1))
        yield running


def auth(server: TestServer, **more: str) -> dict[str, str]:
    """Headers of the admin."""
    return {"Authorization": f"Bearer {server.admin_token}", **more}


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (("GET", "/api/v1/nothing", None), 404, "not-found"),
        (("GET", "/api/v1/devices/none", None), 404, "not-found"),
        (("POST", "/api/v1/users", b"{"), 400, "contract"),
        (("POST", "/api/v1/users", b'{"name": "A B", "role": "viewer"}'), 400, "contract"),
        (("POST", "/api/v1/users", b'{"name": "ann", "role": "emperor"}'), 400, "contract"),
        (("POST", "/api/v1/users", b"[" * 100_000), 400, "contract"),
        (("POST", "/api/v1/users", b" " * 2_000_000), 413, "contract"),
        (("DELETE", "/api/v1/users/admin", None), 409, "conflict"),
    ],
)
def test_every_error_is_a_problem_with_a_stable_code(
    server: TestServer, request_: tuple[str, str, bytes | None], status: int, code: str
) -> None:
    """RFC 9457, whatever went wrong."""
    method, path, body = request_
    headers = auth(server, **{"Content-Type": "application/json"})
    answer = POOL.request(method, server.url + path, headers=headers, body=body, retries=False)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = decode(answer.data, Problem)
    assert (problem.status, problem.code) == (status, code)
    assert problem.title


def test_a_repeated_post_is_carried_out_once(server: TestServer) -> None:
    """The same key gives the same answer; another key meets what the first one did; the secret stays off the disk."""
    body = json.dumps({"name": "twice", "role": "viewer"}).encode()
    answers = [
        POOL.request("POST", f"{server.url}/api/v1/users", headers=auth(server, **{"Idempotency-Key": key}), body=body)
        for key in ("k1", "k1", "k2")
    ]
    assert [answer.status for answer in answers] == [201, 201, 409]
    assert answers[0].data == answers[1].data
    token = json.loads(answers[0].data)["token"].encode()
    for file in (server.folder / "state").glob("edgeferry.db*"):
        assert token not in file.read_bytes()


def test_two_at_once_with_one_key_are_one(server: TestServer) -> None:
    """The second waits for the first and gets its answer; another caller's same key is another key."""
    headers = auth(server, **{"Idempotency-Key": "race"})
    body = json.dumps({"model": "digits", "reason": "because"}).encode()
    found: list[str] = []

    def ask() -> None:
        answer = POOL.request("POST", f"{server.url}/api/v1/retrain-requests", headers=headers, body=body)
        found.append(json.loads(answer.data)["id"])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_the_status_is_encoded_once_and_renewed_by_changes(server: TestServer) -> None:
    """A reader who has it gets 304, until something changed."""
    address = f"{server.url}/api/v1/fleet/status"
    first = POOL.request("GET", address, headers=auth(server))
    etag = first.headers["ETag"]
    assert POOL.request("GET", address, headers=auth(server, **{"If-None-Match": etag})).status == 304
    server.client().set_labels("pi-1", {"color": "blue"})
    deadline = time.monotonic() + 10
    while POOL.request("GET", address, headers=auth(server, **{"If-None-Match": etag})).status == 304:
        assert time.monotonic() < deadline, "the status never changed"
        time.sleep(0.02)
    status = server.client().fleet_status()
    assert (status.devices, status.broker, status.members[0].labels["color"]) == (1, "embedded", "blue")


def test_the_stream_tells_of_a_change_as_it_happens(server: TestServer) -> None:
    """Server-sent events carry kind and id."""
    answer = POOL.request("GET", f"{server.url}/api/v1/stream", headers=auth(server), preload_content=False)
    timer = threading.Timer(0.3, lambda: server.client().set_labels("pi-1", {"tick": "tock"}))
    timer.start()
    seen = ""
    deadline = time.monotonic() + 10
    while '"id":"pi-1"' not in seen and time.monotonic() < deadline:
        seen += answer.read1(1000).decode() if hasattr(answer, "read1") else answer.read(1).decode()
    timer.join()
    answer.close()
    assert "event: change" in seen.replace("\r", "")
    assert '"kind":"device"' in seen


def test_health_readiness_and_figures(server: TestServer) -> None:
    """What watches the server finds what it needs."""
    assert server.client("").healthy()
    deadline = time.monotonic() + 10
    while POOL.request("GET", f"{server.url}/readyz").status != 200:
        assert time.monotonic() < deadline, POOL.request("GET", f"{server.url}/readyz").data
        time.sleep(0.05)
    text = POOL.request("GET", f"{server.url}/metrics", headers=auth(server)).data.decode()
    for line in ("edgeferry_devices 1.0", "edgeferry_alerts_open 0.0", 'edgeferry_windows_total{outcome="stored"} 0.0'):
        assert line in text
    assert 'route="/api/v1/devices/{device_id}' in text or "edgeferry_http_requests_total" in text


def log_in(server: TestServer, token: str, target: str) -> urllib3.BaseHTTPResponse:
    """The answer to the login form."""
    form = urlencode({"token": token, "next": target}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return POOL.request("POST", f"{server.url}/login", headers=headers, body=form, redirect=False)


def test_pages_lead_to_the_login_and_the_login_to_the_page(server: TestServer) -> None:
    """A cookie that scripts cannot read opens every page; a wrong token opens none; no login leads elsewhere."""
    closed = POOL.request("GET", f"{server.url}/audit", redirect=False)
    assert (closed.status, closed.headers["Location"]) == (303, "/login?next=/audit")
    assert log_in(server, "efu1.no", "/").status == 401
    for target, expected in (("/audit", "/audit"), ("//evil.example", "/"), ("https://evil.example/", "/")):
        right = log_in(server, server.admin_token, target)
        assert (right.status, right.headers["Location"]) == (303, expected)
    cookie = right.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    session = {"Cookie": cookie.split(";")[0]}
    pages = ("/", "/devices/pi-1", "/rollouts", "/releases", "/releases/digits/1", "/alerts", "/audit")
    for path in pages:
        page = POOL.request("GET", server.url + path, headers=session)
        assert page.status == 200, path
        assert "default-src 'self'" in page.headers["Content-Security-Policy"]
        assert b"<script>alert" not in page.data
        assert b"http://" not in page.data.replace(server.url.encode(), b"").replace(b"http://www.w3.org", b"")
    assert b"&lt;script&gt;" in POOL.request("GET", f"{server.url}/devices/pi-1", headers=session).data
    missing = POOL.request("GET", f"{server.url}/devices/none", headers=session)
    assert missing.status == 404
    assert b"Back to the fleet" in missing.data


def test_users_come_and_go(server: TestServer) -> None:
    """A removed user's token is worth nothing; the last admin stays; every deed is in the log."""
    client = server.client()
    created = client.add_user(UserCreate(name="carol", role=Role.VIEWER))
    assert server.client(created.token).fleet_status().devices == 1
    with pytest.raises(ConflictError):
        client.add_user(UserCreate(name="carol", role=Role.VIEWER))
    client.remove_user("carol")
    with pytest.raises(NotFoundError):
        client.remove_user("carol")
    assert "carol" not in [user.name for user in client.users()]
    log = [(entry.actor, entry.action, entry.subject) for entry in client.audit()]
    assert ("admin", "create-user", "carol") in log
    assert ("admin", "remove-user", "carol") in log
    assert client.verify_audit().intact


def test_the_api_describes_itself(server: TestServer) -> None:
    """OpenAPI 3.1 with every resource."""
    schema = json.loads(POOL.request("GET", f"{server.url}/api/v1/openapi.json").data)
    assert schema["openapi"].startswith("3.1")
    assert "/api/v1/devices/{device_id}" in schema["paths"]


def test_small_answers_are_not_held_back(server: TestServer) -> None:
    """The median answer takes far less than the 40 ms that a missing TCP_NODELAY costs."""
    pool, taken_s = urllib3.PoolManager(), list[float]()
    for _ in range(21):
        started_s = time.perf_counter()
        assert pool.request("GET", f"{server.url}/api/v1/healthz").status == 200
        taken_s.append(time.perf_counter() - started_s)
    assert sorted(taken_s)[10] < 0.03
