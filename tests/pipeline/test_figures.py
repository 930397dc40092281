"""The gathering of figures: nothing counts twice, a minute is lost at most, and memory is bounded."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from tests.builders import NOON, an_attempt
from watcher.core.events import EventType
from watcher.core.facts import Beat, Settled, StoreFailed
from watcher.core.figures import HOUR, Figure
from watcher.core.outcomes import NotSent
from watcher.core.verdicts import Dead, Delivered, Release, RetryAt
from watcher.errors import OutboxBroken, OutboxError
from watcher.pipeline import figures
from watcher.pipeline.figures import EVERY, Gathering
from watcher.testing import Facts, FakeClock, MemoryOutbox

DAY = timedelta(days=1)
FULL = OutboxError("the disk is full")


def attempted(verdict=None, **fields):
    return Settled(attempts=(an_attempt(verdict=verdict or Delivered(), **fields),))


def a_figure(**fields):
    return Figure(
        **{
            "endpoint": "crm",
            "event": EventType("message.created"),
            "hour": NOON,
            "delivered": 1,
            "failed": 0,
            "durations": {8: 1},
            **fields,
        }
    )


class Stage:
    def __init__(self):
        self.outbox, self.clock, self.facts = MemoryOutbox(), FakeClock(NOON), Facts()
        self.gathering = Gathering(self.outbox, clock=self.clock, observe=self.facts)
        self.ending = asyncio.Event()

    async def stored(self):
        return list(await self.outbox.figures(NOON - DAY, NOON + DAY))

    @asynccontextmanager
    async def kept(self):
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(self.gathering.keep(self.ending))
            await settled()
            yield
            self.ending.set()
            await keeping

    async def pass_a_minute(self):
        self.clock.advance(EVERY)
        await settled()


async def settled():
    """Whatever can go on without time passing has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def stage():
    return Stage()


async def test_attempts_are_added_up_and_stored_once_a_minute(stage):
    async with stage.kept():
        for verdict in (Delivered(), Delivered(), Dead(reason="status 400"), RetryAt(at=NOON, reason="no")):
            stage.gathering(attempted(verdict))
        await settled()
        assert await stage.stored() == [], "no attempt waits for it"

        await stage.pass_a_minute()
        assert await stage.stored() == [a_figure(delivered=2, failed=2, durations={8: 4})]

        await stage.pass_a_minute()
        assert await stage.stored() == [a_figure(delivered=2, failed=2, durations={8: 4})], "and only once"

        stage.gathering(attempted())
        await stage.pass_a_minute()
        assert await stage.stored() == [a_figure(delivered=3, failed=2, durations={8: 5})]


async def test_what_is_left_is_stored_at_the_end(stage):
    async with stage.kept():
        stage.gathering(attempted())

    assert await stage.stored() == [a_figure()]


async def test_our_own_shutdown_is_no_attempt_and_other_facts_are_none(stage):
    async with stage.kept():
        stage.gathering(attempted(Release(), outcome=NotSent()))
        stage.gathering(Beat(late=timedelta(0)))

    assert await stage.stored() == []


async def test_an_attempt_counts_in_the_hour_in_which_it_ended(stage):
    async with stage.kept():
        stage.gathering(attempted())
        stage.clock.advance(HOUR - timedelta(seconds=1))
        stage.gathering(attempted())
        stage.clock.advance(timedelta(seconds=1))
        stage.gathering(attempted(began=NOON))

    assert await stage.stored() == [
        a_figure(delivered=2, durations={8: 2}),
        a_figure(hour=NOON + HOUR),
    ]


async def test_while_the_store_takes_none_they_are_kept_and_added_to(stage):
    async with stage.kept():
        stage.outbox.refuse = FULL
        stage.gathering(attempted())
        await stage.pass_a_minute()
        assert await stage.stored() == []
        assert stage.facts.of(StoreFailed) == [
            StoreFailed(doing="tally", reason="the disk is full", retry_in=EVERY)
        ]

        stage.gathering(attempted())
        await stage.pass_a_minute()
        assert await stage.stored() == [a_figure(delivered=2, durations={8: 2})]


async def test_what_is_attempted_while_they_are_written_counts_once(stage):
    tally = stage.outbox.tally

    async def slow(given):
        stage.gathering(attempted())
        await tally(given)

    async with stage.kept():
        stage.outbox.tally = slow
        stage.gathering(attempted())
        await stage.pass_a_minute()
        stage.outbox.tally = tally

    assert await stage.stored() == [a_figure(delivered=2, durations={8: 2})]


async def test_they_are_written_a_few_at_a_time_and_what_is_written_is_not_written_again(stage, monkeypatch):
    monkeypatch.setattr(figures, "CHUNK", 2)
    tally, sizes = stage.outbox.tally, []

    async def third_fails(given):
        sizes.append(len(given))
        if len(sizes) == 3:
            raise FULL
        await tally(given)

    async with stage.kept():
        stage.outbox.tally = third_fails
        for number in range(5):
            stage.gathering(attempted(endpoint=f"e{number}"))
        await stage.pass_a_minute()

    assert sizes == [2, 2, 1, 1]
    assert await stage.stored() == [a_figure(endpoint=f"e{number}") for number in range(5)]


async def test_no_more_than_so_many_are_kept_the_oldest_go(stage, monkeypatch):
    monkeypatch.setattr(figures, "MOST", 3)
    tally = stage.outbox.tally

    async def fail(_):
        stage.gathering(attempted(endpoint="e2"))
        stage.gathering(attempted(endpoint="e3"))
        raise FULL

    async with stage.kept():
        stage.outbox.tally = fail
        for number in range(3):
            stage.gathering(attempted(endpoint=f"e{number}"))
        await stage.pass_a_minute()
        stage.outbox.tally = tally

    assert await stage.stored() == [
        a_figure(endpoint="e1"),
        a_figure(endpoint="e2", delivered=2, durations={8: 2}),
        a_figure(endpoint="e3"),
    ]


async def test_a_store_that_hangs_does_not_keep_the_program_from_stopping(stage, monkeypatch):
    monkeypatch.setattr(figures, "PARTING", timedelta(milliseconds=20))

    async def hang(_):
        await asyncio.Event().wait()

    async with stage.kept():
        stage.outbox.tally = hang
        stage.gathering(attempted())


async def test_a_damaged_store_is_for_the_operator(stage):
    stage.outbox.refuse = OutboxBroken("damaged")
    stage.gathering(attempted())

    with pytest.raises(OutboxBroken):
        await stage.gathering.keep(stage.ending)
