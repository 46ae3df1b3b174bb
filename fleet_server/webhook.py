"""Posts alerts as JSON to one URL, from a thread of its own, so that a slow receiver holds up nobody.

Rules: the queue is bounded and the newest alert is dropped (and logged) when it is full; tries are capped, with
full jitter between them; redirects are not followed. Alerts stay in the database whatever becomes of the webhook.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
from typing import TYPE_CHECKING, Final

import urllib3

from fleet_contract.codec import encode
from fleet_contract.errors import ConfigError

if TYPE_CHECKING:
    from fleet_contract.api import AlertView
    from fleet_server.settings import AlertSettings

log = logging.getLogger(__name__)

MAX_DELAY_S: Final = 30.0


class Webhook:
    """Where alerts go besides the log."""

    def __init__(self, settings: AlertSettings, rng: random.Random | None = None) -> None:
        """Prepares the webhook; `start` begins to post.

        Raises:
            ConfigError: the URL is not one of HTTP.
        """
        if not settings.webhook_url.startswith(("http://", "https://")):
            raise ConfigError(f"alerts.webhook_url: got {settings.webhook_url!r}, expected http(s)://host/path")
        self._settings = settings
        self._rng = rng or random.Random()  # noqa: S311 -- jitter, not a secret
        self._queue: queue.Queue[AlertView] = queue.Queue(settings.webhook_queue)
        self._stopping = threading.Event()
        self._http = urllib3.PoolManager(maxsize=1, retries=False)
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)

    def start(self) -> None:
        """Begins to post."""
        self._thread.start()

    def tell(self, alert: AlertView) -> None:
        """Takes an alert and returns at once."""
        try:
            self._queue.put_nowait(alert)
        except queue.Full:
            log.warning("webhook-queue-full dropped alert=%d", alert.id)

    def stop(self) -> None:
        """Ends the thread; alerts that wait are not posted any more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(self._settings.webhook_timeout_s + 1.0)
        self._http.clear()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                alert = self._queue.get(timeout=0.2)
            except queue.Empty:
                continue
            self._deliver(alert)

    def _deliver(self, alert: AlertView) -> None:
        for attempt in range(1, self._settings.webhook_max_attempts + 1):
            problem = self._post(encode(alert))
            if not problem:
                return
            log.warning("webhook-failed alert=%d attempt=%d problem=%s", alert.id, attempt, problem)
            last = attempt == self._settings.webhook_max_attempts
            if last or self._stopping.wait(self._rng.uniform(0.0, min(MAX_DELAY_S, 0.5 * 2**attempt))):
                break
        log.error("webhook-gave-up alert=%d", alert.id)

    def _post(self, body: bytes) -> str:
        """Why it did not arrive; empty when it did."""
        headers = {"Content-Type": "application/json", "User-Agent": "edgeferry"}
        timeout = self._settings.webhook_timeout_s
        try:
            answer = self._http.request(
                "POST", self._settings.webhook_url, body=body, headers=headers, timeout=timeout, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            return type(error).__name__
        return "" if 200 <= answer.status < 300 else f"status {answer.status}"
