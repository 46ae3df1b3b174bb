"""Child processes that score portions, one thread of the runtime each, with limits; their answers come in order.

with Children(job, count=2, limits=Limits(), scratch=folder) as children:
    for span, chunk_bytes in children.score(source.portions(4096, Position())):
        ...
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Final, Self

from converter.predict.frames import Answer, TimedOutError, read_answer, write_frame
from converter.process.jobs import Failure
from converter.process.sandbox import Outcome, environment, explain
from fleet_contract import errors
from fleet_contract.codec import decode, encode
from fleet_contract.errors import EdgeferryError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO

    from converter.predict.portions import Portion, ScoreJob
    from converter.process.sandbox import Limits

READ_AHEAD: Final = 2
"""Portions a child that are read or scored before the oldest is taken: one at work, one that waits."""
_TAIL_BYTES: Final = 4096
_GRACE_S: Final = 2.0


class Child:
    """One process with the model loaded; answers one portion at a time."""

    def __init__(self, job: ScoreJob, log: Path, limits: Limits) -> None:
        self._what, self._log, self._limits = f"variant {job.variant}", log, limits
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "converter.predict.child"],
                env=dict(environment(single_thread=True)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        limit_bytes = limits.memory_mb * 1024**2
        with suppress(ProcessLookupError):  # it has ended already; asking it will tell why
            resource.prlimit(self._process.pid, resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
            resource.prlimit(self._process.pid, resource.RLIMIT_CORE, (0, 0))
        with suppress(BrokenPipeError):
            write_frame(self._stdin, encode(job))

    @property
    def _stdin(self) -> BinaryIO:
        assert self._process.stdin is not None
        return self._process.stdin  # type: ignore[return-value]  # typeshed says IO[bytes]

    def ready(self) -> None:
        """Waits until the model is loaded.

        Raises:
            ModelError: it cannot be, or the process died.
            EdgeferryError: the process refused the job, with a family of its own.
        """
        self._answer(self._what)

    def score(self, portion: Portion) -> bytes:
        """The chunk of a portion, encoded.

        Raises:
            ModelError: the runtime failed, or the process died, hung or ran out of memory.
            EdgeferryError: the process refused the portion, with a family of its own.
        """
        with suppress(BrokenPipeError):  # it has ended; reading its answer tells why
            write_frame(self._stdin, encode(portion.span))
            write_frame(self._stdin, portion.payload)
        return self._answer(f"{self._what}: {portion.span}")

    def end(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._stdin.close()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _answer(self, what: str) -> bytes:
        assert self._process.stdout is not None
        try:
            frame = read_answer(self._process.stdout.fileno(), timeout_s=self._limits.timeout_s, clock=monotonic)
        except TimedOutError:
            raise self._death(what, timed_out=True) from None
        except EOFError:
            raise self._death(what, timed_out=False) from None
        if frame[:1] == Answer.FAILURE.value:
            failure = decode(frame[1:], Failure)
            family: type[EdgeferryError] = getattr(errors, failure.family, ModelError)
            raise family(f"{what}: {failure.message}", hint=failure.hint)
        return frame[1:]

    def _death(self, what: str, *, timed_out: bool) -> ModelError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0 if timed_out else _GRACE_S)
        self._process.kill()
        tail = self._log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
        outcome = Outcome(returncode=self._process.wait(), timed_out=timed_out, stderr_tail=tail)
        return ModelError(f"{what}: {explain(outcome, self._limits)}", hint="what was scored before it is kept")


class Children:
    """Several children behind one queue. Left with its block, whatever they are doing."""

    def __init__(self, job: ScoreJob, *, count: int, limits: Limits, scratch: Path) -> None:
        self._job, self._count, self._limits, self._scratch = job, count, limits, scratch
        self._idle: SimpleQueue[Child] = SimpleQueue()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Starts the children and waits until their models are loaded."""
        with ExitStack() as stack:
            children = [
                Child(self._job, self._scratch / f"child-{number}.log", self._limits) for number in range(self._count)
            ]
            for child in children:
                stack.callback(child.end)
            for child in children:
                child.ready()
                self._idle.put(child)
            self._threads = ThreadPoolExecutor(self._count, thread_name_prefix="score")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the children."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._stack.close()
        self._threads.shutdown(wait=True)

    def score(self, portions: Iterator[Portion]) -> Iterator[tuple[Portion, bytes]]:
        """Each portion with its chunk, encoded, in the order of the portions; few are held at a time.

        Raises:
            EdgeferryError: see `Child.score`; what comes before the failed portion has been given.
        """
        waiting: deque[tuple[Portion, Future[bytes]]] = deque()
        for portion in portions:
            waiting.append((portion, self._threads.submit(self._score, portion)))
            if len(waiting) >= READ_AHEAD * self._count:
                yield _oldest(waiting)
        while waiting:
            yield _oldest(waiting)

    def _score(self, portion: Portion) -> bytes:
        child = self._idle.get()
        try:
            return child.score(portion)
        finally:
            self._idle.put(child)


def _oldest(waiting: deque[tuple[Portion, Future[bytes]]]) -> tuple[Portion, bytes]:
    portion, chunk = waiting.popleft()
    return portion, chunk.result()
