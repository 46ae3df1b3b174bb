"""Which path answers what: Open Inference Protocol V2 and `/metrics`.

Source: Open Inference Protocol V2, "REST". The body of server-ready carries `live` as the specification prints it and
`ready` as it means it. What the caller got wrong is 4xx with `{"error": ...}`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from device_agent.host.engine import NonFiniteError
from device_agent.host.http import HttpResponse
from device_agent.host.inference import QueueFullError
from device_agent.host.metrics import CONTENT_TYPE, render_metrics
from device_agent.host.protocol import decode_request, encode_response, model_metadata
from device_agent.host.statistics import Outcome
from device_agent.telemetry.board import read_board
from fleet_contract.codec import encode
from fleet_contract.errors import ContractError, EdgeferryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from device_agent.host.hosted import HostedRelease
    from device_agent.host.http import HttpRequest
    from device_agent.host.inference import InferenceWorker

SERVER_NAME: Final = "edgeferry"
_RETRY_AFTER_S: Final = 1
_log: Final = logging.getLogger(__name__)


class Routes:
    """Answers requests for one release."""

    def __init__(
        self, release: HostedRelease, worker: InferenceWorker, *, version: str, elapsed_s: Callable[[], float]
    ) -> None:
        self._release = release
        self._worker = worker
        self._version = version
        self._elapsed_s = elapsed_s
        self._started_s = elapsed_s()
        self._fixed = {
            "v2": self._server,
            "v2/health/live": lambda: _json({"live": True}),
            "v2/health/ready": lambda: _json({"live": True, "ready": True}),
            "metrics": self._metrics,
        }

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        """The response to any request; never raises."""
        try:
            return await self._respond(request)
        except EdgeferryError as error:
            return _failure(error)
        except Exception:  # noqa: BLE001 - the edge: a caller gets an answer, the log the rest
            _log.exception("request-failed path=%s", request.path)
            return _error(500, "the host failed; its log says how")

    async def _respond(self, request: HttpRequest) -> HttpResponse:
        answer = self._fixed.get(request.path.strip("/"))
        if answer is not None:
            return _read_only(request, answer)
        match request.path.strip("/").split("/"):
            case ["v2", "models", model, "versions", version, *rest]:
                return await self._model(request, model, version, rest)
            case ["v2", "models", model, *rest]:
                return await self._model(request, model, "", rest)
        return _error(404, f"path: got {request.path}, expected one of the Open Inference Protocol V2")

    async def _model(self, request: HttpRequest, model: str, version: str, rest: list[str]) -> HttpResponse:
        manifest = self._release.manifest
        if model != manifest.model or version not in ("", str(manifest.version)):
            got = f"{model} version {version}" if version else model
            return _error(404, f"model: got {got}, expected {manifest.model} version {manifest.version}")
        match rest:
            case []:
                return _read_only(request, self._metadata)
            case ["ready"]:
                ready = {"name": manifest.model, "version": str(manifest.version), "ready": True}
                return _read_only(request, lambda: _json(ready))
            case ["infer"]:
                return await self._infer(request)
        return _error(404, f"path: got {request.path}, expected .../ready or .../infer")

    async def _infer(self, request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return _wrong_method(request, "POST")
        received_s = self._elapsed_s()
        manifest = self._release.manifest
        try:
            wanted, raw_B = decode_request(request.body, manifest)
        except ContractError:
            self._worker.statistics.count(Outcome.REFUSED)
            raise
        scores_BK = await self._worker.infer(raw_B, received_s)
        return HttpResponse(200, encode_response(wanted, scores_BK, manifest))

    def _server(self) -> HttpResponse:
        return _json({"name": SERVER_NAME, "version": self._version, "extensions": []})

    def _metadata(self) -> HttpResponse:
        release = self._release
        return _json(model_metadata(release.manifest, release.variant_id, release.release_sha256))

    def _metrics(self) -> HttpResponse:
        manifest = self._release.manifest
        labels = {
            "model": manifest.model,
            "version": str(manifest.version),
            "variant": self._release.variant_id,
            "digest": self._release.release_sha256,
        }
        text = render_metrics(
            self._worker.statistics,
            labels,
            rss_bytes=read_board().rss_mb * 1024 * 1024,
            age_s=self._elapsed_s() - self._started_s,
        )
        return HttpResponse(200, text.encode(), CONTENT_TYPE)


def _failure(error: EdgeferryError) -> HttpResponse:
    """The status that tells the caller whose mistake it was."""
    if isinstance(error, QueueFullError):
        return _error(503, error.message, ("Retry-After", str(_RETRY_AFTER_S)))
    if isinstance(error, NonFiniteError):
        return _error(422, error.message)
    if isinstance(error, ContractError):
        return _error(400, error.message)
    _log.error("inference-failed error=%s", error.message)
    return _error(500, error.message)


def _read_only(request: HttpRequest, answer: Callable[[], HttpResponse]) -> HttpResponse:
    return answer() if request.method == "GET" else _wrong_method(request, "GET")


def _wrong_method(request: HttpRequest, allowed: str) -> HttpResponse:
    return _error(405, f"method: got {request.method}, expected {allowed}", ("Allow", allowed))


def _json(document: object) -> HttpResponse:
    return HttpResponse(200, encode(document))


def _error(status: int, message: str, *headers: tuple[str, str]) -> HttpResponse:
    return HttpResponse(status, encode({"error": message}), headers=headers)
