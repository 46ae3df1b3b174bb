"""Commands, over a world in memory."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from device_agent.host.counts import HostCounts
from fleet_contract.api import SampleUpload
from fleet_contract.deployment import DeploymentState
from fleet_contract.messages import Command, CommandName
from tests.fakes.agent_releases import make_release
from tests.fakes.agent_world import QUICK, World, tampered, until
from tests.fakes.contract_documents import NOON

if TYPE_CHECKING:
    from pathlib import Path

S = DeploymentState
SAMPLE = SampleUpload(
    captured_at=NOON,
    model="eye",
    version=1,
    predicted="yes",
    confidence=0.5,
    chosen="margin",
    dtype="uint8",
    shape=(2,),
    data="AAA=",
)


def command(world: World, name: CommandName, command_id: str = "c", **fields: object) -> Command:
    """A command to this device that holds for a minute."""
    now = world.system_now()
    base = {
        "id": command_id,
        "device_id": "pi",
        "name": name,
        "issued_at": now,
        "expires_at": now + timedelta(minutes=1),
    }
    return Command(**{**base, **fields})  # type: ignore[arg-type]  # a factory for tests


async def committed(world: World, **changes: object) -> None:
    """Version 1, committed, with a desired document that has `changes`."""
    world.desire(world.publish(make_release(1)).desired(probation=QUICK), **changes)
    await until(lambda: S.COMMITTED in world.states("d-1"))


async def answer(world: World, command_id: str = "c") -> tuple[bool, str]:
    """Acceptance and code of the answer."""
    await until(lambda: any(result.id == command_id for result in world.results()))
    result = next(result for result in world.results() if result.id == command_id)
    return result.accepted, result.code


def test_refresh_fetches_fresh_trust(tmp_path: Path) -> None:
    """It answers after the metadata were fetched."""

    async def story(world: World) -> None:
        async with world.running():
            await committed(world)
            before = world.trust.refreshes
            world.send(command(world, CommandName.REFRESH))
            assert await answer(world) == (True, "")
            assert world.trust.refreshes == before + 1

    asyncio.run(story(World(tmp_path)))


def test_a_command_is_carried_out_once(tmp_path: Path) -> None:
    """The same message again, and after a restart, is not answered again."""

    async def story(world: World) -> None:
        async with world.running():
            await committed(world)
            data = world.send(command(world, CommandName.REFRESH))
            await answer(world)
            world.link.deliver("ef/1/main/d/pi/cmd", data)
            await asyncio.sleep(0.05)
        async with world.running():
            world.link.deliver("ef/1/main/d/pi/cmd", data)
            await asyncio.sleep(0.1)
        assert len(world.results()) == 1

    asyncio.run(story(World(tmp_path)))


def test_a_tampered_command_is_refused_and_reported(tmp_path: Path) -> None:
    """Nothing happens, and the audit log learns of it."""

    async def story(world: World) -> None:
        async with world.running():
            await committed(world)
            data = world.send(command(world, CommandName.REFRESH))
            await answer(world)
            world.link.deliver("ef/1/main/d/pi/cmd", tampered(data, b'"id":"c"', b'"id":"x"'))
            await until(lambda: [report.refused for report in world.security_reports()] == ["command"])
        assert len(world.results()) == 1

    asyncio.run(story(World(tmp_path)))


def test_cancel_ends_a_download(tmp_path: Path) -> None:
    """Canceled, with the command's id in the reason."""

    async def story(world: World) -> None:
        world.blobs.hold = asyncio.Event()
        async with world.running():
            world.desire(world.publish(make_release(1)).desired())
            await until(lambda: S.DOWNLOADING in world.states("d-1"))
            world.send(command(world, CommandName.CANCEL, deployment_id="d-1"))
            assert await answer(world) == (True, "")
            await until(lambda: S.CANCELED in world.states("d-1"))

    asyncio.run(story(World(tmp_path)))


@pytest.mark.parametrize("name", [CommandName.CANCEL, CommandName.ROLL_BACK])
def test_in_probation_both_roll_back(tmp_path: Path, name: CommandName) -> None:
    """What ran before serves again."""

    async def story(world: World) -> None:
        world.counts[2] = HostCounts()
        async with world.running():
            await committed(world)
            world.desire(world.publish(make_release(2)).desired())
            await until(lambda: S.PROBATION in world.states("d-2"))
            world.send(command(world, name, deployment_id="d-2"))
            assert await answer(world) == (True, "")
            await until(lambda: S.ROLLED_BACK in world.states("d-2"))
        assert world.served == [1, 2, 1]

    asyncio.run(story(World(tmp_path)))


@pytest.mark.parametrize("name", [CommandName.CANCEL, CommandName.ROLL_BACK])
def test_after_the_commit_it_is_too_late(tmp_path: Path, name: CommandName) -> None:
    """A committed release goes only by a newer desired document."""

    async def story(world: World) -> None:
        async with world.running():
            await committed(world)
            world.send(command(world, name, "late"))
            world.send(command(world, name, "other", deployment_id="d-9"))
            world.send(command(world, name, "nowhere", slot="attic"))
            assert await answer(world, "late") == (False, "too-late")
            assert await answer(world, "other") == (False, "no-deployment")
            assert await answer(world, "nowhere") == (False, "no-slot")

    asyncio.run(story(World(tmp_path)))


def collect(world: World, command_id: str = "c", **fields: object) -> Command:
    """A collection of up to 10 samples in 10 kB."""
    base: dict[str, object] = {"max_samples": 10, "max_bytes": 10_000, "duration_s": 0.0, "request_id": "r-1"}
    return command(world, CommandName.COLLECT, command_id, **{**base, **fields})


def test_samples_leave_the_device_only_when_the_signed_document_allows_it(tmp_path: Path) -> None:
    """Privacy: off by default; allowed by a newer desired document, they are uploaded for the request."""

    async def story(world: World) -> None:
        world.samples.append(SAMPLE)
        async with world.running():
            await committed(world)
            world.send(collect(world, "early"))
            assert await answer(world, "early") == (False, "not-allowed")
            world.desire(sampling_allowed=True)
            await until(lambda: world.reported().desired_rev == 2)
            world.send(collect(world, "c"))
            assert await answer(world) == (True, "")
        assert [(batch.request_id, batch.samples) for batch in world.server.batches] == [("r-1", (SAMPLE,))]

    asyncio.run(story(World(tmp_path)))


def test_a_collection_keeps_its_byte_budget(tmp_path: Path) -> None:
    """However much the host gives, no more than max_bytes leave; none at all without a budget."""

    async def story(world: World) -> None:
        world.samples.extend([SAMPLE] * 10)
        async with world.running():
            await committed(world, sampling_allowed=True)
            world.send(collect(world, "none", max_bytes=0))
            assert await answer(world, "none") == (False, "no-budget")
            world.send(collect(world, "few", max_bytes=500))
            assert await answer(world, "few") == (True, "")
        assert 0 < sum(len(batch.samples) for batch in world.server.batches) < 10

    asyncio.run(story(World(tmp_path)))


def test_an_upload_that_fails_is_answered_with_the_reason(tmp_path: Path) -> None:
    """The server is away: not accepted, unreachable."""

    async def story(world: World) -> None:
        world.samples.append(SAMPLE)
        world.server.up = False
        async with world.running():
            await committed(world, sampling_allowed=True)
            world.send(collect(world))
            assert await answer(world) == (False, "unreachable")

    asyncio.run(story(World(tmp_path)))
