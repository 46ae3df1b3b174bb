"""Holds a lease while work is done: a thread renews it, and work that goes on without it is stopped.

Rules: a refused renewal (`ConflictError`) loses the lease at once, an unanswered one only when the lease has run out.
Leaving the block ends the thread and gives nothing back: a lease that is not renewed expires by itself.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from fleet_contract.errors import ConflictError, EdgeferryError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from trainer.progress import Progress

RENEWALS_PER_LEASE = 3


class Lease:
    """A context manager; `require_held` raises once the lease is lost.

    Args:
        renew: asks for another `lease_s`; raises ConflictError when the lease is another's.
        lease_s: how long a renewal holds.
        monotonic_s: a clock that never jumps.
    """

    def __init__(self, renew: Callable[[], None], *, lease_s: float, monotonic_s: Callable[[], float]) -> None:
        self._renew = renew
        self._lease_s = lease_s
        self._monotonic_s = monotonic_s
        self._ended = threading.Event()
        self._lost: EdgeferryError | None = None
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._expires_s = self._monotonic_s() + self._lease_s
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(self._lease_s)

    def require_held(self) -> None:
        """Passes while the lease holds.

        Raises:
            ConflictError: it is lost; nothing may be published.
        """
        if self._lost is not None:
            raise ConflictError(f"lease lost: {self._lost.message}", hint="another worker has the request now")
        if self._monotonic_s() >= self._expires_s:
            raise ConflictError(f"lease lost: not renewed within {self._lease_s:g} s")

    def _keep(self) -> None:
        while not self._ended.wait(self._lease_s / RENEWALS_PER_LEASE):
            asked_s = self._monotonic_s()
            try:
                self._renew()
            except UnreachableError:
                continue
            except EdgeferryError as error:
                self._lost = error
                return
            self._expires_s = asked_s + self._lease_s


class LeasedProgress:
    """Passes everything on, as long as the lease holds; so a run stops at its next stage or epoch without it."""

    def __init__(self, progress: Progress, lease: Lease) -> None:
        self._progress = progress
        self._lease = lease

    def stage(self, name: str) -> None:
        """Raises ConflictError when the lease is lost."""
        self._lease.require_held()
        self._progress.stage(name)

    def epoch(self, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Raises ConflictError when the lease is lost."""
        self._lease.require_held()
        self._progress.epoch(done, total, figures)

    def remark(self, text: str) -> None:
        """Passed on as it is."""
        self._progress.remark(text)
