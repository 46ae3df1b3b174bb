"""Samples that devices send home, and the labels that people give them.

Rules: only a device whose label allows sampling may upload, only for a request that has not ended, and only up to
a cap of bytes a request; the raw tensor must be what the release's input says; the same bytes are stored once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fleet_contract.api import SampleView
from fleet_contract.errors import AccessError, ConflictError, ContractError, NotFoundError
from fleet_contract.names import parse_name
from fleet_server.blobs import put_blob
from fleet_server.director import SAMPLING_ALLOWED, SAMPLING_LABEL
from fleet_server.identifiers import random_id
from fleet_server.retrain import ENDED
from fleet_server.storage import samples as rows
from fleet_server.storage.database import after_commit

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

    from fleet_contract.api import SampleBatch, SampleUpload
    from fleet_contract.release import ReleaseManifest
    from fleet_server.audit import Audit
    from fleet_server.blobs import Blobs
    from fleet_server.changes import Changes
    from fleet_server.clock import Clock
    from fleet_server.devices import Devices
    from fleet_server.identifiers import IdSource
    from fleet_server.registry import Registry
    from fleet_server.retrain import RetrainRequests
    from fleet_server.settings import SamplingSettings
    from fleet_server.storage.database import Database


@dataclass(frozen=True, slots=True)
class _Checked:
    upload: SampleUpload
    data: bytes
    sha256: str


class Samples:
    """The service over the samples' table."""

    def __init__(
        self,
        database: Database,
        *,
        blobs: Blobs,
        devices: Devices,
        registry: Registry,
        requests: RetrainRequests,
        changes: Changes,
        audit: Audit,
        clock: Clock,
        settings: SamplingSettings,
        new_id: IdSource = random_id,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._devices = devices
        self._registry = registry
        self._requests = requests
        self._changes = changes
        self._audit = audit
        self._clock = clock
        self._settings = settings
        self._new_id = new_id

    def upload(self, device_id: str, batch: SampleBatch) -> int:
        """Stores what is new in a device's batch; how many samples that was.

        Raises:
            AccessError: the device does not allow sampling.
            NotFoundError: no such request or release.
            ConflictError: the request has ended, is of another model, or its cap of bytes is reached.
            ContractError: a sample is not what the release's input says.
        """
        self._check_allowed(device_id)
        self._check_request(batch)
        checked = [self._check(upload) for upload in batch.samples]
        with self._database.read() as connection:
            self._check_budget(connection, device_id, batch.request_id, sum(len(each.data) for each in checked))
        for each in checked:  # blobs first: a row never names bytes that are not there
            put_blob(self._blobs, each.data)
        with self._database.transaction() as connection:
            self._check_budget(connection, device_id, batch.request_id, 0)
            stored = sum(rows.insert(connection, self._values(device_id, batch.request_id, each)) for each in checked)
            after_commit(connection, lambda: self._changes.publish("sample", batch.request_id))
        return stored

    def label(self, sample_id: str, label: str, *, actor: str) -> SampleView:
        """Labels a sample; the request it is for opens once enough are labelled.

        Raises:
            NotFoundError: no such sample.
            ContractError: the label is not one of the release's.
        """
        with self._database.transaction() as connection:
            row = _row(connection, sample_id)
            labels = self._registry.get(row.model, row.version, connection=connection).manifest.labels
            if label not in labels:
                shown = ", ".join(labels[:20])
                raise ContractError.mismatch(f"label of sample {sample_id}", got=label, expected=f"one of {shown}")
            now = self._clock.now()
            rows.set_label(connection, sample_id, label=label, by=actor, at=now)
            self._audit.record(actor, "label-sample", sample_id, label, at=now, connection=connection)
            self._requests.open_if_labelled(row.request_id, connection=connection)
            after_commit(connection, lambda: self._changes.publish("sample", row.request_id))
            return _view(_row(connection, sample_id))

    def page(
        self,
        *,
        request_id: str = "",
        model: str = "",
        labelled: bool | None = None,
        after_number: int = 0,
        limit: int = 100,
    ) -> list[tuple[int, SampleView]]:
        """(number, sample) in the order in which they came."""
        with self._database.read() as connection:
            found = rows.page(
                connection,
                request_id=request_id,
                model=model,
                labelled=labelled,
                after_number=after_number,
                limit=limit,
            )
        return [(row.number, _view(row)) for row in found]

    def content(self, sample_id: str) -> bytes:
        """The raw tensor's bytes, C order.

        Raises:
            NotFoundError: no such sample, or its bytes are gone.
        """
        with self._database.read() as connection:
            row = _row(connection, sample_id)
        return self._blobs.read(row.sha256, max_bytes=self._settings.max_sample_bytes)

    def _check_allowed(self, device_id: str) -> None:
        labels = self._devices.get(device_id).labels
        if labels.get(SAMPLING_LABEL) != SAMPLING_ALLOWED:
            raise AccessError(
                f"device {device_id}: sampling is not allowed",
                hint=f"`edgeferry device label {device_id} {SAMPLING_LABEL}={SAMPLING_ALLOWED}`",
            )

    def _check_request(self, batch: SampleBatch) -> None:
        if not batch.request_id:
            return  # collected by hand, for no request
        request = self._requests.get(batch.request_id)
        if request.state in ENDED:
            raise ConflictError(f"retrain request {batch.request_id}: it is {request.state}, no samples are needed")
        strangers = {upload.model for upload in batch.samples} - {request.model}
        if strangers:
            raise ConflictError(f"retrain request {batch.request_id} is of {request.model}, got {sorted(strangers)}")

    def _check_budget(self, connection: Connection, device_id: str, request_id: str, new_bytes: int) -> None:
        """The cap is of a request, or of a device where samples are for none."""
        used_bytes = rows.total_bytes(connection, request_id, "" if request_id else device_id)
        if used_bytes + new_bytes > self._settings.max_request_bytes:
            raise ConflictError(
                f"samples of request {request_id or '(none)'}: {used_bytes} bytes are stored, {new_bytes} more would "
                f"exceed {self._settings.max_request_bytes}"
            )

    def _check(self, upload: SampleUpload) -> _Checked:
        data = _decode(upload, self._settings.max_sample_bytes)
        manifest = self._registry.get(parse_name(upload.model, "model"), upload.version).manifest
        _check_tensor(upload, data, manifest)
        if not math.isfinite(upload.confidence):
            raise ContractError.mismatch("sample: confidence", got=upload.confidence, expected="a finite number")
        return _Checked(upload, data, hashlib.sha256(data).hexdigest())

    def _values(self, device_id: str, request_id: str, checked: _Checked) -> dict[str, object]:
        upload = checked.upload
        return {
            "id": self._new_id("s"),
            "device_id": device_id,
            "model": upload.model,
            "version": upload.version,
            "request_id": request_id,
            "captured_at": upload.captured_at,
            "received_at": self._clock.now(),
            "predicted": upload.predicted[:300],
            "confidence": upload.confidence,
            "chosen": upload.chosen[:63],
            "sha256": checked.sha256,
            "size_bytes": len(checked.data),
            "dtype": upload.dtype,
            "shape": upload.shape,
        }


def _decode(upload: SampleUpload, max_bytes: int) -> bytes:
    if len(upload.data) > max_bytes * 4 // 3 + 4:
        raise ContractError.mismatch("sample", got=f"{len(upload.data)} characters", expected=f"{max_bytes} bytes")
    try:
        return base64.b64decode(upload.data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ContractError(f"sample: broken base64: {error}") from error


def _check_tensor(upload: SampleUpload, data: bytes, manifest: ReleaseManifest) -> None:
    spec = manifest.inputs[0]
    if (upload.dtype, upload.shape) != (spec.dtype.value, spec.shape):
        raise ContractError.mismatch(
            f"sample for {manifest.model} v{manifest.version}",
            got=f"{upload.dtype} {list(upload.shape)}",
            expected=f"{spec.dtype} {list(spec.shape)}",
        )
    expected_bytes = math.prod(spec.shape) * np.dtype(spec.dtype.value).itemsize
    if len(data) != expected_bytes:
        raise ContractError.mismatch("sample: data", got=f"{len(data)} bytes", expected=f"{expected_bytes} bytes")


def _row(connection: Connection, sample_id: str) -> Row[Any]:
    row = rows.find(connection, sample_id)
    if row is None:
        raise NotFoundError(f"sample {sample_id}: there is none")
    return row


def _view(row: Row[Any]) -> SampleView:
    return SampleView(
        id=row.id,
        device_id=row.device_id,
        model=row.model,
        version=row.version,
        request_id=row.request_id,
        captured_at=row.captured_at,
        predicted=row.predicted,
        confidence=row.confidence,
        chosen=row.chosen,
        sha256=row.sha256,
        dtype=row.dtype,
        shape=row.shape,
        label=row.label,
    )
