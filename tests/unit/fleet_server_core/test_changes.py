"""In-process news: bounded, thread-safe, and over when the server stops."""

from __future__ import annotations

import asyncio
import threading

from fleet_server.changes import Change, Changes


def test_a_subscriber_gets_what_another_thread_publishes() -> None:
    """News cross threads in order."""

    async def scenario() -> list[Change]:
        changes = Changes()
        async with changes.subscribe() as news:

            def publish() -> None:
                for number in range(3):
                    changes.publish("device", str(number))

            thread = threading.Thread(target=publish)
            thread.start()
            thread.join()
            return await news.take(5.0)

    assert asyncio.run(scenario()) == [Change("device", str(n)) for n in range(3)]


def test_a_slow_subscriber_loses_the_oldest_and_is_told_how_many() -> None:
    """The queue is bounded and says what it dropped."""

    async def scenario() -> tuple[int, list[Change]]:
        changes = Changes()
        async with changes.subscribe(limit=2) as news:
            for number in range(5):
                changes.publish("device", str(number))
            return news.lost, await news.take(5.0)

    lost, taken = asyncio.run(scenario())
    assert lost == 3
    assert [change.id for change in taken] == ["3", "4"]


def test_taking_with_a_time_limit_gives_nothing_when_nothing_comes() -> None:
    """A reader can wait for a while only."""

    async def scenario() -> list[Change]:
        async with Changes().subscribe() as news:
            return await news.take(0.01)

    assert asyncio.run(scenario()) == []


def test_closing_ends_iteration_after_what_waits() -> None:
    """A stopping server lets its readers go, with what they had coming."""

    async def scenario() -> list[str]:
        changes = Changes()
        async with changes.subscribe() as news:
            changes.publish("device", "last")
            changes.close()
            return [change.id async for change in news]

    assert asyncio.run(scenario()) == ["last"]


def test_a_listener_hears_each_change_and_a_closed_loop_hurts_nobody() -> None:
    """Publishing never fails, whatever became of the readers."""
    changes, heard = Changes(), list[Change]()
    changes.listen(heard.append)
    loop = asyncio.new_event_loop()
    context = changes.subscribe()
    loop.run_until_complete(context.__aenter__())
    loop.close()
    changes.publish("device", "a")
    assert heard == [Change("device", "a")]
