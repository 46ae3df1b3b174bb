"""Messages over a pipe: eight bytes of length, then the bytes. Nothing that comes from a child is ever unpickled.

to the child:    job, then for every portion its span and its payload
from the child:  one frame for the job and one for each portion; the first byte says what it is
"""

from __future__ import annotations

import os
import select
import struct
from enum import Enum
from typing import TYPE_CHECKING, BinaryIO, Final

from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

_LENGTH: Final = struct.Struct(">Q")
_READ_BYTES: Final = 1024**2
MAX_FRAME_BYTES: Final = 1024**3


class Answer(bytes, Enum):
    """What a child's frame is."""

    READY = b"R"
    CHUNK = b"C"
    FAILURE = b"F"


class TimedOutError(Exception):
    """The other side took too long."""


def write_frame(file: BinaryIO, data: bytes) -> None:
    """Sends one frame."""
    file.write(_LENGTH.pack(len(data)))
    file.write(data)
    file.flush()


def read_frame(file: BinaryIO) -> bytes:
    """The next frame of a trusted sender.

    Raises:
        EOFError: the sender is gone.
    """
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    data = file.read(length)
    if len(data) < length:
        raise EOFError
    return data


def read_answer(descriptor: int, *, timeout_s: float, clock: Callable[[], float]) -> bytes:
    """The next frame of a child.

    Raises:
        EOFError: the child is gone.
        TimedOutError: it did not send a whole frame in time.
        ModelError: the frame is too long to be an answer.
    """
    deadline_s = clock() + timeout_s
    (length,) = _LENGTH.unpack(_read_exactly(descriptor, _LENGTH.size, deadline_s, clock))
    if length > MAX_FRAME_BYTES:
        raise ModelError(f"child process: got an answer of {length} bytes, expected at most {MAX_FRAME_BYTES}")
    return _read_exactly(descriptor, length, deadline_s, clock)


def _read_exactly(descriptor: int, length: int, deadline_s: float, clock: Callable[[], float]) -> bytes:
    parts = bytearray()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while len(parts) < length:
        if not poll.poll(max(0.0, deadline_s - clock()) * 1000):
            raise TimedOutError
        part = os.read(descriptor, min(_READ_BYTES, length - len(parts)))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
