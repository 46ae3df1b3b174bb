"""Broker URLs, generated access lists, and choices that cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet_contract.errors import ConfigError, UnreachableError
from fleet_server.broker.choose import start_broker
from fleet_server.broker.external import use_external
from fleet_server.broker.mosquitto import access_list

if TYPE_CHECKING:
    from pathlib import Path


def test_a_url_names_host_port_and_credentials() -> None:
    """User and password are decoded and never shown."""
    broker = use_external("mqtts://me:p%40ss@broker.example:8884", tls=None)
    assert (broker.address.host, broker.address.port, broker.address.tls) == ("broker.example", 8884, True)
    assert (broker.credentials.username, broker.credentials.password) == ("me", "p@ss")
    assert "p@ss" not in repr(broker)
    assert broker.alive()


@pytest.mark.parametrize(("url", "port"), [("mqtt://b", 1883), ("mqtts://b", 8883)])
def test_ports_have_defaults(url: str, port: int) -> None:
    """The scheme's own port is taken where none is given."""
    assert use_external(url, tls=None).address.port == port


@pytest.mark.parametrize("url", ["http://b", "mqtt://", "mqtt://b:x", "mqtt://b/path", "mqtt://b?ca=none"])
def test_a_url_that_is_no_brokers_is_refused(url: str) -> None:
    """The message says what was expected."""
    with pytest.raises(ConfigError, match="broker"):
        use_external(url, tls=None)


def test_an_unknown_word_is_refused(tmp_path: Path) -> None:
    """The choices are named."""
    with pytest.raises(ConfigError, match="auto, embedded, mosquitto"):
        start_broker("rabbit", state_dir=tmp_path)


def test_the_access_list_gives_devices_their_own_topics_only() -> None:
    """Every pattern is bound to the device's name, or is what the server tells everybody."""
    lines = access_list("main").splitlines()
    patterns = [line for line in lines if line.startswith("pattern")]
    writes = {line.rsplit("%u/", 1)[1] for line in patterns if line.startswith("pattern write")}
    reads = {line.split("ef/1/main/")[1] for line in patterns if line.startswith("pattern read")}
    assert writes == {"cmd/res", "event", "profile", "reported", "status", "telemetry"}
    assert reads == {"d/%u/desired", "d/%u/cmd", "server/status", "group/+/hint"}
    assert lines[-2:] == ["user edgeferry-server", "topic readwrite ef/1/main/#"]


def test_a_url_where_nobody_listens_stops_the_start(tmp_path: Path) -> None:
    """A wrong address is told at once, not sat out for ever."""
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1 does not answer"):
        start_broker("mqtt://127.0.0.1:1", state_dir=tmp_path)
