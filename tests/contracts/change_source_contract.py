"""What every ChangeSource keeps, real or double. A subclass gives the fixture `world`: a source, and the hand
that writes what it reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Protocol

from watcher.core.changes import Change, Checkpoint
from watcher.ports import Batch, ChangeSource

PATIENCE_SECONDS = 10.0


class World(Protocol):
    @property
    def source(self) -> ChangeSource: ...

    async def insert(self, row: Mapping[str, Any]) -> None:
        """Commit a row to a watched collection."""


async def changes_of(batches: AsyncIterator[Batch], count: int) -> list[Change]:
    """The next `count` changes, and what came in the same batches."""
    found: list[Change] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < count:
            found.extend((await anext(batches)).changes)
    return found


async def stream_time(batches: AsyncIterator[Batch], *, past: datetime) -> Batch:
    """The first batch whose stream time is past a moment."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            batch = await anext(batches)
            if batch.through > past:
                return batch


def ids(changes: list[Change]) -> list[str]:
    return [change.document_id for change in changes]


class ChangeSourceContract:
    async def test_a_first_start_has_a_position_before_anything_happens(self, world: World) -> None:
        async with world.source.open(None) as batches:
            async with asyncio.timeout(PATIENCE_SECONDS):
                first = await anext(batches)
            await world.insert({"_id": "a"})

        assert first.changes == ()
        async with world.source.open(first.checkpoint) as batches:
            assert ids(await changes_of(batches, 1)) == ["a"]

    async def test_changes_come_once_in_the_order_of_their_commits(self, world: World) -> None:
        names = [f"row{number}" for number in range(30)]

        async with world.source.open(None) as batches:
            for name in names:
                await world.insert({"_id": name})
            changes = await changes_of(batches, 30)

        assert ids(changes) == names
        assert [change.at for change in changes] == sorted(change.at for change in changes)

    async def test_each_checkpoint_goes_on_with_what_came_after_it(self, world: World) -> None:
        seen: list[tuple[Checkpoint, int]] = []
        async with world.source.open(None) as batches:
            count = 0
            for number in range(3):
                await world.insert({"_id": f"row{number}"})
                while count <= number:
                    batch = await anext(batches)
                    count += len(batch.changes)
                    seen.append((batch.checkpoint, count))

        for checkpoint, count in seen:
            async with world.source.open(checkpoint) as batches:
                await world.insert({"_id": f"after-{checkpoint.token}"})
                assert ids(await changes_of(batches, 3 - count + 1))[: 3 - count] == [
                    f"row{number}" for number in range(count, 3)
                ]

    async def test_a_change_read_again_has_the_same_id(self, world: World) -> None:
        async with world.source.open(None) as batches:
            start = (await anext(batches)).checkpoint
            await world.insert({"_id": "a"})
            await world.insert({"_id": "b"})
            first = await changes_of(batches, 2)

        async with world.source.open(start) as batches:
            again = await changes_of(batches, 2)

        assert [change.id for change in again] == [change.id for change in first]
        assert len({change.id for change in first}) == 2

    async def test_stream_time_passes_a_change_on_a_quiet_stream(self, world: World) -> None:
        async with world.source.open(None) as batches:
            await world.insert({"_id": "a"})
            (change,) = await changes_of(batches, 1)

            quiet = await stream_time(batches, past=change.at)

        assert quiet.changes == ()
        assert quiet.checkpoint.at is None

    async def test_a_change_comes_at_once_and_stream_time_soon_when_it_is_waited_for(
        self, world: World
    ) -> None:
        hurry = False
        async with world.source.open(None, hurried=lambda: hurry) as batches, asyncio.timeout(4.0):
            await anext(batches)
            reading = asyncio.create_task(changes_of(batches, 1))
            await asyncio.sleep(0)
            await world.insert({"_id": "a"})
            (change,) = await reading
            hurry = True

            await stream_time(batches, past=change.at)

    async def test_no_change_comes_from_before_the_stream_time(self, world: World) -> None:
        through: datetime | None = None
        async with world.source.open(None) as batches:
            writing = asyncio.create_task(_write_many(world, 60))
            seen = 0
            while seen < 60:
                batch = await anext(batches)
                seen += len(batch.changes)
                assert through is None or all(change.at >= through for change in batch.changes)
                assert through is None or batch.through >= through
                through = batch.through
            await writing

    async def test_leaving_a_stream_that_waits_takes_no_time(self, world: World) -> None:
        async with world.source.open(None) as batches:
            await anext(batches)
            waiting = asyncio.create_task(_drain(batches))
            await asyncio.sleep(0)

            async with asyncio.timeout(0.3):
                waiting.cancel()
                await asyncio.wait([waiting])


async def _write_many(world: World, count: int) -> None:
    for number in range(count):
        await world.insert({"_id": f"row{number}"})


async def _drain(batches: AsyncIterator[Batch]) -> None:
    async for _ in batches:
        pass
