"""The dashboard in headless Chromium: log in, look, and watch a page change by itself."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.fakes.server_core import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.fakes.server_core import TestServer

CHROMIUM = shutil.which("chromium")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
expect.set_options(timeout=30_000)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None and "EDGEFERRY_REQUIRE_SERVERS" not in os.environ, reason="Chromium is not installed"
    ),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TestServer]:
    """A server with one device."""
    with serving(tmp_path, broker="embedded") as running:
        running.enrol("pi-door", labels={"site": "north"})
        yield running


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a phone's width, which fails the test on any script error or request to another host."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        opened = browser.new_page(viewport={"width": 390, "height": 800})
        wrong: list[str] = []
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on("request", lambda request: None if "127.0.0.1" in request.url else wrong.append(request.url))
        yield opened
        browser.close()
        assert wrong == []


def log_in(page: Page, server: TestServer) -> None:
    """As a person does, by keyboard alone."""
    page.goto(server.url)
    token = page.get_by_label("Token")
    expect(token).to_be_focused()
    token.fill(server.admin_token)
    token.press("Enter")
    page.wait_for_url(f"{server.url}/")


def test_a_wrong_token_stays_outside(page: Page, server: TestServer) -> None:
    """The login says so, and no page is shown."""
    page.goto(server.url)
    page.get_by_label("Token").fill("not-a-token")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.goto(f"{server.url}/devices/pi-door")
    expect(page.get_by_label("Token")).to_be_visible()


def test_the_fleet_shows_a_device_that_joins_while_one_looks(page: Page, server: TestServer) -> None:
    """The page is live: nobody reloads it."""
    log_in(page, server)
    expect(page.get_by_role("link", name="pi-door")).to_be_visible()
    expect(page.locator("#live")).to_have_text("live")
    server.enrol("pi-gate")
    expect(page.get_by_role("link", name="pi-gate")).to_be_visible()
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, "a phone must not scroll sideways"


def test_a_devices_page_and_the_audit_log_are_a_click_away(page: Page, server: TestServer) -> None:
    """From the fleet to a device, and who enrolled it in the audit log."""
    log_in(page, server)
    page.get_by_role("link", name="pi-door").click()
    expect(page.get_by_role("heading", name="pi-door")).to_be_visible()
    page.get_by_role("link", name="Audit").click()
    expect(page.locator("main")).to_contain_text("pi-door")
