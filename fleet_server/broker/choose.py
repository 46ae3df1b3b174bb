"""Which broker the server uses, by one word or a URL.

broker = start_broker("auto", state_dir=state, tls=BrokerTls(ca_crt, ca_pem), host="127.0.0.1", port=0, tenant="main")
broker.kind, broker.why, broker.address, broker.credentials
broker.stop()
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fleet_contract.errors import ConfigError
from fleet_contract.topics import DEFAULT_TENANT
from fleet_server.broker.embedded import start_embedded
from fleet_server.broker.external import require_listening, use_external
from fleet_server.broker.mosquitto import find_mosquitto, start_mosquitto

if TYPE_CHECKING:
    from pathlib import Path

    from fleet_server.broker.running import BrokerTls, RunningBroker


def start_broker(
    choice: str,
    *,
    state_dir: Path,
    tls: BrokerTls | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    tenant: str = DEFAULT_TENANT,
    now: datetime | None = None,
) -> RunningBroker:
    """Starts or names the broker of `choice`: `auto`, `embedded`, `mosquitto`, or a URL; `port` 0 takes a free one.

    `auto` takes Mosquitto where it is installed and there is a fleet CA for it, else the embedded one.

    Raises:
        ConfigError: another word, a URL that cannot be used, or a broker that is not installed.
        MissingExtraError: the embedded broker is not installed.
        TrustError: the fleet CA cannot be used.
        UnreachableError: the broker did not start, or nobody listens at the URL.
    """
    if "://" in choice:
        broker = use_external(choice, tls=tls)
        require_listening(broker.address)
        return broker
    if choice not in ("auto", "embedded", "mosquitto"):
        raise ConfigError(f"broker: got {choice!r}, expected auto, embedded, mosquitto or a URL mqtt(s)://host")
    kind, why = _auto(has_ca=tls is not None) if choice == "auto" else (choice, "it was asked for")
    if kind == "embedded":
        return start_embedded(state_dir=state_dir, host=host, port=port, why=why)
    at = now or datetime.now(UTC)
    return start_mosquitto(state_dir=state_dir, tls=tls, host=host, port=port, tenant=tenant, why=why, now=at)


def _auto(*, has_ca: bool) -> tuple[str, str]:
    program = find_mosquitto()
    if program and has_ca:
        return "mosquitto", f"{program} is installed"
    return "embedded", "there is no fleet CA for mosquitto" if program else "mosquitto is not installed"
