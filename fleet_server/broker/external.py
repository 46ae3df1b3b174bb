"""Somebody else's broker by URL: `mqtt://`, or `mqtts://` with the system's certificate authorities."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from fleet_contract.api import BrokerAddress
from fleet_contract.errors import ConfigError, UnreachableError
from fleet_server.broker.running import Credentials, RunningBroker

if TYPE_CHECKING:
    from fleet_server.broker.running import BrokerTls

CONNECT_TIMEOUT_S: Final = 5.0
RETRY_S: Final = 1.0
DEFAULT_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


def use_external(url: str, *, tls: BrokerTls | None) -> RunningBroker:
    """The broker that `url` names. With `mqtts://` the fleet CA vouches for it unless the URL says `?ca=system`.

    Raises:
        ConfigError: the URL is not one of a broker.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"broker: {error}", hint="mqtts://user:password@host:8883") from error
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.path not in ("", "/"):
        raise ConfigError(
            f"broker: got a URL with scheme {parts.scheme!r} and host {parts.hostname!r}, expected mqtt(s)://host[:port]",
            hint="auto, embedded, mosquitto, or mqtts://user:password@host:8883",
        )
    encrypted = parts.scheme == "mqtts"
    if parts.query not in ("", "ca=system"):
        raise ConfigError(f"broker: got the query {parts.query!r}, expected none or ca=system")
    own_ca = encrypted and tls is not None and parts.query != "ca=system"
    credentials = Credentials(
        ca_cert=tls.ca_cert if own_ca and tls else None,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )
    address = BrokerAddress(host=parts.hostname, port=port or DEFAULT_PORTS[parts.scheme], tls=encrypted)
    return RunningBroker("external", "its URL was given", address, credentials)


def require_listening(address: BrokerAddress, *, tries: int = 3) -> None:
    """Passes when something accepts connections there, asked a few times a second apart.

    Raises:
        UnreachableError: nothing does; later losses are the gateway's to sit out, a wrong address is not.
    """
    for left in reversed(range(tries)):
        try:
            with socket.create_connection((address.host, address.port), timeout=CONNECT_TIMEOUT_S):
                return
        except OSError as error:
            if not left:
                raise UnreachableError(
                    f"broker {address.host}:{address.port} does not answer: {error}",
                    hint="start it, mend --broker, or use --broker auto",
                ) from error
        time.sleep(RETRY_S)
