"""The retrain worker's ports, wired to the fleet server, the converter and the release key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import TYPE_CHECKING, Any

from converter.pipeline import convert
from converter.predict.released import from_server
from edgeferry.publishing import publish_bundle
from edgeferry.released import raw_scores
from fleet_contract.errors import NotFoundError
from trainer.judging.validate import Champion
from trainer.sources.fleet import RawSample
from trainer.worker import ReleaseOutcome

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeferry.rollout_plan import RolloutPlan
    from fleet_client import FleetClient
    from fleet_contract.api import LeaseRenew, LeaseRequest, RetrainResult, RetrainView, SampleView
    from trainer.progress import Progress


@dataclass(frozen=True, slots=True)
class ServerQueue:
    """Retrain requests of a fleet server."""

    client: FleetClient

    def lease(self, request: LeaseRequest) -> RetrainView | None:
        """The oldest open request, or None."""
        return self.client.lease_retrain(request)

    def renew(self, request_id: str, renewal: LeaseRenew) -> None:
        """Holds the lease for longer."""
        self.client.renew_retrain(request_id, renewal)

    def finish(self, request_id: str, result: RetrainResult) -> None:
        """Ends the request."""
        self.client.finish_retrain(request_id, result)

    def labelled_samples(self, request: RetrainView) -> list[RawSample]:
        """Every labelled sample of the request, with its bytes."""
        views = self.client.samples(request=request.id, labelled=True)
        return [self._raw(view) for view in views]

    def _raw(self, view: SampleView) -> RawSample:
        return RawSample(data=self.client.sample_content(view.id), dtype=view.dtype, shape=view.shape, label=view.label)


@dataclass(frozen=True, slots=True)
class FleetReleaser:
    """Converts, signs, publishes and opens a rollout; `plan` None leaves the rollout to people."""

    client: FleetClient
    release_key: Path
    plan: RolloutPlan | None
    progress: Progress

    def champion(self, model: str) -> Champion | None:
        """The version that the alias `champion` names, scored by its variant nearest to float."""
        try:
            view = self.client.release(model, "champion")
        except NotFoundError:
            return None
        return Champion(
            version=view.version,
            scores=partial(_score, self.client, f"{model}@{view.version}"),
            labels=view.manifest.labels,
        )

    def release(self, candidate_folder: Path, request: RetrainView) -> ReleaseOutcome:
        """Makes a release of the candidate and opens its rollout by the plan."""
        bundle = convert(
            candidate_folder, candidate_folder.with_name(f"{candidate_folder.name}-release"), progress=self.progress
        )
        view = publish_bundle(
            self.client,
            bundle.manifest,
            bundle.folder / "blobs",
            release_key=self.release_key,
            now=datetime.now(UTC),
            say=self.progress.remark,
        )
        self.progress.remark(f"request {request.id}: {view.model} v{view.version} published")
        if self.plan is None:
            return ReleaseOutcome(version=view.version)
        rollout = self.client.start_rollout(self.plan.request(view.model, view.version))
        return ReleaseOutcome(version=view.version, rollout_id=rollout.id)


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The time of day, aware UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Seconds of a clock that never jumps."""
        return monotonic()


def _score(client: FleetClient, release: str, inputs_B: NDArray[Any]) -> NDArray[np.float32]:
    with TemporaryDirectory(prefix="edgeferry-champion-") as folder:
        return raw_scores(from_server(client, release, "", Path(folder)), inputs_B)
