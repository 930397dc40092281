"""The store fills up to its limit and no further; nothing is read meanwhile, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from tests.builders import DELIVERED, NOON, a_checkpoint, a_delivery, a_settlement
from watcher.core.changes import Checkpoint
from watcher.core.facts import CapturePaused, CaptureResumed, Swept
from watcher.core.verdicts import Dead
from watcher.errors import OutboxError
from watcher.pipeline import room as room_module
from watcher.pipeline.room import LOOK, LOOK_CHANGES, LOOK_PAUSED, SAY_AGAIN, BoundedSource, Store
from watcher.ports import Batch
from watcher.testing import Facts, FakeClock, MemoryOutbox, ScriptedSource

LIMIT = 1_000_000


class Stage:
    def __init__(self, *, settled_at=NOON) -> None:
        self.outbox = MemoryOutbox()
        self.clock = FakeClock(NOON + timedelta(hours=1))
        self.facts = Facts()
        self.store = Store(self.outbox, limit_bytes=LIMIT, clock=self.clock, observe=self.facts)

    async def put(self, count: int, *, size: int = LIMIT // 100) -> None:
        await self.outbox.append(
            [a_delivery(body=b"x" * size) for _ in range(count)], checkpoint=a_checkpoint(), through=NOON
        )

    async def settle(self, count: int, verdict=DELIVERED) -> None:
        rows = await self.outbox.pending("crm", after=0, limit=count, max_bytes=10**9)
        await self.outbox.settle([a_settlement(row, verdict) for row in rows])

    async def pass_time(self, span: timedelta) -> None:
        self.clock.advance(span)
        for _ in range(5):
            await asyncio.sleep(0)

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.store.until_room())
        try:
            await self.pass_time(timedelta(0))
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_while_there_is_room_nobody_waits_and_nothing_goes():
    stage = Stage()
    await stage.put(90)
    await stage.settle(90)

    async with stage.waiting() as task:
        assert task.done()

    assert stage.facts.seen == []
    assert await stage.outbox.used_bytes() == 90 * LIMIT // 100


async def test_when_it_gets_tight_what_is_delivered_goes_before_its_retention_a_little_at_a_time(monkeypatch):
    monkeypatch.setattr(room_module, "CHUNK", 2)
    stage = Stage()
    await stage.put(99)
    await stage.settle(50)

    async with stage.waiting() as task:
        assert task.done()

    assert stage.facts.seen == [Swept(deliveries=2, early=True)]
    assert await stage.outbox.used_bytes() == 97 * LIMIT // 100


async def test_what_waits_holds_capture_up_until_enough_of_it_has_gone():
    stage = Stage()
    await stage.put(100)

    async with stage.waiting() as task:
        assert stage.facts.seen == [CapturePaused(used_bytes=LIMIT, limit_bytes=LIMIT, waiting=100, dead=0)]
        await stage.settle(4)
        await stage.pass_time(LOOK_PAUSED)
        assert not task.done()
        await stage.settle(1)
        await stage.pass_time(LOOK_PAUSED)
        assert task.done()

    assert stage.facts.of(Swept) == [Swept(deliveries=4, early=True), Swept(deliveries=1, early=True)]
    assert stage.facts.of(CaptureResumed) == [CaptureResumed(after=2 * LOOK_PAUSED)]
    assert await stage.outbox.used_bytes() == 95 * LIMIT // 100


async def test_a_pause_that_is_over_is_over():
    stage = Stage()
    await stage.put(100)
    async with stage.waiting() as task:
        await stage.settle(5)
        await stage.pass_time(LOOK_PAUSED)
        assert task.done()

    await stage.put(3)
    await stage.pass_time(LOOK)
    async with stage.waiting() as task:
        assert task.done()

    assert len(stage.facts.of(CaptureResumed)) == 1


async def test_what_is_dead_is_kept_for_its_retention_and_fills_it_too():
    stage = Stage()
    await stage.put(100)
    await stage.settle(60, Dead(reason="status 500"))

    async with stage.waiting() as task:
        await stage.pass_time(LOOK_PAUSED)
        assert not task.done()

    assert stage.facts.of(CapturePaused) == [
        CapturePaused(used_bytes=LIMIT, limit_bytes=LIMIT, waiting=40, dead=60)
    ]
    assert stage.facts.of(Swept) == []


async def test_a_pause_is_told_again_every_ten_minutes():
    stage = Stage()
    await stage.put(100)

    async with stage.waiting():
        for _ in range(SAY_AGAIN // LOOK_PAUSED - 1):
            await stage.pass_time(LOOK_PAUSED)
        assert len(stage.facts.of(CapturePaused)) == 1
        await stage.pass_time(LOOK_PAUSED)

    assert len(stage.facts.of(CapturePaused)) == 2


async def test_the_size_is_looked_at_now_and_then_only():
    stage = Stage()
    await stage.store.until_room()
    await stage.put(100)

    await stage.store.until_room()
    assert stage.facts.seen == []
    await stage.pass_time(LOOK)

    async with stage.waiting() as task:
        assert not task.done()


async def test_the_size_is_looked_at_sooner_where_much_is_read():
    stage = Stage()
    await stage.store.until_room()
    await stage.put(100)

    await stage.store.until_room(read=LOOK_CHANGES - 1)
    assert stage.facts.seen == []
    waiting = asyncio.create_task(stage.store.until_room(read=1))
    await stage.pass_time(timedelta(0))
    assert stage.facts.of(CapturePaused)
    waiting.cancel()


async def test_a_pause_goes_on_where_a_failing_store_broke_it():
    stage = Stage()
    await stage.put(100)
    async with stage.waiting() as task:
        stage.outbox.refuse = OutboxError("disk full")
        await stage.pass_time(LOOK_PAUSED)
        with pytest.raises(OutboxError, match="disk full"):
            await task

    await stage.settle(4)  # not enough to end a pause, though below the limit
    async with stage.waiting() as task:
        assert not task.done()
        assert len(stage.facts.of(CapturePaused)) == 1
        await stage.settle(1)
        await stage.pass_time(LOOK_PAUSED)
        assert task.done()


async def test_a_bounded_source_gives_no_batch_while_the_store_is_full():
    stage = Stage()
    batches = [Batch(changes=(), checkpoint=Checkpoint(token=f"82{n}", at=None), through=NOON) for n in "ABC"]
    source = BoundedSource(ScriptedSource(batches), stage.store)
    read: list[str] = []

    async def reading() -> None:
        async with source.open(Checkpoint(token="82A", at=None)) as stream:
            async for batch in stream:
                read.append(batch.checkpoint.token)
                if batch.checkpoint.token == "82B":
                    await stage.put(100)

    task = asyncio.create_task(reading())
    await stage.pass_time(timedelta(0))
    assert read == ["82B"]
    await stage.pass_time(10 * LOOK_PAUSED)
    assert read == ["82B"]
    await stage.settle(10)
    await stage.pass_time(LOOK_PAUSED)
    task.cancel()

    assert read == ["82B", "82C"]
