"""What a fleet server knows of a project's model that counts for its score: rollouts, telemetry, labels, requests."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from fleet_contract.rollout import RolloutState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleet_client import FleetClient
    from fleet_contract.api import RolloutView, SampleView

MAX_WINDOWS: Final = 1000
MAX_SAMPLES: Final = 5000


class OnlineAccuracy(Struct, frozen=True, kw_only=True):
    """How often a version was right on samples that devices sent and somebody labelled."""

    version: int
    sample_count: int
    accuracy: float


class ServerFacts(Struct, frozen=True, kw_only=True):
    """Counts of what happened to one model on one server."""

    url: str
    released_versions: dict[int, float]
    """Offline accuracy of each published version."""
    running_devices: int
    rollouts: int
    canaried_rollouts: int
    """Those with more than one stage."""
    rolled_back: int
    windows: int
    invalid_inferences: int
    online: tuple[OnlineAccuracy, ...]
    retrain_requests: int
    alerts: dict[str, int]


def server_facts(client: FleetClient, model: str) -> ServerFacts:
    """The facts of `model`.

    Raises:
        UnreachableError, AccessError: the server does not answer, or not to this token.
    """
    rollouts = [rollout for rollout in client.rollouts() if rollout.model == model]
    windows = list(islice(client.windows(model=model), MAX_WINDOWS))
    releases = {view.version: view.manifest.evaluation.overall.accuracy for view in client.releases(model=model)}
    return ServerFacts(
        url=client.url,
        released_versions=releases,
        running_devices=sum(
            any(slot.active is not None and slot.active.model == model for slot in device.slots)
            for device in client.devices()
        ),
        rollouts=len(rollouts),
        canaried_rollouts=sum(len(rollout.stages) > 1 for rollout in rollouts),
        rolled_back=sum(_was_rolled_back(rollout) for rollout in rollouts),
        windows=len(windows),
        invalid_inferences=sum(window.invalid for window in windows),
        online=online_accuracies(islice(client.samples(model=model, labelled=True), MAX_SAMPLES)),
        retrain_requests=sum(request.model == model for request in client.retrain_requests()),
        alerts=dict(Counter(alert.kind for alert in client.alerts() if alert.model == model)),
    )


def online_accuracies(samples: Iterable[SampleView]) -> tuple[OnlineAccuracy, ...]:
    """Accuracy of each version on labelled samples, by version."""
    seen: Counter[int] = Counter()
    right: Counter[int] = Counter()
    for sample in samples:
        seen[sample.version] += 1
        right[sample.version] += sample.label == sample.predicted
    return tuple(
        OnlineAccuracy(version=version, sample_count=seen[version], accuracy=right[version] / seen[version])
        for version in sorted(seen)
    )


def _was_rolled_back(rollout: RolloutView) -> bool:
    return rollout.state in {RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK}
