"""What the rest of the server knows of a broker, whichever it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from fleet_contract.api import BrokerAddress

GATEWAY_CLIENT_ID = "edgeferry-server"


class Process(Protocol):
    """A broker process that somebody watches; an external broker has none of ours."""

    def alive(self) -> bool:
        """Whether it runs, or is being started again."""
        ...

    def stop(self) -> None:
        """Ends it and waits for its end; safe to call twice."""
        ...


@dataclass(frozen=True, slots=True)
class BrokerTls:
    """The fleet CA, by which the broker knows devices and devices know the broker."""

    ca_cert: Path
    ca_key: Path


@dataclass(frozen=True, slots=True)
class Credentials:
    """How the gateway proves itself: a client certificate, or a user name and password, or nothing (loopback)."""

    ca_cert: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class RunningBroker:
    """A broker that accepts connections. `kind` is `embedded`, `mosquitto` or `external`; `why` is for people."""

    kind: str
    why: str
    address: BrokerAddress
    credentials: Credentials
    process: Process | None = None

    @property
    def pid(self) -> int:
        """The process id of a broker of ours, 0 of another's."""
        return int(getattr(self.process, "pid", 0))

    def alive(self) -> bool:
        """Whether our broker process runs (or is being started again); always True of somebody else's broker."""
        return self.process is None or self.process.alive()

    def stop(self) -> None:
        """Ends a broker of ours; leaves another's alone. Safe to call twice."""
        if self.process is not None:
            self.process.stop()
