"""Capture: changes in; deliveries and position stored together. It never knows that a receiver is slow."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Generator, Iterable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

from watcher.core.deliveries import Delivery, Lift
from watcher.core.facts import Captured, StreamOpened
from watcher.core.marks import Marks
from watcher.core.planning import Plan
from watcher.pipeline.ahead import ahead, is_followed
from watcher.pipeline.portions import portions
from watcher.pipeline.remembering import Memory
from watcher.ports import Batch, ChangeSource, Clock, Observer, Outbox

QUIET_STORE = timedelta(seconds=10)
"""How often a quiet stream's position is stored. More often would wear a disk for nothing; much less
often would let the stored position of a quiet LibreChat fall behind a small oplog."""

LONG_AGO = datetime.min.replace(tzinfo=UTC)


TURNS = 4
"""Of the event loop, from a delivery that is stored to its request."""


async def capture(
    source: ChangeSource,
    plan: Plan,
    outbox: Outbox,
    memory: Memory,
    *,
    clock: Clock,
    observe: Observer,
) -> None:
    """Follow the stream from the stored position, for ever.

    Raises what the source and the outbox raise; started again, it goes on where the store stands. A batch
    cut off before its commit is read and planned again, and gives the same ids."""
    position = await outbox.position()
    checkpoint = position.checkpoint if position is not None else None
    marks = Marks.of(await outbox.marks())
    stored_at = -QUIET_STORE.total_seconds() + clock.monotonic()
    held = any(each.held for each in (await outbox.counts()).values())
    holding_until = LONG_AGO
    waiting = held  # for stream time: something is held until it is later

    async with (
        source.open(checkpoint, hurried=lambda: waiting) as batches,
        aclosing(ahead(_in_portions(batches, plan))) as coming,
    ):
        observe(StreamOpened(resumed=checkpoint is not None))
        async for batch in coming:
            # What follows a large batch is asked for before the holds in this one are known.
            waiting = waiting or is_followed(batch)
            began = clock.monotonic()
            async with memory.turn:
                completed = await memory.complete(batch)
                planned = plan.entries(completed.changes, marks)
                marks = marks.joined(planned.marks, through=batch.through)
                if held:  # an earlier run's may be held for as long as the longest
                    holding_until, held = batch.through + plan.longest_hold, False
                holding_until = max([holding_until, *_hold_ends(planned.entries)])

                stored = 0
                if batch.changes or waiting or began - stored_at >= QUIET_STORE.total_seconds():
                    stored = await outbox.append(
                        planned.entries,
                        checkpoint=batch.checkpoint,
                        through=batch.through,
                        marks=planned.marks,
                        learned=completed.learned,
                    )
                    stored_at = clock.monotonic()
                waiting = batch.through < holding_until
            if stored:
                await _let_it_go_out()

            for fact in planned.facts:
                observe(fact)
            now = clock.now()
            lags = tuple([now - change.at for change in batch.changes])
            observe(
                Captured(
                    changes=len(batch.changes),
                    events=planned.events.total(),
                    deliveries=sum([isinstance(entry, Delivery) for entry in planned.entries]),
                    stored=stored,
                    lag=lags[-1] if lags else None,
                    lags=lags,
                    took=timedelta(seconds=clock.monotonic() - began),
                )
            )


@types.coroutine
def _let_it_go_out() -> Generator[None, None, None]:
    """Who sends what was just stored goes first: to tell of it and to ask for more keeps the event loop busy
    for as long as a request takes."""
    for _ in range(TURNS):
        yield  # to the event loop, as `asyncio.sleep(0)` does


async def _in_portions(batches: AsyncIterator[Batch], plan: Plan) -> AsyncIterator[Batch]:
    async for batch in batches:
        for portion in portions(batch, receivers=plan.receivers):
            yield portion


def _hold_ends(entries: Iterable[Delivery | Lift]) -> Iterable[datetime]:
    for entry in entries:
        if isinstance(entry, Delivery) and entry.hold is not None:
            yield entry.hold.until
