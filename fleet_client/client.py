"""The fleet server's REST API as typed methods, for the command line, the worker, enrolment and users' scripts.

    >>> from fleet_client import FleetClient
    >>> client = FleetClient("http://127.0.0.1:8080", token="...")
    >>> client.url
    'http://127.0.0.1:8080'

Every method raises `UnreachableError` when the server does not answer, and otherwise the error family that the
server's problem names. docs/reference/rest.md lists roles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from fleet_client.transport import Transport
from fleet_contract.api import (
    AlertView,
    AuditView,
    ClaimCreate,
    ClaimCreated,
    CommandCreate,
    CommandView,
    DeviceEventView,
    DeviceView,
    EnrolRequest,
    EnrolResponse,
    FleetStatus,
    LabelSample,
    LabelsPatch,
    LeaseRenew,
    LeaseRequest,
    Page,
    ReleasePublish,
    ReleaseView,
    RetrainCreate,
    RetrainResult,
    RetrainView,
    RolloutCreate,
    RolloutDeviceView,
    RolloutView,
    SampleBatch,
    SampleView,
    UserCreate,
    UserCreated,
    UserView,
    WindowView,
)
from fleet_contract.codec import decode
from fleet_contract.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from fleet_contract.release import BlobRef

T = TypeVar("T")

API = "/api/v1"


class AuditCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the audit log's hash chain holds, over how many entries."""

    intact: bool
    entries: int


