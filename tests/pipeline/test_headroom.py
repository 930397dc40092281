"""The oplog is looked at twice a minute; what is told of it is told once, or now and then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from tests.builders import NOON, a_checkpoint
from watcher.core.changes import Checkpoint
from watcher.core.facts import OplogMeasured, OplogScarce, OplogUnknown
from watcher.core.headroom import Reach
from watcher.errors import SourceUnavailable
from watcher.pipeline.headroom import ASK_AGAIN, EVERY, SAY_AGAIN, SOON, Headroom
from watcher.testing import Facts, FakeClock, MemoryOutbox

HOUR = timedelta(hours=1)


class ScriptedOplog:
    """An `Oplog` that is as it was told to be."""

    def __init__(self) -> None:
        self.now: Reach | None = Reach(first=NOON, last=NOON + 4 * HOUR, position=NOON + 4 * HOUR)
        self.refuse: Exception | None = None
        self.looks = 0
        self.looked = asyncio.Event()

    async def reach(self, position: Checkpoint) -> Reach | None:
        self.looks += 1
        self.looked.set()
        if self.refuse is not None:
            raise self.refuse
        return self.now

    def cut(self, span: timedelta) -> None:
        assert self.now
        self.now = replace(self.now, first=self.now.first + span, last=self.now.last + span)

    def read_on(self, span: timedelta) -> None:
        assert self.now
        self.now = replace(self.now, position=self.now.position + span)


class Stage:
    def __init__(self) -> None:
        self.oplog = ScriptedOplog()
        self.clock = FakeClock(NOON)
        self.facts = Facts()
        self.outbox = MemoryOutbox()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        headroom = Headroom(self.oplog, self.outbox, clock=self.clock, observe=self.facts)
        task = asyncio.create_task(headroom.watch())
        try:
            await self.look()
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def look(self, after: timedelta = timedelta(0)) -> None:
        """Let time pass, and the look that is due then be over."""
        self.oplog.looked.clear()
        self.clock.advance(after)
        async with asyncio.timeout(5):
            await self.oplog.looked.wait()
        await asyncio.sleep(0)

    async def store_a_position(self) -> None:
        await self.outbox.append([], checkpoint=a_checkpoint(), through=NOON)


async def a_stage() -> Stage:
    stage = Stage()
    await stage.store_a_position()
    return stage


async def test_it_is_measured_twice_a_minute_with_the_time_that_is_left():
    stage = await a_stage()

    async with stage.watching():
        stage.oplog.cut(timedelta(minutes=1))
        await stage.look(EVERY)

    first, second = stage.facts.of(OplogMeasured)
    assert (first.window, first.headroom, first.left, first.scarce) == (4 * HOUR, 4 * HOUR, None, False)
    assert (second.headroom, second.left) == (4 * HOUR - timedelta(minutes=1), 239 * EVERY)
    assert stage.facts.of(OplogScarce) == []


async def test_little_is_told_when_it_comes_to_that_and_every_ten_minutes():
    stage = await a_stage()

    async with stage.watching():
        stage.oplog.cut(3.5 * HOUR)
        await stage.look(EVERY)
        assert [fact.headroom for fact in stage.facts.of(OplogScarce)] == [0.5 * HOUR]
        for _ in range(SAY_AGAIN // EVERY - 1):
            await stage.look(EVERY)
        assert len(stage.facts.of(OplogScarce)) == 1
        await stage.look(EVERY)

    assert len(stage.facts.of(OplogScarce)) == 2
    assert all(fact.scarce for fact in stage.facts.of(OplogMeasured)[1:])


async def test_it_is_over_when_the_position_has_moved_on():
    stage = await a_stage()

    async with stage.watching():
        stage.oplog.cut(3.5 * HOUR)
        await stage.look(EVERY)
        stage.oplog.read_on(3.5 * HOUR)
        await stage.look(EVERY)

    assert [fact.scarce for fact in stage.facts.of(OplogMeasured)] == [False, True, False]


async def test_once_the_position_stands_the_pace_is_that_of_the_pause():
    stage = await a_stage()

    async with stage.watching():
        for _ in range(5):  # read as fast as it is cut
            stage.oplog.cut(EVERY)
            stage.oplog.read_on(EVERY)
            await stage.look(EVERY)
        assert stage.facts.of(OplogMeasured)[-1].left is None
        for _ in range(2):
            stage.oplog.cut(EVERY)
            await stage.look(EVERY)

    measured = stage.facts.of(OplogMeasured)[-1]
    assert measured.left == measured.headroom


async def test_what_may_not_be_read_is_told_once_and_asked_for_seldom():
    stage = await a_stage()
    known, stage.oplog.now = stage.oplog.now, None

    async with stage.watching():
        stage.clock.advance(ASK_AGAIN - EVERY)
        await asyncio.sleep(0)
        assert stage.oplog.looks == 1
        await stage.look(EVERY)
        stage.oplog.now = known
        await stage.look(ASK_AGAIN)

    assert len(stage.facts.of(OplogUnknown)) == 1
    assert len(stage.facts.of(OplogMeasured)) == 1


async def test_an_outage_costs_a_look_and_no_more():
    stage = await a_stage()

    async with stage.watching():
        stage.oplog.refuse = SourceUnavailable("election")
        await stage.look(EVERY)
        stage.oplog.refuse = None
        await stage.look(EVERY)

    assert len(stage.facts.of(OplogMeasured)) == 2
    assert stage.facts.of(OplogUnknown) == []


async def test_at_a_first_start_it_is_looked_at_as_soon_as_there_is_a_position():
    stage = Stage()
    task = asyncio.create_task(
        Headroom(stage.oplog, stage.outbox, clock=stage.clock, observe=stage.facts).watch()
    )
    await asyncio.sleep(0)
    assert stage.oplog.looks == 0

    await stage.store_a_position()
    await stage.look(SOON)
    task.cancel()

    assert len(stage.facts.of(OplogMeasured)) == 1
