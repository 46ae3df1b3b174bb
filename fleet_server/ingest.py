"""Takes telemetry batches into the database: decoded without a loop, stored once, capped for each device.

    ingest.take_batch("pi-1", payload, connection=connection)   # ContractError when it is not a batch

Windows are stored raw beside the numbers that views need; what cannot be true (a sequence number beyond the
database's range, a time before 2000) is refused with the whole batch, since its sender is broken.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fleet_contract.api import WindowView
from fleet_contract.errors import ContractError
from fleet_contract.signals import signal_names
from fleet_contract.telemetry import decode_batch, latency_quantile_ms, window_dtype
from fleet_server.storage import windows as rows
from fleet_server.storage.database import after_commit

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sqlalchemy.engine import Connection, Row

    from fleet_server.changes import Changes
    from fleet_server.settings import MonitoringSettings
    from fleet_server.storage.database import Database

MAX_SEQ: Final = 2**63 - 1
MIN_TIME_S: Final = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
MAX_TIME_S: Final = datetime(2200, 1, 1, tzinfo=UTC).timestamp()
TRIM_EVERY: Final = 256
MAX_MODELS: Final = 256


class Ingest:
    """The service over the windows' table."""

    def __init__(self, database: Database, changes: Changes, settings: MonitoringSettings) -> None:
        self._database = database
        self._changes = changes
        self._settings = settings
        self._since_trim: dict[str, int] = {}
        self._models: dict[str, str] = {}
        self.stored_windows = 0
        """Stored since the start, for metrics."""

    def take_batch(self, device_id: str, payload: bytes, *, connection: Connection) -> int:
        """Stores the windows of a batch that are new; how many those were.

        Raises:
            ContractError: it is not a batch, or says what cannot be.
        """
        batch = decode_batch(payload)
        _check(batch)
        models = {release: self._model(connection, release) for release in {_hex(each) for each in batch["release"]}}
        stored = rows.insert_new(connection, [_values(device_id, each, models) for each in batch])
        self._trim(connection, device_id, stored)
        if stored:
            after_commit(connection, lambda: self._note(device_id, stored))
        return stored

    def page(
        self,
        *,
        device_id: str = "",
        model: str = "",
        since: datetime | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> list[tuple[int, WindowView]]:
        """(id, window), the newest first."""
        with self._database.read() as connection:
            found = rows.page(
                connection, device_id=device_id, model=model, since=since, before_id=before_id, limit=limit
            )
        return [(row.id, _view(row)) for row in found]

    def _model(self, connection: Connection, release: str) -> str:
        """The release's model; one that is found is remembered, for releases never change."""
        model = self._models.get(release) or rows.model_of_release(connection, release) or ""
        if model:
            if len(self._models) >= MAX_MODELS:
                self._models.clear()
            self._models[release] = model
        return model

    def _trim(self, connection: Connection, device_id: str, stored: int) -> None:
        """Drops a device's oldest windows now and then; the cap is overshot by less than TRIM_EVERY batches."""
        since = self._since_trim.get(device_id, TRIM_EVERY) + stored
        if since >= TRIM_EVERY:
            rows.drop_old(connection, device_id, self._settings.keep_windows_per_device)
            since = 0
        self._since_trim[device_id] = since

    def _note(self, device_id: str, stored: int) -> None:
        self.stored_windows += stored
        self._changes.publish("window", device_id)


def record_means(record: bytes, signal_count: int, class_count: int) -> NDArray[np.float64]:
    """The signal means of a stored window, shape (S,)."""
    window = np.frombuffer(record, window_dtype(signal_count, class_count), 1)[0]
    means_S: NDArray[np.float64] = window["means"].astype(np.float64)
    return means_S


def _check(batch: NDArray[np.void]) -> None:
    if int(batch["seq"].max()) > MAX_SEQ:
        raise ContractError.mismatch("telemetry window: seq", got=int(batch["seq"].max()), expected="below 2**63")
    started_s = batch["started_s"]
    if not bool(np.all((started_s >= MIN_TIME_S) & (started_s <= MAX_TIME_S))):
        raise ContractError.mismatch("telemetry window: started_s", got="a time", expected="Unix seconds after 2000")
    if not all(bytes(slot).isascii() for slot in batch["slot"]):
        raise ContractError.mismatch("telemetry window: slot", got="bytes", expected="ASCII")


def _values(device_id: str, window: Any, models: dict[str, str]) -> dict[str, object]:
    means_S, release = window["means"], _hex(window["release"])
    class_count, signal_count = window["classes"].shape[0], means_S.shape[0]
    names = signal_names(class_count)
    known = len(names) == signal_count
    ended_s = float(window["started_s"]) + max(0.0, _finite(window["duration_s"]))
    return {
        "device_id": device_id,
        "slot": bytes(window["slot"]).decode("ascii"),
        "seq": int(window["seq"]),
        "at": datetime.fromtimestamp(min(ended_s, MAX_TIME_S), UTC),
        "release": release,
        "model": models[release],
        "model_version": int(window["model_version"]),
        "frames": int(window["count"]),
        "errors": int(window["errors"]),
        "invalid": int(window["invalid"]),
        "probation": bool(window["probation"]),
        "latency_p50_ms": _finite(latency_quantile_ms(window["latency"], 0.5)),
        "latency_p95_ms": _finite(latency_quantile_ms(window["latency"], 0.95)),
        "mean_confidence": _finite(means_S[names.index("confidence")]) if known else 0.0,
        "rss_mb": _finite(window["rss_mb"]),
        "signal_count": signal_count,
        "class_count": class_count,
        "record": window.tobytes(),
    }


def _hex(release: Any) -> str:
    return bytes(release).ljust(16, b"\0").hex()


def _finite(value: float) -> float:
    return float(value) if np.isfinite(value) else 0.0


def _view(row: Row[Any]) -> WindowView:
    return WindowView(
        device_id=row.device_id,
        at=row.at,
        model_version=row.model_version,
        count=row.frames,
        errors=row.errors,
        invalid=row.invalid,
        latency_p50_ms=row.latency_p50_ms,
        latency_p95_ms=row.latency_p95_ms,
        mean_confidence=row.mean_confidence,
        rss_mb=row.rss_mb,
        drift_score=row.drift_score,
        drifted=row.drifted,
    )
