"""What is kept while a prediction runs: chunks beside the result, so that a kill loses the chunks at work and no more.

    OUT.partial/job.json          which job the chunks are of
    OUT.partial/finished.jsonl    a line for each finished chunk: rows, place, hash, where the source goes on
    OUT.partial/chunks.bin        the chunks, one behind the other: one file is one fsync a chunk
    OUT.partial/lock              held while a process is at work here
A chunk is on the disk before its line is; a line whose chunk is missing or damaged ends what counts as finished.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from msgspec import Struct, structs

from converter.predict.chunk import decode_chunk
from converter.predict.portions import Position, Span
from fleet_contract.codec import decode, encode
from fleet_contract.errors import ConflictError, ContractError, DataError
from fleet_files.durable import cannot_write, make_folder, sync_folder, write_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from converter.predict.chunk import Chunk
    from converter.predict.portions import Portion

JOB_FILE: Final = "job.json"
FINISHED_FILE: Final = "finished.jsonl"
CHUNKS_FILE: Final = "chunks.bin"
LOCK_FILE: Final = "lock"


class JobIdentity(Struct, frozen=True, kw_only=True):
    """All on which the bytes of chunks depend. `data_identity` is the source's; `tools` are versions by package."""

    schema: int = 3
    release_sha256: str
    variant: str
    data: str
    data_identity: str
    columns: tuple[str, ...]
    array: str
    separator: str
    rows_per_chunk: int
    tools: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of it all."""
        return hashlib.sha256(encode(self)).hexdigest()


class Finished(Struct, frozen=True, kw_only=True):
    """A finished chunk. `bad` counts its rows without a prediction; `cursor` is where the source goes on."""

    span: Span
    begin_byte: int
    size_bytes: int
    sha256: str
    bad: int
    cursor: int

    @property
    def end_byte(self) -> int:
        """Where the next chunk begins."""
        return self.begin_byte + self.size_bytes


class PartialStore:
    """The chunks of one job in one folder."""

    def __init__(self, folder: Path, job: JobIdentity) -> None:
        self._folder = folder
        self.job = job
        self.finished: list[Finished] = []

    @property
    def folder(self) -> Path:
        """Where it all is."""
        return self._folder

    @property
    def position(self) -> Position:
        """Where reading goes on."""
        if not self.finished:
            return Position()
        last = self.finished[-1]
        return Position.after(last.span, last.cursor)

    def add(self, portion: Portion, data: bytes, bad: int) -> None:
        """Keeps the next chunk.

        Raises:
            StorageError: it cannot be written.
        """
        line = Finished(
            span=portion.span,
            begin_byte=self._end_byte,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            bad=bad,
            cursor=portion.cursor,
        )
        self._append(CHUNKS_FILE, data, sync=True)
        self._append(FINISHED_FILE, encode(line) + b"\n", sync=False)
        self.finished.append(line)

    def read(self, line: Finished) -> bytes:
        """The chunk's bytes.

        Raises:
            DataError: they are not those that were written.
        """
        path = self._folder / CHUNKS_FILE
        try:
            with path.open("rb") as file:
                file.seek(line.begin_byte)
                data = file.read(line.size_bytes)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
        if hashlib.sha256(data).hexdigest() != line.sha256:
            raise DataError(f"{path}: {line.span}: got another hash than was noted", hint="begin again with --restart")
        return data

    def chunks(self, scores: int, *, only_bad: bool = False) -> Iterator[tuple[Span, Chunk]]:
        """All finished chunks in order, or those with a row that has no prediction; each row must have so many scores.

        Raises:
            DataError: one is not what was written.
        """
        for line in self.finished:
            if line.bad or not only_bad:
                yield line.span, decode_chunk(self.read(line), line.span, scores)

    def drop(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def load(self) -> None:
        """Finds what is finished: lines in order whose chunks are whole. What comes after is cut off."""
        path = self._folder / FINISHED_FILE
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        self.finished = []
        for text in lines[:-1]:
            line = _line(text)
            if line is None or line.span.index != len(self.finished) or not self._whole(line):
                break
            self.finished.append(line)
        write_file(path, b"".join(encode(line) + b"\n" for line in self.finished))
        self._cut()

    def _whole(self, line: Finished) -> bool:
        try:
            self.read(line)
        except DataError:
            return False
        return line.begin_byte == self._end_byte

    @property
    def _end_byte(self) -> int:
        return self.finished[-1].end_byte if self.finished else 0

    def _append(self, name: str, data: bytes, *, sync: bool) -> None:
        path = self._folder / name
        try:
            with path.open("ab") as file:
                file.write(data)
                file.flush()
                if sync:
                    os.fdatasync(file.fileno())
        except OSError as error:
            raise cannot_write(path, error) from error

    def _cut(self) -> None:
        """Takes what no line tells of off the end of the chunks."""
        path = self._folder / CHUNKS_FILE
        try:
            with path.open("ab") as file:
                file.truncate(self._end_byte)
            sync_folder(self._folder)
        except OSError as error:
            raise cannot_write(path, error) from error


@contextmanager
def partial_store(out: Path, job: JobIdentity, *, restart: bool = False) -> Iterator[PartialStore]:
    """The store of `job` for the result `out`, with what an earlier run finished; locked while the block runs.

    Raises:
        ConflictError: another process is at work on `out`, or the folder holds chunks of another job.
        StorageError: the folder cannot be written.
    """
    folder = make_folder(out.with_name(f"{out.name}.partial"))
    with _locked(folder, out):
        if restart:
            (folder / JOB_FILE).unlink(missing_ok=True)
        _claim(folder, job, out)
        store = PartialStore(folder, job)
        store.load()
        yield store


def _claim(folder: Path, job: JobIdentity, out: Path) -> None:
    path = folder / JOB_FILE
    if path.exists():
        _require_same(decode_job(path.read_bytes(), path), job, out)
        return
    (folder / FINISHED_FILE).unlink(missing_ok=True)
    write_file(path, encode(job))


def decode_job(data: bytes, path: Path) -> JobIdentity:
    """The job in `data`.

    Raises:
        ConflictError: it is not readable, so nobody can say whether its chunks may be used.
    """
    try:
        return decode(data, JobIdentity)
    except ContractError as error:
        raise ConflictError(f"{path}: {error.message}", hint="begin again with --restart") from error


def _require_same(kept: JobIdentity, job: JobIdentity, out: Path) -> None:
    if kept.digest == job.digest:
        return
    changed = [name for name in structs.asdict(job) if getattr(kept, name) != getattr(job, name)]
    words = ", ".join(name.replace("_", " ") for name in changed)
    raise ConflictError(
        f"{out}.partial: holds an unfinished run with another {words}",
        hint="finish that run, name another --out, or drop it with --restart",
    )


@contextmanager
def _locked(folder: Path, out: Path) -> Iterator[None]:
    with (folder / LOCK_FILE).open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(f"{out}: another process is predicting into it", hint="wait for it to end") from error
        yield


def _line(text: bytes) -> Finished | None:
    try:
        return decode(text, Finished)
    except ContractError:
        return None
