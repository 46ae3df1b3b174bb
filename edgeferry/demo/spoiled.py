"""The last act: the world changes, the fleet notices, people label, the worker trains, the fleet recovers."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np

from edgeferry.demo.camera import spoil
from edgeferry.demo.inference import accuracy
from edgeferry.demo.iterations import BETTER, MODEL, project_text
from edgeferry.demo.processes import wait_for
from fleet_contract.api import AlertView, RetrainState, RetrainView
from fleet_contract.rollout import ROLLOUT_ENDED, RolloutState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeferry.demo.iterations import Workshop
    from edgeferry.demo.narrator import Narrator
    from edgeferry.demo.world import World

DRIFT_KINDS: Final = frozenset({"input-drift", "model-drift"})
WANTED_LABELS: Final = 200


def play_spoiled_cameras(world: World, narrator: Narrator, workshop: Workshop) -> None:
    """Spoils every camera and follows the loop until accuracy is back."""
    _await_baselines(world, narrator)
    for camera in world.cameras.values():
        camera.spoil()
    narrator.mark("cameras knocked and fogged")
    before = _measure(world, narrator, "v2 on spoiled cameras")
    request = _await_request(world, narrator)
    _label_samples(world, narrator, request)
    version = _retrain(world, narrator, workshop, request)
    after = _measure(world, narrator, f"v{version} on spoiled cameras")
    narrator.expect(f"accuracy on the spoiled input rose from {before:.1%} to {after:.1%}", holds=after > before + 0.1)
    clean = _measure(world, narrator, f"v{version} on clean images", clean=True)
    narrator.say(f"and clean images are still read: {clean:.1%}")


def _await_baselines(world: World, narrator: Narrator) -> None:
    client = world.client()

    def scored() -> bool:
        return all(device.drift_score > 0 for device in client.devices())

    waited_s = wait_for("each device's own baseline", scored, timeout_s=60.0)
    narrator.say(f"every device has its own baseline (waited {waited_s:.1f} s)")
    drifted = [device.device_id for device in client.devices() if device.drifted]
    narrator.expect("no device counts as drifted", holds=not drifted, detail=", ".join(drifted))


def _measure(world: World, narrator: Narrator, name: str, *, clean: bool = False) -> float:
    images = world.images
    probe_BHWC = images.probe_BHWC if clean else spoil(images.probe_BHWC)
    found = [accuracy(port, MODEL, probe_BHWC, images.probe_labels) for _, port in sorted(world.ports().items())]
    mean = sum(found) / len(found)
    narrator.figure(name, mean)
    narrator.say(f"{name}: {mean:.1%} ({', '.join(f'{value:.1%}' for value in found)})")
    return mean


def _await_request(world: World, narrator: Narrator) -> RetrainView:
    client = world.client()

    def alerts() -> list[AlertView]:
        return [alert for alert in client.alerts(only_open=True) if alert.kind in DRIFT_KINDS]

    waited_s = wait_for("an alert", lambda: bool(alerts()), timeout_s=45.0)
    for alert in alerts():
        narrator.mark(f"alert {alert.kind} after {waited_s:.1f} s")
        narrator.say(f"    {alert.summary}")
    wait_for("a retrain request", lambda: any(client.retrain_requests()), timeout_s=30.0)
    request = next(iter(client.retrain_requests()))
    narrator.mark(f"retrain request for {request.reason.partition(':')[0]}")
    return request


def _label_samples(world: World, narrator: Narrator, request: RetrainView) -> None:
    """Labels what came home, as a person would; only images of the stream are known, the probe never is."""
    client = world.client()
    truth = known_labels(spoil(world.images.stream_BHWC), world.images.stream_labels)
    wait_for(
        f"{WANTED_LABELS} samples",
        lambda: client.retrain_request(request.id).sample_count >= WANTED_LABELS,
        timeout_s=60.0,
    )
    samples = list(client.samples(request=request.id))
    size_bytes = sum(len(client.sample_content(sample.id)) for sample in samples[:1]) * len(samples)
    labelled = 0
    for sample in samples:
        label = truth.get(hashlib.sha256(client.sample_content(sample.id)).hexdigest())
        if label is not None:
            client.label_sample(sample.id, label)
            labelled += 1
    chosen = {why: sum(sample.chosen == why for sample in samples) for why in ("random", "margin")}
    narrator.mark(f"{len(samples)} samples came home, {labelled} labelled")
    narrator.say(
        f"    {size_bytes:,} bytes; chosen at random {chosen['random']}, for a small margin {chosen['margin']}"
    )
    state = client.retrain_request(request.id).state
    narrator.expect("the request is open for workers", holds=state is RetrainState.OPEN, detail=str(state))


def known_labels(images_BHWC: NDArray[np.uint8], labels: tuple[str, ...]) -> dict[str, str]:
    """The label of each image, by the SHA-256 of its bytes."""
    return {
        hashlib.sha256(np.ascontiguousarray(image_HWC).tobytes()).hexdigest(): label
        for image_HWC, label in zip(images_BHWC, labels, strict=True)
    }


def _retrain(world: World, narrator: Narrator, workshop: Workshop, request: RetrainView) -> int:
    largest = int(world.images.stream_BHWC.max())
    (workshop.project / "edgeferry.toml").write_text(project_text(BETTER, largest_value=largest))
    started_s = narrator.now_s()
    workshop.command(
        "worker",
        *("worker", "--once", "--poll-s", "0.5", "--project", str(workshop.project), "--plan", str(world.plan_file)),
        *("--key", str(workshop.release_key), "--server", world.url, "--token", f"@{world.token_file}"),
    )
    client = world.client()
    done = client.retrain_request(request.id)
    narrator.mark(f"worker released v{done.result_version} in {narrator.now_s() - started_s:.1f} s")
    narrator.say(f"    {done.detail}")
    narrator.expect("the request is done", holds=done.state is RetrainState.DONE, detail=done.detail)
    wait_for(
        "the rollout of the retrained model",
        lambda: client.rollout(done.rollout_id).state in ROLLOUT_ENDED,
        timeout_s=90.0,
    )
    ended = client.rollout(done.rollout_id)
    narrator.mark(f"v{done.result_version} {ended.state}")
    narrator.expect(
        f"v{done.result_version} passed canary and all",
        holds=ended.state is RolloutState.COMPLETED,
        detail=ended.reason,
    )
    return done.result_version
