"""Reading ahead: one batch, behind a large one; and nothing of it is seen by who works on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

import pytest

from tests.builders import NOON, a_change
from watcher.core.changes import Checkpoint
from watcher.errors import SourceUnavailable
from watcher.pipeline.ahead import LIGHT_BYTES, MANY, ahead
from watcher.ports import Batch


def a_batch(number: int, *, changes: int, weight: int = 0) -> Batch:
    return Batch(
        changes=(a_change(),) * changes,
        checkpoint=Checkpoint(token=f"82{number}", at=None),
        through=NOON,
        weight=weight,
    )


class Reading:
    """Batches, read one after the other; it breaks, or waits for ever, behind the last."""

    def __init__(self, *batches: Batch, breaks: Exception | None = None) -> None:
        self._batches = batches
        self._breaks = breaks
        self.asked = 0
        self.ended = False

    async def batches(self) -> AsyncIterator[Batch]:
        try:
            for batch in self._batches:
                self.asked += 1
                await asyncio.sleep(0)
                yield batch
            self.asked += 1
            if self._breaks is not None:
                raise self._breaks
            await asyncio.Event().wait()
        finally:
            self.ended = True


async def some_turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("changes", "weight", "asked"),
    [(MANY, LIGHT_BYTES, 2), (MANY - 1, 0, 1), (MANY, LIGHT_BYTES + 1, 1), (0, 0, 1)],
)
async def test_the_next_one_is_read_behind_a_light_batch_of_many(changes, weight, asked):
    first, second = a_batch(1, changes=changes, weight=weight), a_batch(2, changes=1)
    reading = Reading(first, second)

    async with aclosing(ahead(reading.batches())) as coming:
        assert await anext(coming) is first
        await some_turns()
        assert reading.asked == asked
        assert await anext(coming) is second
        await some_turns()
        assert reading.asked == 2, "a small one is worked on before more is asked for"


async def test_what_reading_meets_is_raised_behind_all_that_was_read():
    batches = [a_batch(number, changes=MANY) for number in range(3)]
    reading, got = Reading(*batches, breaks=SourceUnavailable("away")), []

    async with aclosing(ahead(reading.batches())) as coming:
        for _ in batches:
            got.append(await anext(coming))
            await some_turns()
        with pytest.raises(SourceUnavailable):
            await anext(coming)

    assert got == batches


async def test_a_stream_that_ends_ends_it():
    async def two() -> AsyncIterator[Batch]:
        yield a_batch(1, changes=MANY)
        yield a_batch(2, changes=1)

    assert [batch.checkpoint.token async for batch in ahead(two())] == ["821", "822"]


@pytest.mark.parametrize("breaks", [None, SourceUnavailable("away")])
async def test_who_stops_ends_the_reading_too(breaks):
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    reading = Reading(a_batch(1, changes=MANY), breaks=breaks)

    async with aclosing(ahead(reading.batches())) as coming:
        await anext(coming)
        await some_turns()
        assert reading.asked == 2

    assert reading.ended
    assert faults == []


async def test_who_is_told_to_end_ends_though_what_reads_has_swallowed_it():
    asked = 0

    async def swallowing() -> AsyncIterator[Batch]:
        nonlocal asked
        for number in range(50):
            asked += 1
            with suppress(asyncio.CancelledError):  # as the driver does on Python 3.11, now and then
                await asyncio.sleep(0.01)
            yield a_batch(number, changes=MANY)

    async def working() -> None:
        async with aclosing(ahead(swallowing())) as coming:
            async for _ in coming:
                pass

    task = asyncio.create_task(working())
    await asyncio.sleep(0.025)
    task.cancel()
    before = asked
    await asyncio.wait({task})

    assert task.cancelled()
    assert asked <= before + 1
