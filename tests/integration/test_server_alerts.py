"""Alerts in the database, and the webhook that carries them out of the house."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from fleet_contract.api import AlertView
from fleet_contract.codec import decode
from fleet_contract.errors import ConfigError, ConflictError, NotFoundError
from fleet_contract.messages import SecurityReport
from fleet_server.alerts import AlertKind
from fleet_server.settings import AlertSettings
from fleet_server.webhook import Webhook
from tests.fakes.server_core import START
from tests.fakes.server_dynamics import Dynamics, dynamics
from tests.fakes.server_mqtt_client import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALERT = AlertView(id=7, at=START, kind="security", severity="critical", summary="x")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Dynamics]:
    """The services over a fresh database."""
    with dynamics(tmp_path) as made:
        yield made


@contextmanager
def receiver(*answers: int) -> Iterator[tuple[str, list[AlertView]]]:
    """An HTTP server that answers with these statuses in turn (the last for ever), and what it got."""
    got: list[AlertView] = []
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = left.pop(0) if len(left) > 1 else left[0]
            if status == 200:
                got.append(decode(body, AlertView))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class says so
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_same_trouble_is_one_alert(served: Dynamics) -> None:
    """While an alert is open, what is raised again joins it; the world outside is told once."""
    first = served.alerts.raise_alert(AlertKind.MODEL_DRIFT, "digits/1", summary="one", device_ids=("a",))
    second = served.alerts.raise_alert(AlertKind.MODEL_DRIFT, "digits/1", summary="two", device_ids=("b", "a"))
    assert (first.new, second.new) == (True, False)
    (alert,) = served.alerts.page()
    assert (alert.id, alert.device_ids, alert.summary) == (first.view.id, ("a", "b"), "two")
    assert [told.id for told in served.teller.told] == [alert.id]


def test_a_resolved_alert_stays_resolved(served: Dynamics) -> None:
    """Resolving is on record, twice is a conflict, and new trouble is a new alert."""
    raised = served.alerts.raise_alert(AlertKind.MODEL_DRIFT, "digits/1", summary="one")
    served.alerts.resolve(raised.view.id, actor="ann")
    with pytest.raises(ConflictError):
        served.alerts.resolve(raised.view.id, actor="ann")
    with pytest.raises(NotFoundError):
        served.alerts.resolve(99, actor="ann")
    assert served.alerts.open_count() == 0
    assert served.alerts.raise_alert(AlertKind.MODEL_DRIFT, "digits/1", summary="two").new
    assert "resolve-alert" in [entry.action for entry in served.store.audit.page(before_id=None, limit=9)]


def test_an_alert_of_a_transaction_that_fails_is_not_told(served: Dynamics) -> None:
    """What is rolled back is told to nobody."""

    def raise_and_fail() -> None:
        with served.database.transaction() as connection:
            served.alerts.raise_alert(AlertKind.SECURITY, "pi-1", summary="x", connection=connection)
            served.devices.remove("nobody", connection=connection)

    with pytest.raises(NotFoundError):
        raise_and_fail()
    assert served.teller.told == []
    assert served.alerts.page() == []


def test_what_a_device_refused_raises_the_alarm(served: Dynamics) -> None:
    """A security report becomes one critical alert, however often it is delivered."""
    served.enrol("pi-1")
    served.devices.on_security = served.alerts.on_security
    report = SecurityReport(seq=1, at=START, refused="blob", code="blob-hash", detail="tampered")
    served.devices.take_security("pi-1", report)
    served.devices.take_security("pi-1", report)
    (alert,) = served.alerts.page()
    assert (alert.kind, alert.severity, alert.device_ids) == ("security", "critical", ("pi-1",))


def test_the_webhook_tries_again_until_it_is_heard() -> None:
    """Two failures, then success: the alert arrives once."""
    with receiver(500, 503, 200) as (url, got):
        webhook = Webhook(AlertSettings(webhook_url=url))
        webhook.start()
        webhook.tell(ALERT)
        assert wait_until(lambda: got == [ALERT], 15.0)
        webhook.stop()


def test_the_webhook_gives_up_and_goes_on() -> None:
    """An alert that is never taken does not hold up the next for ever."""
    with receiver(500, 500, 200) as (url, got):
        webhook = Webhook(AlertSettings(webhook_url=url, webhook_max_attempts=2))
        webhook.start()
        webhook.tell(ALERT)
        webhook.tell(ALERT)
        assert wait_until(lambda: len(got) == 1, 15.0)
        webhook.stop()


def test_a_full_queue_drops_the_newest() -> None:
    """Telling never blocks."""
    webhook = Webhook(AlertSettings(webhook_url="http://127.0.0.1:9/", webhook_queue=1))
    webhook.tell(ALERT)
    webhook.tell(ALERT)
    webhook.stop()


def test_a_webhook_needs_a_web_address() -> None:
    """Anything but HTTP is refused at the start."""
    with pytest.raises(ConfigError, match="webhook_url"):
        Webhook(AlertSettings(webhook_url="ftp://example"))