class FleetClient:
    """A session with one fleet server. Not shared between threads that need different tokens; otherwise safe."""

    def __init__(
        self, url: str, token: str = "", *, ca_file: Path | None = None, timeout_s: float = 30.0, tries: int = 4
    ) -> None:
        self._transport = Transport(url, token, ca_file=ca_file, timeout_s=timeout_s, tries=tries)

    @property
    def url(self) -> str:
        """The server's base URL."""
        return self._transport.url

    def close(self) -> None:
        """Closes pooled connections."""
        self._transport.close()

    # fleet and devices

    def healthy(self) -> bool:
        """Whether the server answers `/healthz`."""
        return self._transport.request("GET", "/healthz").status == 200

    def fleet_status(self) -> FleetStatus:
        """The whole fleet at a glance."""
        return self._get("/fleet/status", FleetStatus)

    def enrol(self, request: EnrolRequest) -> EnrolResponse:
        """Turns a claim into a device's credentials."""
        return self._post("/enrol", request, EnrolResponse)

    def claim(self, request: ClaimCreate) -> ClaimCreated:
        """A one-time claim for a new device."""
        return self._post("/claims", request, ClaimCreated)

    def devices(self, *, label: str = "") -> Iterator[DeviceView]:
        """All devices, or those with a label `key:value`."""
        return self._pages("/devices", Page[DeviceView], {"label": label})

    def device(self, device_id: str) -> DeviceView:
        """One device."""
        return self._get(f"/devices/{device_id}", DeviceView)

    def device_events(self, device_id: str) -> Iterator[DeviceEventView]:
        """A device's history, newest first."""
        return self._pages(f"/devices/{device_id}/events", Page[DeviceEventView], {})

    def set_labels(self, device_id: str, labels: dict[str, str]) -> DeviceView:
        """Adds, changes and (by an empty value) removes labels."""
        return self._transport.json(
            "PATCH", f"{API}/devices/{device_id}/labels", DeviceView, body=LabelsPatch(labels=labels)
        )

    def command(self, device_id: str, request: CommandCreate) -> CommandView:
        """Sends a command to a device; ask `command_result` for the answer."""
        return self._post(f"/devices/{device_id}/commands", request, CommandView)

    def command_result(self, device_id: str, command_id: str) -> CommandView:
        """A command with the device's answer, once there is one."""
        return self._get(f"/devices/{device_id}/commands/{command_id}", CommandView)

    def decommission(self, device_id: str) -> None:
        """Takes a device out of the fleet for good."""
        self._transport.request("DELETE", f"{API}/devices/{device_id}")

    # releases and trust

    def has_blob(self, sha256: str) -> bool:
        """Whether the server has the blob."""
        try:
            self._transport.request("HEAD", f"{API}/blobs/{sha256}")
        except NotFoundError:
            return False
        return True

    def put_blob(self, blob: BlobRef, file: Path) -> None:
        """Uploads a blob from a file; nothing happens when the server has it."""
        if not self.has_blob(blob.sha256):
            self._transport.upload(f"{API}/blobs/{blob.sha256}", file, blob.size_bytes)

    def get_blob(self, sha256: str) -> bytes:
        """A blob's bytes."""
        return self._transport.request("GET", f"{API}/blobs/{sha256}").data

    def trust_metadata(self, file: str) -> bytes:
        """A TUF metadata file, for instance `timestamp.json`."""
        return self._transport.request("GET", f"{API}/trust/metadata/{file}").data

    def put_targets(self, targets_json: bytes) -> None:
        """Hands in new top-level targets metadata, signed offline."""
        self._transport.request("PUT", f"{API}/trust/targets", body=targets_json)

    def releases(self, *, model: str = "") -> Iterator[ReleaseView]:
        """Releases, newest first."""
        return self._pages("/releases", Page[ReleaseView], {"model": model})

    def release(self, model: str, version: int | str) -> ReleaseView:
        """A release by version or alias."""
        return self._get(f"/releases/{model}/{version}", ReleaseView)

    def publish(self, request: ReleasePublish) -> ReleaseView:
        """Registers a signed release whose blobs are uploaded."""
        return self._post("/releases", request, ReleaseView)

    def set_alias(self, model: str, alias: str, version: int) -> ReleaseView:
        """Moves an alias."""
        return self._transport.json(
            "PUT", f"{API}/releases/{model}/aliases/{alias}", ReleaseView, body={"version": version}
        )

    # rollouts

    def start_rollout(self, request: RolloutCreate) -> RolloutView:
        """Creates a rollout; it runs at once unless it asks for approval."""
        return self._post("/rollouts", request, RolloutView)

    def rollouts(self) -> Iterator[RolloutView]:
        """Rollouts, newest first."""
        return self._pages("/rollouts", Page[RolloutView], {})

    def rollout(self, rollout_id: str) -> RolloutView:
        """One rollout."""
        return self._get(f"/rollouts/{rollout_id}", RolloutView)

    def rollout_devices(self, rollout_id: str) -> Iterator[RolloutDeviceView]:
        """The devices of a rollout."""
        return self._pages(f"/rollouts/{rollout_id}/devices", Page[RolloutDeviceView], {})

    def steer_rollout(self, rollout_id: str, verb: str) -> RolloutView:
        """`approve`, `pause`, `resume`, `abort` or `roll-back`."""
        return self._post(f"/rollouts/{rollout_id}/{verb}", None, RolloutView)

    # monitoring and retraining

    def windows(self, *, device: str = "", model: str = "", since: str = "") -> Iterator[WindowView]:
        """Telemetry windows, newest first."""
        return self._pages("/windows", Page[WindowView], {"device": device, "model": model, "since": since})

    def alerts(self, *, only_open: bool = False) -> Iterator[AlertView]:
        """Alerts, newest first."""
        return self._pages("/alerts", Page[AlertView], {"open": "true" if only_open else ""})

    def resolve_alert(self, alert_id: int) -> AlertView:
        """Closes an alert."""
        return self._post(f"/alerts/{alert_id}/resolve", None, AlertView)

    def retrain_requests(self) -> Iterator[RetrainView]:
        """Retrain requests, newest first."""
        return self._pages("/retrain-requests", Page[RetrainView], {})

    def retrain_request(self, request_id: str) -> RetrainView:
        """One retrain request."""
        return self._get(f"/retrain-requests/{request_id}", RetrainView)

    def ask_retrain(self, request: RetrainCreate) -> RetrainView:
        """Opens a retrain request by hand."""
        return self._post("/retrain-requests", request, RetrainView)

    def open_retrain(self, request_id: str) -> RetrainView:
        """Says that a request's samples are labelled well enough to train."""
        return self._post(f"/retrain-requests/{request_id}/open", None, RetrainView)

    def cancel_retrain(self, request_id: str) -> RetrainView:
        """Takes a request back."""
        return self._post(f"/retrain-requests/{request_id}/cancel", None, RetrainView)

    def lease_retrain(self, request: LeaseRequest) -> RetrainView | None:
        """The oldest open request, leased to its owner; None when there is none."""
        response = self._transport.request("POST", f"{API}/retrain-requests/lease", body=msgspec.json.encode(request))
        return decode(response.data, RetrainView) if response.status == 200 else None

    def renew_retrain(self, request_id: str, request: LeaseRenew) -> RetrainView:
        """Keeps a lease; ConflictError when it is lost."""
        return self._post(f"/retrain-requests/{request_id}/renew", request, RetrainView)

    def finish_retrain(self, request_id: str, result: RetrainResult) -> RetrainView:
        """Reports how a leased request ended."""
        return self._post(f"/retrain-requests/{request_id}/result", result, RetrainView)

    def send_samples(self, batch: SampleBatch) -> None:
        """A device's samples."""
        self._transport.request("POST", f"{API}/samples", body=msgspec.json.encode(batch))

    def samples(self, *, request: str = "", model: str = "", labelled: bool | None = None) -> Iterator[SampleView]:
        """Samples that devices sent home."""
        wanted = "" if labelled is None else str(labelled).lower()
        return self._pages("/samples", Page[SampleView], {"request": request, "model": model, "labelled": wanted})

    def sample_content(self, sample_id: str) -> bytes:
        """The raw tensor's bytes of a sample (C order, dtype and shape as its view says)."""
        return self._transport.request("GET", f"{API}/samples/{sample_id}/content").data

    def label_sample(self, sample_id: str, label: str) -> SampleView:
        """Labels a sample."""
        return self._transport.json(
            "PUT", f"{API}/samples/{sample_id}/label", SampleView, body=LabelSample(label=label)
        )

    # users and audit

    def users(self) -> Iterator[UserView]:
        """All users."""
        return self._pages("/users", Page[UserView], {})

    def add_user(self, request: UserCreate) -> UserCreated:
        """A new user with its token, which is shown this once."""
        return self._post("/users", request, UserCreated)

    def remove_user(self, name: str) -> None:
        """Takes a user's token back."""
        self._transport.request("DELETE", f"{API}/users/{name}")

    def audit(self) -> Iterator[AuditView]:
        """The audit log, newest first."""
        return self._pages("/audit", Page[AuditView], {})

    def verify_audit(self) -> AuditCheck:
        """Recomputes the audit log's hash chain."""
        return self._get("/audit/verify", AuditCheck)

    def _get(self, path: str, kind: type[T], query: Mapping[str, str] = {}) -> T:
        return self._transport.json("GET", API + path, kind, query=query)

    def _post(self, path: str, body: object, kind: type[T]) -> T:
        return self._transport.json("POST", API + path, kind, body=body)

    def _pages(self, path: str, kind: type[Page[T]], query: Mapping[str, str]) -> Iterator[T]:
        wanted = {key: value for key, value in query.items() if value}
        cursor = ""
        while True:
            page = self._get(path, kind, {**wanted, **({"cursor": cursor} if cursor else {})})
            yield from page.items
            cursor = page.next
            if not cursor:
                return
