"""Refusals that somebody should look into: each distinct one is reported once, and only so many an hour.

An attacker who sends a new forgery every millisecond must neither fill the disk nor drown the audit log.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Final

from fleet_contract.messages import SecurityReport

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from device_agent.faults import RefusedError
    from device_agent.store import Store

MAX_REPORTS: Final = 60
PERIOD_S: Final = 3600.0

_log = logging.getLogger(__name__)


class SecurityLedger:
    """Turns refusals into reports in the outbox.

    Args:
        store: where reports and what was reported are kept.
        now: the effective clock.
        monotonic: reads a clock that does not jump, in seconds.
    """

    def __init__(self, store: Store, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._monotonic = monotonic
        self._period_started_s = monotonic()
        self._reported = 0

    def report(self, error: RefusedError, *, evidence: bytes = b"", slot: str = "", deployment_id: str = "") -> bool:
        """Keeps a report unless this very thing was reported already; `evidence` tells things apart."""
        _log.warning("refused what=%s code=%s detail=%s", error.refused, error.code, error.message)
        digest = hashlib.sha256(evidence or error.message.encode()).hexdigest()
        if not self._may_report():
            return False
        with self._store.transaction():
            if not self._store.claim_report(f"{error.refused}/{error.code}/{slot}/{deployment_id}/{digest}"):
                return False
            self._store.outbox.add(
                SecurityReport(
                    seq=1,
                    at=self._now(),
                    refused=error.refused,
                    code=error.code,
                    detail=error.message[:512],
                    slot=slot,
                    deployment_id=deployment_id,
                )
            )
        self._reported += 1
        return True

    def _may_report(self) -> bool:
        now_s = self._monotonic()
        if now_s - self._period_started_s >= PERIOD_S:
            self._period_started_s, self._reported = now_s, 0
        return self._reported < MAX_REPORTS
