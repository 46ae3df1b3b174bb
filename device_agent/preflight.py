"""Proves in a limited child process that a variant runs on this board as the converter measured it.

    result = await run_preflight(release, policy, threads=1, memory_limit_mb=0)

Rules: whatever the model's file does (a crash in native code, a hang, a leak, NaN), the answer is a result with a
stable code, never an exception; a child that does not come to a verdict has failed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Final

import msgspec

from device_agent.host.process import child_environment
from device_agent.preflight_child import Measured, PreflightRequest, Stage, Verdict, Word
from device_agent.preflight_result import PreflightCode, PreflightResult
from device_agent.telemetry.board import process_rss_mb

if TYPE_CHECKING:
    from collections.abc import Iterable

    from device_agent.host.hosted import HostedRelease
    from fleet_contract.desired import PreflightPolicy

_WATCH_EVERY_S: Final = 0.05
_TAIL_BYTES: Final = 400
_MAX_REPORT_BYTES: Final = 64 * 1024
_STAGES: Final = {
    PreflightCode.CONTRACT: "checking the contract",
    PreflightCode.LOAD: "loading",
    PreflightCode.GOLDEN: "replaying golden vectors",
    PreflightCode.LATENCY: "measuring latency",
}


async def run_preflight(
    release: HostedRelease, policy: PreflightPolicy, *, threads: int, memory_limit_mb: int
) -> PreflightResult:
    """How `release` does on this board.

    Args:
        release: with its blobs on the disk.
        policy: budgets of latency and memory, and the time limit of the whole proof.
        threads: that the runtime may compute with.
        memory_limit_mb: resident memory above which the child is killed; 0 for none.
    """
    limits_mb = [limit for limit in (policy.max_rss_mb, float(memory_limit_mb)) if limit > 0]
    request = PreflightRequest(
        manifest=release.manifest,
        release_sha256=release.release_sha256,
        variant_id=release.variant_id,
        blobs=str(release.blobs),
        policy=policy,
        threads=threads,
        max_rss_mb=min(limits_mb, default=0.0),
    )
    try:
        child = await _Child.start(request)
    except OSError as error:
        return PreflightResult(passed=False, code=PreflightCode.CRASH, detail=f"the child did not start: {error}")
    try:
        return await child.outcome()
    finally:
        await child.end()


class _Child:
    """The child, its report and why it was killed, if it was."""

    def __init__(
        self, process: asyncio.subprocess.Process, report: asyncio.Task[bytes], request: PreflightRequest
    ) -> None:
        self._process = process
        self._report = report
        self._request = request
        self._killed: tuple[PreflightCode, str] | None = None

    @classmethod
    async def start(cls, request: PreflightRequest) -> _Child:
        read_fd, write_fd = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "device_agent.preflight_child", "--report", str(write_fd)),
                pass_fds=(write_fd,),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=child_environment(request.threads),
            )
        except OSError:
            os.close(read_fd)
            raise
        finally:
            os.close(write_fd)
        report = asyncio.get_running_loop().create_task(_read_all(read_fd))
        return cls(process, report, request)

    async def outcome(self) -> PreflightResult:
        talk = asyncio.ensure_future(self._process.communicate(msgspec.msgpack.encode(self._request)))
        watch = asyncio.ensure_future(self._watch_memory())
        try:
            async with asyncio.timeout(self._request.policy.time_limit_s):
                _, stderr = await asyncio.shield(talk)
        except TimeoutError:
            self._kill(PreflightCode.TIMEOUT, f"no verdict within {self._request.policy.time_limit_s:g} s")
            _, stderr = await talk
        finally:
            watch.cancel()
        return self._judge(await self._report, stderr)

    async def end(self) -> None:
        """Leaves no process, whatever interrupted us."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self._report.cancel()

    async def _watch_memory(self) -> None:
        limit_mb = self._request.max_rss_mb
        while limit_mb:
            await asyncio.sleep(_WATCH_EVERY_S)
            rss_mb = process_rss_mb(self._process.pid)
            if rss_mb > limit_mb:
                self._kill(
                    PreflightCode.MEMORY, f"resident memory: got {rss_mb:.1f} MB, expected at most {limit_mb:g} MB"
                )

    def _kill(self, code: PreflightCode, why: str) -> None:
        if self._killed is None:
            self._killed = (code, why)
        if self._process.returncode is None:
            self._process.kill()

    def _judge(self, report: bytes, stderr: bytes) -> PreflightResult:
        words = _words(report)
        last = words[-1] if words else None
        if isinstance(last, Verdict):
            return _result(words, last.code, last.detail)
        stages = [word.code for word in words if isinstance(word, Stage)]
        during = f"while {_STAGES[stages[-1]]}" if stages else "before it began"
        if self._killed is not None:
            code, why = self._killed
            return _result(words, code, f"{why}, {during}")
        code, how = _ending(self._process.returncode or 0)
        tail = stderr[-_TAIL_BYTES:].decode("utf-8", "replace").strip()
        return _result(words, code, f"{how} {during}: {tail}" if tail else f"{how} {during}")


def _ending(returncode: int) -> tuple[PreflightCode, str]:
    if returncode >= 0:
        return PreflightCode.CRASH, f"the child ended with exit code {returncode}"
    name = signal.Signals(-returncode).name
    code = PreflightCode.TIMEOUT if -returncode == signal.SIGXCPU else PreflightCode.CRASH
    return code, f"the child was ended by {name}"


def _words(report: bytes) -> list[Word]:
    decoder = msgspec.json.Decoder(Word)
    words: list[Word] = []
    for line in report.splitlines():
        try:
            words.append(decoder.decode(line))
        except msgspec.DecodeError:
            break
    return words


def _result(words: Iterable[Word], code: PreflightCode, detail: str) -> PreflightResult:
    figures: dict[str, float] = {}
    for word in words:
        if isinstance(word, Measured):
            figures |= {name: value for name, value in msgspec.structs.asdict(word).items() if value is not None}
    return PreflightResult(passed=code is PreflightCode.PASSED, code=code, detail=detail, **figures)


async def _read_all(read_fd: int) -> bytes:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_fd, "rb", buffering=0)
    )
    try:
        report = b""
        while len(report) < _MAX_REPORT_BYTES and (part := await reader.read(_MAX_REPORT_BYTES)):
            report += part
        return report
    finally:
        transport.close()
