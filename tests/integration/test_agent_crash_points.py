"""The power is cut at every single write of a deployment: after a restart the agent converges all the same."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from device_agent.agent import Agent
from fleet_contract.deployment import DeploymentState
from tests.fakes.agent_releases import make_release
from tests.fakes.agent_world import QUICK, World, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from device_agent.store import Store

S = DeploymentState


class PowerCut(BaseException):
    """Nothing runs any more."""


def cut_power(store: Store, after_writes: int, *, committed: bool) -> asyncio.Event:
    """Lets so many transactions pass, then cuts: before the commit reaches the disk, or right after it."""
    from contextlib import contextmanager

    genuine, dead, writes = store.transaction, asyncio.Event(), iter(range(after_writes))

    @contextmanager
    def transaction() -> Iterator[None]:
        if dead.is_set():
            raise PowerCut
        if next(writes, None) is not None:
            with genuine():
                yield
            return
        dead.set()
        if committed:
            with genuine():
                yield
        raise PowerCut

    replaced: AbstractContextManager[None] | object = transaction
    store.transaction = replaced  # type: ignore[method-assign, assignment]  # the cut is the point of the test
    return dead


async def run_until_cut(world: World, after_writes: int, *, committed: bool) -> None:
    """Runs an agent whose power is cut; whoever runs this loop throws away what is left of it."""
    around = world.surroundings()
    dead = cut_power(around.store, after_writes, committed=committed)
    work = asyncio.ensure_future(Agent(around).run(asyncio.Event()))
    await until(lambda: dead.is_set() or S.COMMITTED in world.states("d-2"))
    assert dead.is_set(), "the deployment was over before the cut"
    await asyncio.sleep(0.01)
    around.store.close()
    work.add_done_callback(lambda task: task.cancelled() or task.exception())


async def commit_first(world: World) -> None:
    """Version 1, committed; version 2 desired next."""
    async with world.running():
        world.desire(world.publish(make_release(1)).desired(probation=QUICK))
        await until(lambda: S.COMMITTED in world.states("d-1"))
    world.desire(world.publish(make_release(2)).desired(probation=QUICK))


async def converge(world: World) -> None:
    """A new start brings version 2 to its commit, and no event was lost."""
    async with world.running() as agent:
        await until(lambda: S.COMMITTED in world.states("d-2"))
        active = agent.runners["main"].record.active
        assert active is not None
        assert active.version == world.served[-1] == 2
    seqs = {event.seq for event in world.events()}
    assert seqs == set(range(1, max(seqs) + 1)), "an event was lost"


@pytest.mark.parametrize("committed", [False, True], ids=["before the write", "after the write"])
@pytest.mark.parametrize("after_writes", range(1, 14))
def test_a_cut_at_any_write_converges(tmp_path: Path, after_writes: int, *, committed: bool) -> None:
    """Version 1 is committed; during the update to version 2 the power goes; then version 2 is committed."""
    world = World(tmp_path)
    asyncio.run(commit_first(world))
    world.reconnect()
    with suppress(PowerCut):
        asyncio.run(run_until_cut(world, after_writes, committed=committed))
    world.reconnect()
    asyncio.run(converge(world))
