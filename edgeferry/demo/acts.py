"""The acts of the demo, in order. Each states what it expects; the first expectation that fails ends the story."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeferry.demo.attacks import play_attacks
from edgeferry.demo.inference import accuracy
from edgeferry.demo.iterations import BAD, BETTER, FIRST, MODEL, Recipe, Trained, Workshop, manifest_of
from edgeferry.demo.processes import wait_for
from edgeferry.demo.spoiled import play_spoiled_cameras
from edgeferry.demo.world import DEVICES
from fleet_contract.rollout import RolloutState

if TYPE_CHECKING:
    from edgeferry.demo.narrator import Narrator
    from edgeferry.demo.world import World


def play(world: World, narrator: Narrator) -> None:
    """All acts.

    Raises:
        GateError: an expectation did not hold.
    """
    with ThreadPoolExecutor(1) as pool:
        stage = Stage(world, narrator, _open_workshop(world, narrator), pool)
        try:
            stage.first_release()
            stage.better_release()
            stage.bad_release()
        except BaseException:
            world.processes.stop_all()  # also a training that nobody awaits any more
            raise
    narrator.act("Two attacks: a tampered blob and a tampered desired document")
    play_attacks(world, narrator, bad_version=3)
    narrator.act("Spoiled cameras: drift, alert, samples, labels, retraining, v4")
    play_spoiled_cameras(world, narrator, stage.workshop)


def _open_workshop(world: World, narrator: Narrator) -> Workshop:
    narrator.act("Keys, a server, a project")
    project = world.folder / "project"
    workshop = Workshop(
        processes=world.processes,
        project=project,
        release_key=world.keys / "release" / f"release-{MODEL}.pem",
        server_url=world.url,
        token_file=world.token_file,
    )
    workshop.command("keys", "keys", "init", "--out", str(world.keys), "--model", MODEL)
    narrator.say("fresh keys: 3 root (2 needed), targets, release, snapshot, timestamp, director, fleet CA")
    world.start_server()
    narrator.say(f"server at {world.url}; {world.client().fleet_status().broker}")
    workshop.command("init", "init", str(project), "--template", "image", "--name", MODEL)
    (world.folder / "data.npz").rename(project / "data.npz")
    return workshop


@dataclass(slots=True)
class Stage:
    """Where the first three releases play."""

    world: World
    narrator: Narrator
    workshop: Workshop
    pool: ThreadPoolExecutor
    ahead: Future[Trained] | None = None

    def train_ahead(self, recipe: Recipe, name: str) -> None:
        """Begins to train the next iteration while the story goes on."""
        largest = int(self.world.images.stream_BHWC.max())
        self.ahead = self.pool.submit(self.workshop.train, recipe, name, largest_value=largest)

    def make(self, name: str, following: tuple[Recipe, str] | None = None) -> int:
        """Awaits the candidate that `train_ahead` began, converts and publishes it; its version.

        The `following` iteration begins to train as soon as this one has.
        """
        if self.ahead is None:
            raise ValueError("nothing was trained ahead")
        trained = self.ahead.result()
        if following is not None:
            self.train_ahead(*following)
        started_s = self.narrator.now_s()
        bundle = self.workshop.convert(trained.folder, name)
        converted_s = self.narrator.now_s() - started_s
        version = self.workshop.publish(bundle, name)
        manifest = manifest_of(bundle)
        overall = manifest.evaluation.overall
        self.narrator.say(
            f"v{version}: accuracy in training {overall.accuracy:.1%} ({overall.low:.1%} to {overall.high:.1%}); "
            f"trained in {trained.took_s:.1f} s, converted and proven in {converted_s:.1f} s"
        )
        for variant in manifest.variants:
            found = variant.evidence
            self.narrator.say(
                f"    {variant.id:<23} {variant.blob.size_bytes:>7,} bytes  accuracy {found.accuracy:.1%}  "
                f"agreement {found.top1_agreement:.1%}  {found.latency_p50_ms:.3f} ms"
            )
        self.narrator.figure(f"v{version} in training", overall.accuracy)
        return version

    def measure(self, name: str) -> float:
        """Mean accuracy of the five devices on the probe images, through their REST APIs."""
        images = self.world.images
        found = {
            device: accuracy(port, MODEL, images.probe_BHWC, images.probe_labels)
            for device, port in sorted(self.world.ports().items())
        }
        variants = self.world.variants()
        for device, value in found.items():
            self.narrator.say(f"    {device:<12} {variants.get(device, '?'):<23} accuracy on device {value:.1%}")
        mean = sum(found.values()) / len(found)
        self.narrator.figure(name, mean)
        return mean

    def first_release(self) -> None:
        """v1 goes from data to five devices."""
        narrator, world = self.narrator, self.world
        narrator.act("v1: train, convert, sign, enrol five devices, roll out")
        self.train_ahead(FIRST, "v1")
        version = self.make("v1", (BETTER, "v2"))
        for kind in DEVICES:
            world.enrol(kind)
        wait_for("five devices online", lambda: world.online() == len(DEVICES), timeout_s=40.0)
        narrator.say(f"{len(DEVICES)} devices enrolled with one-time claims, each an agent process of its own")
        ended = world.roll_out(version)
        narrator.mark(f"v{version} {ended.state}")
        narrator.expect("v1 passed canary and all", holds=ended.state is RolloutState.COMPLETED, detail=ended.reason)
        narrator.expect("five devices serve v1", holds=set(world.running().values()) == {version})
        measured = self.measure("v1 on devices")
        trained = narrator.figures["v1 in training"]
        narrator.expect(
            f"accuracy on device {measured:.1%} is that of training {trained:.1%}", holds=abs(measured - trained) < 0.08
        )

    def better_release(self) -> None:
        """v2 is better and replaces v1 while clients keep asking."""
        narrator, world = self.narrator, self.world
        narrator.act("v2: truly better, rolled out while clients keep asking")
        version = self.make("v2", (BAD, "v3"))
        for camera in world.cameras.values():
            camera.take_tally()
        ended = world.roll_out(version)
        narrator.mark(f"v{version} {ended.state}")
        narrator.expect("v2 passed canary and all", holds=ended.state is RolloutState.COMPLETED, detail=ended.reason)
        tallies = [camera.take_tally() for camera in world.cameras.values()]
        lost = [words for tally in tallies for words in tally.failures]
        sent = sum(tally.requests for tally in tallies)
        narrator.expect(
            f"of {sent} requests during the swap none failed",
            holds=sent > 0 and not any(tally.failed or tally.invalid for tally in tallies),
            detail="; ".join(lost),
        )
        measured = self.measure("v2 on devices")
        narrator.expect(
            f"v2 is better on the devices: {measured:.1%} after {narrator.figures['v1 on devices']:.1%}",
            holds=measured > narrator.figures["v1 on devices"],
        )

    def bad_release(self) -> None:
        """v3 passes its gates and fails on the devices: it ends in the canary stage."""
        narrator, world = self.narrator, self.world
        narrator.act("v3: passes its gates, bad on the device")
        version = self.make("v3")
        narrator.say("v3 divides by each image's own spread; no training image is blank, but real shutters stick")
        ended = world.roll_out(version)
        narrator.mark(f"v{version} {ended.state}")
        narrator.say(f"the rollout says: {ended.reason}")
        stages = {stage.name: stage for stage in ended.stages}
        narrator.expect("v3 was rolled back", holds=ended.state is RolloutState.ROLLED_BACK, detail=ended.reason)
        narrator.expect(
            "it ended in the canary stage; no other device ever ran it",
            holds=stages["canary"].state == "failed" and stages["all"].state in {"pending", "skipped"},
            detail=str({name: stage.state for name, stage in stages.items()}),
        )
        wait_for("every device on v2", lambda: set(world.running().values()) == {version - 1}, timeout_s=20.0)
        narrator.expect("every device is back on v2", holds=True)
        for camera in world.cameras.values():
            camera.take_tally()
