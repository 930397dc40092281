"""Capture and its supervision, over a scripted source and an outbox in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache

import pytest

from tests.builders import NOON, a_change, an_endpoint, checkpoint_of
from watcher.config.mappings import load_mappings
from watcher.core.changes import Checkpoint
from watcher.core.facts import (
    Captured,
    PositionRestarted,
    Recovered,
    StoreFailed,
    StreamLost,
    StreamOpened,
)
from watcher.core.planning import Plan
from watcher.errors import OutboxError, PositionLost, SourceRefused, SourceUnavailable
from watcher.pipeline.ahead import MANY
from watcher.pipeline.capture import QUIET_STORE, capture
from watcher.pipeline.patience import LONGEST
from watcher.pipeline.recovery import OnPositionLost, Recoverer
from watcher.pipeline.remembering import Memory
from watcher.pipeline.supervision import FRUITLESS, SOON, keep_capturing
from watcher.ports import Batch, Counts
from watcher.testing import Facts, FakeClock, MemoryOutbox, ScriptedRows, ScriptedSource

HOLD = timedelta(seconds=60)

UNFINISHED = {"messageId": "m", "conversationId": "c", "text": "half", "unfinished": True}


@cache
def a_plan() -> Plan:
    return Plan.of(load_mappings(), [an_endpoint()], unfinished_hold=HOLD)


def a_batch(number: int, *changes, through=NOON) -> Batch:
    at = changes[-1].at if changes else None
    return Batch(changes=changes, checkpoint=Checkpoint(token=f"82{number:02X}", at=at), through=through)


async def no_wait() -> None:
    """There is room."""


class Stage:
    """Everything around one capture."""

    def __init__(self, *batches: Batch, breaks: dict[int, Exception] | None = None) -> None:
        self.source = ScriptedSource(batches, breaks or {})
        self.outbox = MemoryOutbox()
        self.clock = FakeClock(NOON)
        self.facts = Facts()
        self.rows = ScriptedRows()
        self.memory = Memory(a_plan().remembered, self.outbox, clock=self.clock, observe=self.facts)

    def recoverer(self, on_position_lost: OnPositionLost) -> Recoverer:
        return Recoverer(
            self.source,
            a_plan(),
            self.outbox,
            self.memory,
            self.rows,
            until_room=no_wait,
            on_position_lost=on_position_lost,
            clock=self.clock,
            observe=self.facts,
        )

    @asynccontextmanager
    async def capturing(self, on_position_lost: OnPositionLost = "fail") -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(
            keep_capturing(
                lambda observe: capture(
                    self.source, a_plan(), self.outbox, self.memory, clock=self.clock, observe=observe
                ),
                self.recoverer(on_position_lost),
                clock=self.clock,
                observe=self.facts,
            )
        )
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_batch_s_deliveries_and_its_position_are_stored():
    stage = Stage(a_batch(1, a_change(), a_change()))

    async with stage.capturing():
        (captured,) = await stage.facts.until(Captured)

    assert (captured.changes, captured.events, captured.deliveries, captured.stored) == (2, 2, 2, 2)
    assert len(await stage.outbox.pending("crm", after=0, limit=9, max_bytes=10**9)) == 2
    assert await checkpoint_of(stage.outbox) == Checkpoint(token="8201", at=NOON)


async def test_a_batch_that_could_not_be_stored_is_read_again_and_gives_the_same_ids():
    change = a_change()
    stage = Stage(a_batch(1, change), a_batch(2, a_change()))
    stage.outbox.refuse = OutboxError("disk full")

    async with stage.capturing():
        await stage.facts.until(StoreFailed)
        stage.clock.advance(timedelta(seconds=1))
        await stage.facts.until(Captured, 2)

    assert stage.source.opened_at == [None, None]
    assert await stage.outbox.counts() == {"crm": Counts(pending=2)}


async def test_an_outage_is_waited_out_and_reading_goes_on_behind_what_is_stored():
    stage = Stage(a_batch(1, a_change()), a_batch(2, a_change()), breaks={1: SourceUnavailable("election")})

    async with stage.capturing():
        (lost,) = await stage.facts.until(StreamLost)
        assert lost.reason == "election"
        stage.clock.advance(timedelta(seconds=1))
        await stage.facts.until(Captured, 2)

    assert [at and at.token for at in stage.source.opened_at] == [None, "8201"]
    assert [fact.resumed for fact in stage.facts.of(StreamOpened)] == [False, True]


@pytest.mark.parametrize(
    ("failure", "longest"),
    [(SourceUnavailable("no primary"), SOON), (OutboxError("disk full"), LONGEST / 2)],
)
async def test_a_long_outage_of_mongodb_is_waited_out_in_short_waits_and_one_of_the_store_in_longer_ones(
    failure, longest
):
    stage = Stage()
    clock, facts = stage.clock, stage.facts

    async def failing(observe: object) -> None:
        raise failure

    task = asyncio.create_task(keep_capturing(failing, stage.recoverer("fail"), clock=clock, observe=facts))
    for number in range(1, 20):
        await facts.until(StreamLost, number)
        clock.advance(timedelta(minutes=1))
    task.cancel()

    waits = [lost.retry_in for lost in facts.of(StreamLost)]
    assert waits == sorted(waits)
    assert waits[0] < longest == waits[-1]


async def test_a_refusal_before_the_first_opening_ends_the_program():
    stage = Stage(breaks={-1: SourceRefused("standalone")})

    async with stage.capturing() as task:
        with pytest.raises(SourceRefused, match="standalone"):
            await asyncio.wait_for(task, 5)


async def test_a_refusal_later_is_waited_out():
    stage = Stage(a_batch(1, a_change()), a_batch(2, a_change()), breaks={1: SourceRefused("rights revoked")})

    async with stage.capturing():
        await stage.facts.until(StreamLost)
        stage.clock.advance(timedelta(seconds=1))
        await stage.facts.until(Captured, 2)


async def test_with_fail_a_lost_position_stops_the_program():
    stage = Stage(a_batch(1, a_change()), breaks={1: PositionLost("fell off the oplog")})

    async with stage.capturing("fail") as task:
        with pytest.raises(PositionLost, match="oplog"):
            await asyncio.wait_for(task, 5)


async def test_with_restart_a_lost_position_is_recorded_and_capture_goes_on_from_now():
    stage = Stage(a_batch(1, a_change()), breaks={1: PositionLost("fell off the oplog")})

    async with stage.capturing("restart"):
        (restarted,) = await stage.facts.until(PositionRestarted)
        await stage.facts.until(StreamOpened, 2)

    assert restarted.since == NOON
    assert [at and at.token for at in stage.source.opened_at] == [None, None, "8201"]


async def test_a_quiet_stream_moves_the_stored_position_now_and_then():
    late = NOON + timedelta(hours=1)
    stage = Stage(
        a_batch(1, a_change()),
        a_batch(2, through=late),
        a_batch(3, through=late + HOLD),
        a_batch(4, through=late + 2 * HOLD),
    )
    stored = []
    real = stage.outbox.append

    async def noting(*entries, checkpoint, **rest):
        stored.append(checkpoint.token)
        return await real(*entries, checkpoint=checkpoint, **rest)

    stage.outbox.append = noting  # type: ignore[method-assign]
    clock = stage.clock
    real_captured = stage.facts.__call__

    def passing(fact):
        real_captured(fact)
        if isinstance(fact, Captured) and len(stage.facts.of(Captured)) == 3:
            clock.advance(QUIET_STORE)

    task = asyncio.create_task(
        capture(stage.source, a_plan(), stage.outbox, stage.memory, clock=clock, observe=passing)
    )
    await stage.facts.until(Captured, 4)
    task.cancel()

    assert stored == ["8201", "8204"]


async def test_a_hold_ends_with_the_first_batch_past_its_time_though_that_brings_nothing():
    stage = Stage(
        a_batch(1, a_change(after=UNFINISHED)),
        a_batch(2, through=NOON + HOLD - timedelta(milliseconds=1)),
        a_batch(3, through=NOON + HOLD + timedelta(milliseconds=1)),
    )

    async with stage.capturing():
        await stage.facts.until(Captured, 3)

    assert await stage.outbox.counts() == {"crm": Counts(pending=1)}


async def test_stream_time_is_waited_for_only_while_something_is_held():
    after = NOON + HOLD
    stage = Stage(
        a_batch(1),
        a_batch(2, a_change(after=UNFINISHED)),
        a_batch(3, through=after),
        a_batch(4, through=after),
    )
    hurried = []
    stage.source.after_each = lambda: hurried.append(stage.source.hurried())

    async with stage.capturing():
        await stage.facts.until(Captured, 4)

    assert hurried == [False, True, False, False]


async def test_what_an_earlier_run_held_is_waited_for_as_long_as_the_longest_hold():
    stage = Stage(a_batch(1, a_change(after=UNFINISHED)))
    async with stage.capturing():
        await stage.facts.until(Captured)
    stage.source = ScriptedSource([a_batch(2), a_batch(3, through=NOON + HOLD)])
    hurried = []
    stage.source.after_each = lambda: hurried.append(stage.source.hurried())

    async with stage.capturing():
        await stage.facts.until(Captured, 3)

    assert hurried == [True, False]


async def test_what_is_read_ahead_is_read_for_a_hold_too_that_may_be_in_the_batch_before(monkeypatch):
    held = a_change(collection="messages", after=UNFINISHED, at=NOON)
    many = a_batch(1, *[held] * MANY)
    stage = Stage(a_batch(0), many, a_batch(2), a_batch(3, through=NOON + HOLD))
    hurried = []
    stage.source.after_each = lambda: hurried.append(stage.source.hurried())
    at_once = stage.outbox.append

    async def append(*given, **named) -> int:
        await asyncio.sleep(0)
        return await at_once(*given, **named)

    monkeypatch.setattr(stage.outbox, "append", append)
    async with stage.capturing():
        await stage.facts.until(Captured, 4)

    assert hurried == [False, True, True, False]


async def test_an_unfinished_answer_is_held_and_released_by_stream_time():
    unfinished = a_change(after=UNFINISHED)
    stage = Stage(
        a_batch(1, unfinished),
        a_batch(2, through=NOON + HOLD - timedelta(seconds=1)),
        a_batch(3, through=NOON + HOLD),
    )

    held = []
    stage.source.after_each = lambda: held.append(len(stage.outbox._in(("held",))))

    async with stage.capturing():
        await stage.facts.until(Captured, 3)

    assert held[:2] == [1, 1]
    (row,) = await stage.outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
    assert b'"unfinished":true' in row.delivery.body


async def test_what_is_deleted_with_its_conversation_says_so_also_after_a_restart():
    gone = a_change(
        collection="conversations",
        operation="delete",
        after=None,
        before={"conversationId": "c1", "user": "u"},
    )
    message = a_change(
        operation="delete", after=None, before={"messageId": "m1", "conversationId": "c1", "user": "u"}
    )
    stage = Stage(a_batch(1, gone), a_batch(2, message), breaks={1: SourceUnavailable("killed")})

    async with stage.capturing():
        await stage.facts.until(StreamLost)
        stage.clock.advance(timedelta(seconds=1))
        await stage.facts.until(Captured, 2)

    bodies = [
        row.delivery.body for row in await stage.outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
    ]
    assert b'"reason":"user"' in bodies[0]
    assert b'"reason":"cascade"' in bodies[1]


async def test_after_a_restart_from_now_the_next_outage_resumes_as_ever():
    breaks: dict[int, Exception] = {1: PositionLost("gone"), 2: SourceUnavailable("election")}
    stage = Stage(a_batch(1, a_change()), a_batch(2, a_change()), breaks=breaks)

    async with stage.capturing("restart"):
        await stage.facts.until(StreamLost)
        stage.clock.advance(timedelta(seconds=1))
        await stage.facts.until(StreamOpened, 3)

    assert [at and at.token for at in stage.source.opened_at] == [None, None, "8201", "8202"]


async def test_positions_that_are_lost_again_and_again_stop_the_program():
    stage = Stage(a_batch(1), a_batch(2))

    async def losing(observe):
        raise PositionLost("older than the oplog")

    await stage.outbox.append((), checkpoint=Checkpoint(token="82", at=None), through=NOON)
    with pytest.raises(PositionLost, match="oplog"):
        await keep_capturing(losing, stage.recoverer("recover"), clock=stage.clock, observe=stage.facts)

    assert len(stage.facts.of(Recovered)) == FRUITLESS - 1
