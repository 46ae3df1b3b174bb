"""The one worker thread that runs the model, behind a bounded queue, with what is recorded of each run.

Rules: engine, recorder and sampler are touched by the worker thread only; statistics by the event loop only.
Legend: B batch, K classes.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from device_agent.host.engine import NonFiniteError
from device_agent.host.statistics import Outcome
from fleet_contract.errors import ConflictError, ContractError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from device_agent.host.engine import Engine
    from device_agent.host.statistics import Statistics
    from device_agent.sampling import Sampler
    from device_agent.telemetry.recorder import WindowRecorder

QUEUE_LIMIT: Final = 32
_log: Final = logging.getLogger(__name__)
Result = TypeVar("Result")


class QueueFullError(ConflictError):
    """Too many requests wait; trying again in a moment helps."""


class InferenceWorker:
    """Runs requests in the order in which they came."""

    def __init__(
        self,
        engine: Engine,
        recorder: WindowRecorder,
        statistics: Statistics,
        *,
        elapsed_s: Callable[[], float],
        now: Callable[[], datetime],
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        self.statistics = statistics
        self._engine = engine
        self._recorder = recorder
        self._elapsed_s = elapsed_s
        self._now = now
        self._queue_limit = queue_limit
        self._sampler: Sampler | None = None
        self._running_since_s: float | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inference")

    def running_s(self) -> float:
        """For how long the present run has been going on; 0 between runs."""
        since_s = self._running_since_s
        return 0.0 if since_s is None else self._elapsed_s() - since_s

    async def infer(self, raw_B: NDArray[np.generic], received_s: float) -> NDArray[np.float32]:
        """The scores of a raw batch whose request came in at `received_s` of the elapsed clock.

        Raises:
            QueueFullError: too many requests wait.
            ContractError: the batch does not fit the release.
            NonFiniteError: some row has no finite result.
            ModelError: the model failed.
        """
        statistics = self.statistics
        if statistics.in_flight >= self._queue_limit:
            statistics.count(Outcome.REJECTED)
            raise QueueFullError(
                f"inference queue: got {statistics.in_flight + 1} requests, expected at most {self._queue_limit}"
            )
        statistics.in_flight += 1
        try:
            scores_BK = await self.call(lambda: self._run(raw_B, received_s))
        except Exception as error:
            statistics.count(_outcome(error))
            raise
        finally:
            statistics.in_flight -= 1
        statistics.answered(len(scores_BK), (self._elapsed_s() - received_s) * 1000.0)
        return scores_BK

    async def call(self, job: Callable[[], Result]) -> Result:
        """Runs a job in the worker thread, after what is queued."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    async def swap_sampler(self, sampler: Sampler | None) -> Sampler | None:
        """Begins to offer inputs to `sampler`; the one before comes back."""

        def swap() -> Sampler | None:
            before, self._sampler = self._sampler, sampler
            return before

        return await self.call(swap)

    def _run(self, raw_B: NDArray[np.generic], received_s: float) -> NDArray[np.float32]:
        self._running_since_s = self._elapsed_s()
        try:
            inference = self._engine.infer(raw_B)
        except Exception as error:
            self._record_failure(error)
            raise
        finally:
            self._running_since_s = None
        sums = self._recorder.sums
        sums.add(inference.preprocessed, inference.scores, (self._elapsed_s() - received_s) * 1000.0)
        if self._sampler is not None:
            self._sampler.offer(inference.raw, inference.scores, self._now())
        if sums.full:
            self._thread.submit(self._absorb)
        return inference.scores

    def _record_failure(self, error: Exception) -> None:
        outcome = _outcome(error)
        if outcome is Outcome.INVALID:
            self._recorder.sums.add_invalid()
        elif outcome is Outcome.ERROR:
            self._recorder.sums.add_error()

    def _absorb(self) -> None:
        try:
            self._recorder.sums.absorb()
        except Exception:  # noqa: BLE001 - whatever telemetry meets must not stop inference
            _log.exception("telemetry-lost")


def _outcome(error: Exception) -> Outcome:
    if isinstance(error, NonFiniteError):
        return Outcome.INVALID
    return Outcome.REFUSED if isinstance(error, ContractError) else Outcome.ERROR
