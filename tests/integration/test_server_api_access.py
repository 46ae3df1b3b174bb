"""Who may call what: every route of the running API against every role and against its documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from litestar.routes import HTTPRoute

from fleet_contract.api import Role
from fleet_server.api.access import ACCESS, ANONYMOUS, Access, Principal
from fleet_server.parts import Parts
from tests.fakes.server_core import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from litestar import Litestar

    from tests.fakes.server_core import TestServer

REST = Path(__file__).parents[2] / "docs" / "reference" / "rest.md"
ROLES = ("nobody", "device", *(role.value for role in Role))
SAMPLE = "1"
OPENAPI_PATHS = ("/api/v1/openapi.json", "/api/v1/schema")


@pytest.fixture(scope="module")
def application() -> Iterator[list[Litestar]]:
    """Holds the application of the server below, once it runs."""
    seen: list[Litestar] = []
    original = Parts.application

    def remember(parts: Parts) -> Litestar:
        seen.append(original(parts))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Parts, "application", remember)
        yield seen


@pytest.fixture(scope="module")
def server(application: list[Litestar], tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A running server."""
    del application
    with serving(tmp_path_factory.mktemp("access")) as running:
        yield running


@pytest.fixture(scope="module")
def tokens(server: TestServer) -> dict[str, str]:
    """A token for each role."""
    return {
        "nobody": "",
        "device": server.enrol("pi-access").http_token,
        **{role.value: server.token(role) for role in Role},
    }


def routes(application: Litestar) -> dict[tuple[str, str], Access]:
    """(method, path template) and what its handler asks for; a handler that does not say fails here."""
    found: dict[tuple[str, str], Access] = {}
    for route in application.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if method != "OPTIONS":
                    assert isinstance(handler.opt.get(ACCESS), Access), f"{method} {route.path} does not say who may"
                    found[method, route.path_format] = handler.opt[ACCESS]
    return found


def principal(role: str) -> Principal:
    """Somebody of that role."""
    if role == "nobody":
        return ANONYMOUS
    if role == "device":
        return Principal(device_id="pi-access")  # type: ignore[arg-type]
    return Principal(name=role, role=Role(role))


def test_every_route_refuses_everybody_whom_it_does_not_allow(
    server: TestServer, application: list[Litestar], tokens: dict[str, str]
) -> None:
    """Over real HTTP: 401 without a token, 403 with one that is too weak, for each method of each path."""
    pool = urllib3.PoolManager()
    refused = 0
    for (method, path), access in routes(application[0]).items():
        address = server.url + re.sub(r"\{[^}]+\}", SAMPLE, path)
        for role in ROLES:
            if access.allows(principal(role)):
                continue
            headers = {"Authorization": f"Bearer {tokens[role]}"} if tokens[role] else {}
            answer = pool.request(method, address, headers=headers, redirect=False, retries=False)
            page = not path.startswith(("/api", "/metrics")) and role == "nobody"
            expected = 303 if page else 401 if role == "nobody" else 403
            assert answer.status == expected, f"{role}: {method} {path} gave {answer.status}"
            refused += 1
    assert refused > 100


def documented() -> dict[tuple[str, str], str]:
    """(method, path) and role of each row of docs/reference/rest.md."""
    found: dict[tuple[str, str], str] = {}
    for line in REST.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        match = re.match(
            r"((?:GET|HEAD|PUT|POST|PATCH|DELETE)(?:, (?:GET|HEAD|PUT|POST))*) (/\S*?)(\{.*\})?$", cells[0]
        )
        if not match:
            continue
        methods, role = match[1].split(", "), cells[1].split(" (")[0]
        roles = role.split(", ") if len(methods) > 1 and ", " in role else [role] * len(methods)
        verbs = re.match(r"(.*/)\{(\w[\w-]*(?:, [\w-]+)+)\}$", cells[0].split(" ", len(methods))[-1])
        paths = [verbs[1] + verb for verb in verbs[2].split(", ")] if verbs else [cells[0].split(" ", len(methods))[-1]]
        for path in paths:
            for method, each in zip(methods, roles, strict=True):
                found[method, path] = each
    return found


def words(access: Access) -> str:
    """Access as the documentation writes it."""
    if access.public:
        return "none"
    parts = (["device"] if access.device else []) + ([access.role.value] if access.role else [])
    return ", ".join(parts)


def test_the_documentation_says_what_the_routes_do(application: list[Litestar], server: TestServer) -> None:
    """docs/reference/rest.md and the application name the same paths and the same roles."""
    del server
    actual: dict[tuple[str, str], str] = {}
    for (method, path), access in routes(application[0]).items():
        if path.startswith("/api/v1/") and not path.startswith(OPENAPI_PATHS):
            actual[method, _plain(path.removeprefix("/api/v1"))] = words(access)
    expected = {(method, _plain(path)): role for (method, path), role in documented().items()}
    assert actual == expected


def _plain(path: str) -> str:
    return re.sub(r"\{[^}]+\}", "{}", path)


def test_the_browser_cookie_reads_but_never_writes(server: TestServer) -> None:
    """Another site cannot make a logged-in browser act."""
    pool = urllib3.PoolManager()
    cookie = {"Cookie": f"edgeferry_session={server.admin_token}"}
    answer: Any = pool.request("GET", f"{server.url}/api/v1/fleet/status", headers=cookie)
    assert answer.status == 200
    answer = pool.request("POST", f"{server.url}/api/v1/users", headers=cookie, json={"name": "eve", "role": "admin"})
    assert answer.status == 403


def test_an_unknown_token_is_nobody(server: TestServer) -> None:
    """A token that nobody has is as good as none, and a removed user's is unknown."""
    pool = urllib3.PoolManager()
    for token in ("efu1.guess", "efd1.guess", "x" * 5000):
        answer = pool.request("GET", f"{server.url}/api/v1/users", headers={"Authorization": f"Bearer {token}"})
        assert answer.status == 401, token[:10]
