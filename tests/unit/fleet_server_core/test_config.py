"""Configuration: layers, types, and unknown keys that name the nearest one."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet_contract.errors import ConfigError
from fleet_server.config import load_config

TOML = """
tenant = "acme"
http_port = 9000
[telemetry]
window_s = 10.0
[monitoring]
baseline_windows = 12
"""


def test_flags_go_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    """Each layer changes only what it names, inside tables too."""
    file = tmp_path / "server.toml"
    file.write_text(TOML)
    environment = {
        "EDGEFERRY_SERVER_HTTP_PORT": "9001",
        "EDGEFERRY_SERVER_METRICS_PUBLIC": "true",
        "EDGEFERRY_SERVER_MONITORING__MIN_FRAMES": "5",
        "EDGEFERRY_SERVER": "http://the.clients.setting",
        "HOME": "/root",
    }
    config = load_config(file, environment, {"http_port": 9002, "http_host": None, "state_dir": Path("/s")})
    assert (config.tenant, config.http_port, config.http_host) == ("acme", 9002, "127.0.0.1")
    assert config.metrics_public
    assert config.telemetry.window_s == 10.0
    assert (config.monitoring.baseline_windows, config.monitoring.min_frames) == (12, 5)
    assert config.sql_url == "sqlite:////s/edgeferry.db"
    assert config.blob_folder == Path("/s/blobs")


def test_without_any_layer_there_are_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server starts with nothing but its keys, on loopback."""
    monkeypatch.chdir(tmp_path)
    config = load_config(None, {})
    assert (config.http_host, config.http_port, config.broker) == ("127.0.0.1", 8080, "auto")


@pytest.mark.parametrize(
    ("text", "environment", "hint"),
    [
        ("htttp_port = 1", {}, "http_port"),
        ("[monitoring]\nbaseline_window = 3", {}, "monitoring.baseline_windows"),
        ("", {"EDGEFERRY_SERVER_BROKR": "auto"}, "broker"),
        ("", {"EDGEFERRY_SERVER_TELEMETRY__WINDOWS": "3"}, "telemetry.window_s"),
    ],
)
def test_an_unknown_key_names_the_nearest(tmp_path: Path, text: str, environment: dict[str, str], hint: str) -> None:
    """A slip of the finger is not silently ignored."""
    file = tmp_path / "server.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match="unknown key") as caught:
        load_config(file, environment)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        'http_port = "many"',
        "http_port = 70000",
        'tenant = "Not A Name"',
        'tls_key = "k.pem"',
        'public_url = "ftp://x"',
        "[monitoring]\nfalse_alarm_rate = 2.0",
        "not toml",
        "monitoring = 3",
    ],
)
def test_a_value_that_cannot_be_is_refused(tmp_path: Path, text: str) -> None:
    """Wrong types, ranges and contradictions stop the start."""
    file = tmp_path / "server.toml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load_config(file, {})


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    """A typo in --config is not a silent default."""
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.toml", {})
