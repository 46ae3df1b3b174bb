"""The embedded broker: rumqttd from the `iotcore` wheel, for demos, development and tests.

It has no access rules per topic and keeps no MQTT 5 session, so it listens on loopback only; small log segments
bound its memory (4 of 1 MB). Source: docs/measurements.md (mqtt).
"""

from __future__ import annotations

import importlib.util
import ipaddress
import sys
from typing import TYPE_CHECKING, Final

from fleet_contract.api import BrokerAddress
from fleet_contract.codec import MAX_DOCUMENT_BYTES
from fleet_contract.errors import ConfigError, MissingExtraError
from fleet_files.durable import write_file
from fleet_server.broker.child import BrokerChild, free_port
from fleet_server.broker.running import Credentials, RunningBroker

if TYPE_CHECKING:
    from pathlib import Path

_RUN: Final = "import sys; from iotcore.broker import Broker; Broker(config_path=sys.argv[1]).run_forever()"
_TOML: Final = """id = 0

[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 1048576
max_segment_count = 4

[v5.1]
name = "edgeferry"
listen = "{host}:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 10000
max_payload_size = {max_payload_bytes}
max_inflight_count = 200
dynamic_filters = true
"""


def start_embedded(*, state_dir: Path, host: str, port: int, why: str) -> RunningBroker:
    """Starts the embedded broker on loopback; `port` 0 takes a free one.

    Raises:
        ConfigError: `host` is not loopback.
        MissingExtraError: iotcore is not installed.
        UnreachableError: it did not start.
    """
    if not is_loopback(host):
        raise ConfigError(
            f"broker_host: the embedded broker has no access rules, got {host}, expected a loopback address",
            hint="install mosquitto for devices on other machines, or give the URL of a broker",
        )
    if importlib.util.find_spec("iotcore") is None:
        raise MissingExtraError.for_extra("server", "iotcore")
    host, port = ("127.0.0.1" if host == "localhost" else host), port or free_port(host)
    config = state_dir / "broker" / "embedded.toml"
    text = _TOML.format(host=host, port=port, max_payload_bytes=2 * MAX_DOCUMENT_BYTES)
    write_file(config, text.encode(), mode=0o600)
    child = BrokerChild(
        [sys.executable, "-P", "-c", _RUN, str(config)],
        host=host,
        port=port,
        log_file=config.with_name("embedded.log"),
    )
    child.start()
    return RunningBroker("embedded", why, BrokerAddress(host=host, port=port, tls=False), Credentials(), child)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
