"""The system's Mosquitto as a child: TLS, client certificates, and one static access list for any number of devices.

`use_username_as_clientid` matters as much as the access list: without it one device may connect under another's
client id and throw it out. Nothing is persistent: the database is the truth, and the gateway repeats it.
Source: docs/measurements.md (mqtt).
"""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fleet_contract.api import BrokerAddress
from fleet_contract.errors import ConfigError
from fleet_contract.topics import PREFIX, TABLE, Sender, device_topic, server_status_topic
from fleet_files.durable import write_file
from fleet_server.broker.child import BrokerChild, free_port
from fleet_server.broker.running import GATEWAY_CLIENT_ID, Credentials, RunningBroker
from fleet_server.certificates import Authority

if TYPE_CHECKING:
    from datetime import datetime

    from fleet_server.broker.running import BrokerTls

_WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104 -- compared, not bound
_CONF: Final = """per_listener_settings false
listener {port} {host}
cafile {folder}/ca.crt
certfile {folder}/server.crt
keyfile {folder}/server.pem
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file {folder}/acl
persistence false
set_tcp_nodelay true
max_inflight_messages 200
max_queued_messages 10000
max_queued_bytes 67108864
message_size_limit 262144
persistent_client_expiration 14d
log_type error
log_type warning
log_dest stderr
{user}"""


def find_mosquitto() -> str:
    """The path of the program, empty where it is not installed; Debian keeps it outside users' PATH."""
    return (
        shutil.which("mosquitto")
        or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")
        or ""
    )


def start_mosquitto(
    *, state_dir: Path, tls: BrokerTls | None, host: str, port: int, tenant: str, why: str, now: datetime
) -> RunningBroker:
    """Starts Mosquitto with a generated configuration; `port` 0 takes a free one.

    Raises:
        ConfigError: it is not installed, or there is no fleet CA.
        TrustError: the fleet CA cannot be used.
        UnreachableError: it did not start.
    """
    program = find_mosquitto()
    if not program:
        raise ConfigError("broker: mosquitto is not installed", hint="apt-get install mosquitto, or --broker embedded")
    if tls is None:
        raise ConfigError("broker: mosquitto needs the fleet CA", hint="`edgeferry keys init` makes one")
    port = port or free_port(host)
    folder = state_dir.resolve() / "broker"
    credentials = _write_files(folder, tls, host=host, port=port, tenant=tenant, now=now)
    reachable = _reachable(host)
    child = BrokerChild(
        [program, "-c", str(folder / "mosquitto.conf")],
        host="127.0.0.1" if host in _WILDCARDS else host,
        port=port,
        log_file=folder / "mosquitto.log",
    )
    child.start()
    return RunningBroker("mosquitto", why, BrokerAddress(host=reachable, port=port, tls=True), credentials, child)


def access_list(tenant: str) -> str:
    """Mosquitto's access list: `%u` is the device id from the certificate; who is not named may do nothing."""
    lines = [
        f"pattern {'write' if rule.sender is Sender.DEVICE else 'read'} {device_topic(tenant, '%u', topic)}"
        for topic, rule in TABLE.items()
    ]
    lines += [f"pattern read {server_status_topic(tenant)}", f"pattern read {PREFIX}/{tenant}/group/+/hint"]
    lines += ["", f"user {GATEWAY_CLIENT_ID}", f"topic readwrite {PREFIX}/{tenant}/#", ""]
    return "\n".join(lines)


def _write_files(folder: Path, tls: BrokerTls, *, host: str, port: int, tenant: str, now: datetime) -> Credentials:
    authority = Authority.load(tls.ca_key, tls.ca_cert)
    hosts = [_reachable(host), "127.0.0.1", "localhost", socket.gethostname()]
    server, client = authority.server(hosts, now), authority.client(GATEWAY_CLIENT_ID, now)
    user = "user root\n" if os.geteuid() == 0 else ""  # else Mosquitto drops to a user that cannot read our folder
    conf = _CONF.format(folder=folder, host=host, port=port, user=user)
    for name, data in {
        "ca.crt": tls.ca_cert.read_bytes(),
        "server.crt": server.cert_pem,
        "server.pem": server.key_pem,
        "gateway.crt": client.cert_pem,
        "gateway.pem": client.key_pem,
        "acl": access_list(tenant).encode(),
        "mosquitto.conf": conf.encode(),
    }.items():
        write_file(folder / name, data, mode=0o600)
    return Credentials(ca_cert=folder / "ca.crt", cert=folder / "gateway.crt", key=folder / "gateway.pem")


def _reachable(host: str) -> str:
    """The name by which clients reach a listener on `host`."""
    return socket.getfqdn() if host in _WILDCARDS else host
