"""The agent's shell from desired document to commit, over a world in memory (real SQLite, real files)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pytest
from msgspec import structs

from device_agent.faults import FetchError, RefusedError
from device_agent.host.counts import HostCounts
from device_agent.preflight_result import PreflightCode
from fleet_contract.codec import decode, encode
from fleet_contract.deployment import DeploymentState, ErrorClass
from fleet_contract.desired import DownloadPolicy, ProbationPolicy
from fleet_contract.device_profile import DeviceProfile
from fleet_contract.messages import ServerStatus
from fleet_contract.telemetry import decode_batch, window_dtype
from fleet_contract.topics import DeviceTopic, server_status_topic
from tests.fakes.agent_releases import make_release
from tests.fakes.agent_world import QUICK, World, tampered, until

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from device_agent.agent import Agent

S = DeploymentState
T = TypeVar("T")
FULL = [S.ACCEPTED, S.DOWNLOADING, S.VERIFYING, S.STAGED, S.PREFLIGHT, S.ACTIVATING, S.PROBATION, S.COMMITTED]


def play(story: Coroutine[None, None, T]) -> T:
    """Runs a story, which must end within 20 s."""
    return asyncio.run(asyncio.wait_for(story, 20.0))


async def ended(world: World, deployment_id: str, state: DeploymentState) -> None:
    """Waits until a deployment ended so, and the full state said so."""
    await until(lambda: state in world.states(deployment_id))
    await until(
        lambda: world.reported().slots[0].state is state or world.reported().slots[0].deployment_id != deployment_id
    )


async def deploy_first(world: World) -> None:
    """Version 1, committed."""
    world.desire(world.publish(make_release(1)).desired(probation=QUICK))
    await ended(world, "d-1", S.COMMITTED)


def test_a_release_goes_through_every_state_and_is_served(tmp_path: Path) -> None:
    """Two releases in a row; each event has its own seq, and the full state names both at the end."""

    async def story(world: World) -> None:
        async with world.running():
            await deploy_first(world)
            world.desire(world.publish(make_release(2)).desired(probation=QUICK))
            await ended(world, "d-2", S.COMMITTED)
        assert world.states("d-1") == world.states("d-2") == FULL
        assert world.served == [1, 2]
        assert [event.seq for event in world.events()] == list(range(1, 17))
        report = world.reported().slots[0]
        assert report.active is not None
        assert report.previous is not None
        assert (report.active.version, report.previous.version, report.host_port) == (2, 1, 4242)
        assert not world.hosts[0].probation

    play(story(World(tmp_path)))


def test_only_what_is_needed_is_downloaded(tmp_path: Path) -> None:
    """At most `max_variants` variants, golden vectors and the reference profile; the model card stays away."""

    async def story(world: World) -> None:
        world.config = structs.replace(world.config, max_variants=1)
        release = world.publish(make_release(1, variants=("tflite-int8", "tflite-f32")))
        async with world.running():
            world.desire(release.desired(probation=QUICK))
            await ended(world, "d-1", S.COMMITTED)
        assert world.blobs.fetched == ["tflite-int8", "golden.npz", "reference_profile.json"]

    play(story(World(tmp_path)))


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        (HostCounts(requests=100, errors=50, healthy=50, latency_p95_ms=1.0), "errors"),
        (HostCounts(requests=100, invalid=50, healthy=50, latency_p95_ms=1.0), "invalid"),
        (HostCounts(requests=0, crashes=3), "crashes"),
    ],
)
def test_a_bad_release_is_rolled_back_by_the_device_itself(tmp_path: Path, counts: HostCounts, code: str) -> None:
    """What ran before serves again, and the reason reaches the server."""

    async def story(world: World) -> None:
        world.counts[2] = counts
        async with world.running():
            await deploy_first(world)
            world.desire(world.publish(make_release(2)).desired(probation=QUICK))
            await ended(world, "d-2", S.ROLLED_BACK)
        assert world.served == [1, 2, 1]
        report = world.reported().slots[0]
        assert report.active is not None
        assert report.error is not None
        assert (report.active.version, report.error.kind, report.error.code) == (1, ErrorClass.HEALTH, code)

    play(story(World(tmp_path)))


def test_a_first_release_that_is_bad_leaves_nothing_running(tmp_path: Path) -> None:
    """Where nothing ran before, nothing runs after the rollback."""

    async def story(world: World) -> None:
        world.counts[1] = HostCounts(requests=100, invalid=100)
        async with world.running():
            world.desire(world.publish(make_release(1)).desired(probation=QUICK))
            await ended(world, "d-1", S.ROLLED_BACK)
            assert not world.hosts[0].is_open
        assert world.reported().slots[0].active is None

    play(story(World(tmp_path)))


def test_a_release_whose_host_does_not_start_changes_nothing(tmp_path: Path) -> None:
    """The old one was never taken away."""

    async def story(world: World) -> None:
        world.broken.add(2)
        async with world.running():
            await deploy_first(world)
            world.desire(world.publish(make_release(2)).desired(probation=QUICK))
            await ended(world, "d-2", S.ROLLED_BACK)
        assert world.served == [1]

    play(story(World(tmp_path)))


def test_the_best_variant_on_this_board_wins(tmp_path: Path) -> None:
    """The variant that fails preflight is not taken, and its failure does not fail the deployment."""

    async def story(world: World) -> None:
        world.preflight.failing["tflite-int8"] = PreflightCode.GOLDEN
        release = world.publish(make_release(1, variants=("tflite-int8", "tflite-f32")))
        async with world.running():
            world.desire(release.desired(probation=QUICK))
            await ended(world, "d-1", S.COMMITTED)
        assert world.events()[-1].variant == "tflite-f32"

    play(story(World(tmp_path)))


def test_a_release_that_no_variant_proves_fails_before_anything_changed(tmp_path: Path) -> None:
    """Code and words of the preflight reach the server."""

    async def story(world: World) -> None:
        world.preflight.failing["tflite-f32"] = PreflightCode.GOLDEN
        async with world.running():
            world.desire(world.publish(make_release(1)).desired())
            await ended(world, "d-1", S.FAILED)
        error = world.events()[-1].error
        assert error is not None
        assert (error.kind, error.code) == (ErrorClass.RUNTIME, "preflight-golden")
        assert world.served == []

    play(story(World(tmp_path)))


def test_a_device_without_the_runtime_says_why(tmp_path: Path) -> None:
    """No variant fits: an end of its own, without a single byte of a model."""

    async def story(world: World) -> None:
        release = make_release(1)
        unfit = structs.replace(release.manifest.variants[0], min_runtime_version="99")
        manifest = structs.replace(release.manifest, variants=(unfit,))
        release = world.publish(replace(release, manifest=manifest, data=encode(manifest)))
        async with world.running():
            world.desire(release.desired())
            await ended(world, "d-1", S.NO_VARIANT)
        error = world.events()[-1].error
        assert error is not None
        assert "needs 99" in error.detail
        assert world.blobs.fetched == []

    play(story(World(tmp_path)))


def test_an_interrupted_download_goes_on_and_gives_up_at_last(tmp_path: Path) -> None:
    """Two interruptions are survived; with two attempts allowed the second one is the end."""

    async def story(world: World) -> None:
        broken = FetchError("broken", code="broken", retryable=True)
        release = world.publish(make_release(1))
        async with world.running():
            world.blobs.failures = [broken, broken]
            world.desire(release.desired("d-a", probation=QUICK))
            await ended(world, "d-a", S.COMMITTED)
            assert world.states("d-a").count(S.RETRY_WAIT) == 2
            world.blobs.failures = [broken, broken]
            second = world.publish(make_release(2)).desired("d-b", download=DownloadPolicy(max_attempts=2))
            world.desire(second)
            await ended(world, "d-b", S.FAILED)

    play(story(World(tmp_path)))


def test_a_blob_with_a_wrong_hash_is_refused_and_reported(tmp_path: Path) -> None:
    """Integrity: failed at once, one report for the audit log, what runs keeps running."""

    async def story(world: World) -> None:
        async with world.running():
            await deploy_first(world)
            world.blobs.failures = [RefusedError("wrong bytes", refused="blob", code="blob-hash")]
            world.desire(world.publish(make_release(2)).desired())
            await ended(world, "d-2", S.FAILED)
        error = world.events()[-1].error
        assert error is not None
        assert (error.kind, error.code) == (ErrorClass.INTEGRITY, "blob-hash")
        assert [(report.refused, report.deployment_id) for report in world.security_reports()] == [("blob", "d-2")]
        assert world.served == [1]

    play(story(World(tmp_path)))


def test_a_release_that_nobody_signed_is_rejected_and_reported(tmp_path: Path) -> None:
    """A director that names an unknown release cannot make a device run it."""

    async def story(world: World) -> None:
        async with world.running():
            world.desire(make_release(1).desired())
            await ended(world, "d-1", S.REJECTED)
        assert [report.code for report in world.security_reports()] == ["not-signed"]

    play(story(World(tmp_path)))


def test_a_release_that_differs_from_the_one_named_is_rejected(tmp_path: Path) -> None:
    """Director and repository must agree on every byte."""

    async def story(world: World) -> None:
        release = world.publish(make_release(1))
        async with world.running():
            world.desire(release.desired(release_sha256="0" * 64))
            await ended(world, "d-1", S.REJECTED)
        assert [report.code for report in world.security_reports()] == ["release-mismatch"]

    play(story(World(tmp_path)))


def test_a_tampered_desired_document_is_refused_once(tmp_path: Path) -> None:
    """It changes nothing, however often it is delivered, and is one line in the audit log."""

    async def story(world: World) -> None:
        async with world.running():
            await deploy_first(world)
            genuine = world.desire(world.publish(make_release(2)).desired(min_version=9))
            await ended(world, "d-2", S.REJECTED)
            forged = tampered(genuine, b'"rev":2', b'"rev":7')
            topic = "ef/1/main/d/pi/desired"
            for _ in range(3):
                world.link.deliver(topic, forged)
            await until(lambda: len(world.security_reports()) == 1)
            await asyncio.sleep(0.05)
        reports = world.security_reports()
        assert [(report.refused, report.code) for report in reports] == [("desired", "signature")]
        assert world.reported().desired_rev == 2

    play(story(World(tmp_path)))


def test_expired_metadata_block_a_new_release_and_never_inference(tmp_path: Path) -> None:
    """The deployment fails with the code; the old release serves on."""

    async def story(world: World) -> None:
        async with world.running():
            await deploy_first(world)
            world.trust.failure = RefusedError("expired", refused="metadata", code="metadata-expired")
            second = world.publish(make_release(2)).desired(download=DownloadPolicy(max_attempts=2))
            world.desire(second)
            await ended(world, "d-2", S.FAILED)
            assert world.hosts[0].version == 1
        error = world.events()[-1].error
        assert error is not None
        assert error.code == "metadata-expired"
        assert [report.code for report in world.security_reports()] == ["metadata-expired"]

    play(story(World(tmp_path)))


def test_a_revoked_director_cannot_activate(tmp_path: Path) -> None:
    """The key was fine when the document came and is gone when it is verified: rejected."""

    async def story(world: World) -> None:
        async with world.running():
            await deploy_first(world)
            world.trust.directors.clear()
            world.desire(world.publish(make_release(2)).desired())
            await ended(world, "d-2", S.REJECTED)
        assert world.served == [1]

    play(story(World(tmp_path)))


def test_commit_waits_for_the_server(tmp_path: Path) -> None:
    """A device that its new release cut off must not keep it; back in time, it commits."""

    async def story(world: World) -> None:
        topic = server_status_topic("main")
        async with world.running():
            world.link.deliver(topic, encode(ServerStatus(session_id="s", online=False)), retain=True)
            world.desire(world.publish(make_release(1)).desired(probation=QUICK))
            await until(lambda: S.PROBATION in world.states("d-1"))
            await asyncio.sleep(0.1)
            assert S.COMMITTED not in world.states("d-1")
            world.link.deliver(topic, encode(ServerStatus(session_id="t", online=True)), retain=True)
            await ended(world, "d-1", S.COMMITTED)

    play(story(World(tmp_path)))


def test_a_release_that_is_not_proven_in_time_is_rolled_back(tmp_path: Path) -> None:
    """No inference at all is no proof."""

    async def story(world: World) -> None:
        world.counts[1] = HostCounts()
        async with world.running():
            policy = ProbationPolicy(min_duration_s=0.0, max_duration_s=0.05, min_inferences=1)
            world.desire(world.publish(make_release(1)).desired(probation=policy))
            await ended(world, "d-1", S.ROLLED_BACK)
        error = world.events()[-1].error
        assert error is not None
        assert error.code == "not-proven"

    play(story(World(tmp_path)))


def test_a_newer_document_supersedes_a_download(tmp_path: Path) -> None:
    """The old transfer stops, the new release is installed."""

    async def story(world: World) -> None:
        world.blobs.hold = asyncio.Event()
        async with world.running():
            world.desire(world.publish(make_release(1)).desired())
            await until(lambda: S.DOWNLOADING in world.states("d-1"))
            world.desire(world.publish(make_release(2)).desired(probation=QUICK))
            await until(lambda: S.SUPERSEDED in world.states("d-1"))
            world.blobs.hold.set()
            await ended(world, "d-2", S.COMMITTED)
        assert world.served == [2]

    play(story(World(tmp_path)))


def test_the_same_document_after_every_reconnect_deploys_once(tmp_path: Path) -> None:
    """Broker sessions may be lost at any moment: retained messages come again and change nothing."""

    async def story(world: World) -> None:
        async with world.running():
            await deploy_first(world)
            for _ in range(3):
                world.link.online.clear()
                await until(lambda: not world.link.connected)
                world.link.online.set()
                await until(lambda: world.link.connected)
        assert world.states("d-1") == FULL
        assert world.served == [1]

    play(story(World(tmp_path)))


def test_events_wait_for_the_broker(tmp_path: Path) -> None:
    """What happens while the broker is away reaches it afterwards, each event once and in order."""

    async def story(world: World) -> None:
        world.counts[1] = HostCounts()
        async with world.running() as agent:
            world.desire(world.publish(make_release(1)).desired(probation=QUICK))
            await until(lambda: S.PROBATION in world.states("d-1"))
            world.link.online.clear()
            await until(lambda: not world.link.connected)
            world.counts[1] = HostCounts(requests=0, crashes=3)
            await until(lambda: agent.runners["main"].record.state is S.ROLLED_BACK)
            assert S.ROLLING_BACK not in world.states("d-1")
            world.link.online.set()
            await ended(world, "d-1", S.ROLLED_BACK)
        assert [event.seq for event in world.events()] == list(range(1, 10))

    play(story(World(tmp_path)))


def test_windows_go_home_in_batches_and_only_once(tmp_path: Path) -> None:
    """Numbered by the device, deleted after the acknowledgement."""

    async def story(world: World) -> None:
        async with world.running() as agent:
            await deploy_first(world)
            world.hosts[0].on_windows(np.zeros(3, window_dtype(9, 2)))
            await until(lambda: any(topic is DeviceTopic.TELEMETRY for topic, _ in world.link.published))
            await until(lambda: agent.runners["main"] is not None and agent_spool_is_empty(agent))
        (batch,) = [data for topic, data in world.link.published if topic is DeviceTopic.TELEMETRY]
        assert decode_batch(batch)["seq"].tolist() == [1, 2, 3]

    play(story(World(tmp_path)))


def agent_spool_is_empty(agent: Agent) -> bool:
    """Whether no window waits."""
    return agent._around.store.spool.next_batch() is None


def test_a_restart_serves_the_last_committed_release_without_network(tmp_path: Path) -> None:
    """No broker, no server, no trust: what was committed serves, for ever."""

    async def story(world: World) -> None:
        async with world.running():
            await deploy_first(world)
        world.link.online.clear()
        world.server.up = False
        world.trust.failure = RefusedError("expired", refused="metadata", code="metadata-expired")
        async with world.running():
            await until(lambda: world.served == [1, 1])
        assert not world.link.connected

    play(story(World(tmp_path)))


def test_a_damaged_active_release_gives_way_to_the_previous_one(tmp_path: Path) -> None:
    """A rotten card: at the start the older release serves, and the server learns why."""

    async def story(world: World) -> None:
        async with world.running():
            await deploy_first(world)
            second = world.publish(make_release(2))
            world.desire(second.desired(probation=QUICK))
            await ended(world, "d-2", S.COMMITTED)
        (world.files.blobs / second.manifest.variants[0].blob.sha256).write_bytes(b"rot")
        async with world.running():
            await until(lambda: world.served == [1, 2, 1])
            await until(lambda: world.reported().slots[0].error is not None)
        report = world.reported().slots[0]
        assert report.active is not None
        assert report.active.version == 1

    play(story(World(tmp_path)))


def test_a_damaged_only_release_can_be_installed_again(tmp_path: Path) -> None:
    """With nothing to fall back to nothing serves, the server sees so, and deploying it again mends it."""

    async def story(world: World) -> None:
        release = make_release(1)
        async with world.running():
            await deploy_first(world)
        (world.files.blobs / release.manifest.variants[0].blob.sha256).write_bytes(b"rot")
        async with world.running():
            await until(lambda: world.reported().slots[0].error is not None)
            assert world.reported().slots[0].active is None
            world.desire(release.desired("d-again", probation=QUICK))
            await ended(world, "d-again", S.COMMITTED)
        assert world.served == [1, 1]

    play(story(World(tmp_path)))


def test_the_clock_does_not_fall_behind_the_last_signed_time(tmp_path: Path) -> None:
    """A board that wakes up in the past still refuses a document that expired by signed time."""

    async def story(world: World) -> None:
        async with world.running() as agent:
            await deploy_first(world)
            present = world.system_now()
            world.system_now = lambda: present - timedelta(days=9)
            world.desire(expires_at=present - timedelta(days=1), issued_at=present - timedelta(days=2))
            assert agent is not None
            await asyncio.sleep(0.1)
            await until(lambda: [report.code for report in world.security_reports()] == ["expired"])

    play(story(World(tmp_path)))


def test_device_profile_and_state_greet_the_broker(tmp_path: Path) -> None:
    """Every connect tells what the device is and what it runs."""

    async def story(world: World) -> None:
        async with world.running():
            await until(lambda: any(topic is DeviceTopic.REPORTED for topic, _ in world.link.published))
        topics = [topic for topic, _ in world.link.published]
        assert topics[:2] == [DeviceTopic.PROFILE, DeviceTopic.REPORTED]
        assert decode(world.link.published[0][1], DeviceProfile).device_id == "pi"

    play(story(World(tmp_path)))
