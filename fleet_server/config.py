"""The server's configuration: `edgeferry-server.toml` < EDGEFERRY_SERVER_* < flags, in one frozen model.

A table's key is written with two underscores in the environment: EDGEFERRY_SERVER_MONITORING__BASELINE_WINDOWS=24.
An unknown key anywhere is an error that names the nearest one.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from fleet_contract.desired import TelemetryPolicy
from fleet_contract.errors import ConfigError
from fleet_contract.names import NameStr
from fleet_contract.topics import DEFAULT_TENANT
from fleet_server.settings import (
    AlertSettings,
    IngestSettings,
    MonitoringSettings,
    RetrainSettings,
    RolloutSettings,
    SamplingSettings,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_NAME: Final = "edgeferry-server.toml"
PREFIX: Final = "EDGEFERRY_SERVER_"
Port = Annotated[int, Meta(ge=0, le=65535)]


class ServerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set.

    `http_port` and `broker_port` 0 take a free port; the broker's is remembered, since devices keep its address.
    `public_url` is where devices and people reach the server, when that is not the address it listens on.
    """

    state_dir: Path = Path("edgeferry-server")
    keys_dir: Path = Path("KEYS")
    tenant: NameStr = DEFAULT_TENANT
    http_host: str = "127.0.0.1"
    http_port: Port = 8080
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    public_url: str = ""
    broker: str = "auto"
    broker_host: str = "127.0.0.1"
    broker_port: Port = 0
    database_url: str = ""
    """Empty: SQLite in `state_dir`."""
    blob_store: Path | None = None
    """Empty: a folder in `state_dir`."""
    max_blob_bytes: Annotated[int, Meta(ge=1)] = 2 * 1024**3
    metrics_public: bool = False
    telemetry: TelemetryPolicy = TelemetryPolicy()
    monitoring: MonitoringSettings = MonitoringSettings()
    retrain: RetrainSettings = RetrainSettings()
    sampling: SamplingSettings = SamplingSettings()
    alerts: AlertSettings = AlertSettings()
    rollout: RolloutSettings = RolloutSettings()
    ingest: IngestSettings = IngestSettings()

    @property
    def sql_url(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.state_dir.resolve() / 'edgeferry.db'}"

    @property
    def blob_folder(self) -> Path:
        """Where blobs are kept."""
        return self.blob_store or self.state_dir / "blobs"

    @property
    def admin_token_file(self) -> Path:
        """Where the first admin's token is written."""
        return self.state_dir / "admin.token"


def load_config(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, object] | None = None
) -> ServerConfig:
    """The configuration from `file` (none: `edgeferry-server.toml` where it exists), the environment and flags.

    Flags that are None were not given.

    Raises:
        ConfigError: a key is unknown, a value has the wrong type or range, settings contradict one another, or the
            file cannot be read.
    """
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    layers = {
        str(file or FILE_NAME): _read_file(file),
        f"environment ({PREFIX}*)": _read_environment(environment),
        "flags": given,
    }
    merged: dict[str, Any] = {}
    for source, layer in layers.items():
        _check_keys(layer, ServerConfig, source, "")
        merged = _merge(merged, layer)
    try:
        config = msgspec.convert(merged, ServerConfig, strict=False, dec_hook=_to_path)
    except msgspec.ValidationError as error:
        raise ConfigError(f"configuration: {error}") from error
    _check(config)
    return config


def _read_file(file: Path | None) -> dict[str, Any]:
    path = file or Path(FILE_NAME)
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        if file is None:
            return {}
        raise ConfigError(f"configuration {path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"configuration {path}: {error}") from error


def _read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in environment.items():
        if name.startswith(PREFIX):
            *tables, key = name.removeprefix(PREFIX).lower().split("__")
            place = found
            for table in tables:
                place = place.setdefault(table, {})
            place[key] = value
    return found


def _check_keys(layer: Mapping[str, Any], kind: type[Struct], source: str, above: str) -> None:
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in layer.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=0.0)
            raise ConfigError(f"{source}: unknown key {above}{key}", hint=f"did you mean {above}{near[0]}?")
        inner = fields[key]
        if isinstance(inner, type) and issubclass(inner, Struct) and isinstance(value, dict):
            _check_keys(value, inner, source, f"{above}{key}.")


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return merged


def _to_path(kind: type, value: object) -> Path:
    if kind is not Path:
        raise NotImplementedError(kind)
    return Path(str(value)).expanduser()


def _check(config: ServerConfig) -> None:
    if (config.tls_certificate is None) != (config.tls_key is None):
        raise ConfigError("tls_certificate and tls_key: got one, expected both or none")
    if config.public_url and urlsplit(config.public_url).scheme not in {"http", "https"}:
        raise ConfigError(f"public_url: got {config.public_url!r}, expected http(s)://host[:port]")
