"""The words between supervisor and host: length-prefixed msgpack frames over an inherited socket pair.

Rules: a frame is a 4-byte big-endian length and one tagged message; a longer frame than MAX_FRAME_BYTES, or one that
does not decode, ends the channel. End of file means that the other side is gone: a host then ends itself.
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from fleet_contract.api import SampleUpload
from fleet_contract.desired import TelemetryPolicy
from fleet_contract.errors import ContractError
from fleet_contract.release import ReleaseManifest

if TYPE_CHECKING:
    import socket

MAX_FRAME_BYTES: Final = 256 * 1024 * 1024
_LENGTH: Final = struct.Struct(">I")


class Load(Struct, frozen=True, tag=True):
    """The first word to a host: what to load and how to run it."""

    slot: str
    manifest: ReleaseManifest
    release_sha256: str
    variant_id: str
    blobs: str
    threads: int
    telemetry: TelemetryPolicy
    probation: bool
    agent_version: str = ""


class Serve(Struct, frozen=True, tag=True):
    """Begin to accept connections."""


class Drain(Struct, frozen=True, tag=True):
    """Accept no more, answer on open connections for `grace_s`, finish what runs, then end."""

    grace_s: float


class EndProbation(Struct, frozen=True, tag=True):
    """The release is committed."""


class SetTelemetry(Struct, frozen=True, tag=True):
    """Another telemetry policy."""

    policy: TelemetryPolicy


class Collect(Struct, frozen=True, tag=True):
    """Look at inputs for a while and send the chosen ones."""

    id: int
    max_samples: int
    max_bytes: int
    duration_s: float


Command = Load | Serve | Drain | EndProbation | SetTelemetry | Collect


class Ready(Struct, frozen=True, tag=True):
    """The model is loaded and warm."""


class Failed(Struct, frozen=True, tag=True):
    """The model cannot be served; the host ends."""

    detail: str
    hint: str = ""


class Serving(Struct, frozen=True, tag=True):
    """The host accepts connections."""


class Heartbeat(Struct, frozen=True, tag=True):
    """Totals since the host started; `latency` counts per bin of the telemetry layout."""

    requests: int
    errors: int
    invalid: int
    healthy: int
    latency: tuple[int, ...]


class Windows(Struct, frozen=True, tag=True):
    """Closed telemetry windows as `fleet_contract.telemetry.encode_batch` writes them."""

    batch: bytes


class Sample(Struct, frozen=True, tag=True):
    """One chosen input of a collection."""

    collect_id: int
    upload: SampleUpload


class Collected(Struct, frozen=True, tag=True):
    """No more samples of that collection come."""

    collect_id: int


Report = Ready | Failed | Serving | Heartbeat | Windows | Sample | Collected

Incoming = TypeVar("Incoming")
Outgoing = TypeVar("Outgoing")


class Channel(Generic[Incoming, Outgoing]):
    """One end of the socket pair."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, decoder: msgspec.msgpack.Decoder[Incoming]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = decoder
        self._encoder = msgspec.msgpack.Encoder()

    async def receive(self) -> Incoming | None:
        """The next message; None when the other side is gone.

        Raises:
            ContractError: a frame that is too long or does not decode.
        """
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            if length > MAX_FRAME_BYTES:
                raise ContractError.mismatch(
                    "frame", got=f"{length} bytes", expected=f"at most {MAX_FRAME_BYTES} bytes"
                )
            frame = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        try:
            return self._decoder.decode(frame)
        except msgspec.DecodeError as error:
            raise ContractError(f"frame of {length} bytes: {error}") from error

    def send(self, message: Outgoing) -> None:
        """Queues a message; one to a side that is gone is lost, as the receiver will find out."""
        frame = self._encoder.encode(message)
        if not self._writer.is_closing():
            self._writer.write(_LENGTH.pack(len(frame)) + frame)

    async def drain(self) -> None:
        """Returns when the other side has taken most of what was queued."""
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    async def close(self) -> None:
        """Sends what is queued and closes."""
        await self.drain()
        self._writer.close()


async def command_channel(end: socket.socket) -> Channel[Command, Report]:
    """The host's end."""
    reader, writer = await asyncio.open_connection(sock=end)
    return Channel(reader, writer, msgspec.msgpack.Decoder(Command))


async def report_channel(end: socket.socket) -> Channel[Report, Command]:
    """The supervisor's end."""
    reader, writer = await asyncio.open_connection(sock=end)
    return Channel(reader, writer, msgspec.msgpack.Decoder(Report))
