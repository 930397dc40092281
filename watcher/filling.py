"""Filling: a backfill as a command. Beside a `run` it stores, and `run` delivers; alone it delivers, too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

from watcher import stores
from watcher.adapters.clock import SystemClock
from watcher.adapters.http.sender import HttpSender
from watcher.adapters.mongo.rows import MongoRows
from watcher.config.mappings import load_mappings
from watcher.config.settings import Settings
from watcher.core.backfill import CREATED, Backfill, fillable
from watcher.core.events import EventType
from watcher.core.facts import Fact
from watcher.core.planning import Plan
from watcher.observers import Observers
from watcher.pipeline.backfilling import backfill
from watcher.pipeline.dispatch import Dispatcher
from watcher.pipeline.figures import Gathering
from watcher.pipeline.room import Store
from watcher.ports import Outbox

LOOK = timedelta(milliseconds=200)
"""How often it is looked whether all is delivered."""

GRACE = timedelta(seconds=8)


class NothingToFill(Exception):
    """What is asked for cannot be filled: why, and the cure."""


async def fill(
    settings: Settings,
    *,
    since: datetime,
    until: datetime | None,
    events: Sequence[str],
    observe: Callable[[Fact], None],
    waiting: Callable[[int], None],
) -> tuple[Backfill, bool]:
    """Store created-type events of documents that are there; and deliver them, if no `run` is at work.

    `until`: None means now. `waiting` is told how many deliveries have yet to be sent. Returns what was done,
    and whether it was delivered here. Raises ConfigError, NothingToFill, OutboxError, SourceRefused and
    SourceUnavailable."""
    mappings = load_mappings(settings.mapping_paths)
    plan = Plan.of(mappings, settings.endpoints, unfinished_hold=settings.unfinished_hold)
    possible = fillable(mappings)
    chosen = tuple(EventType(event) for event in events) or tuple(
        each for each in CREATED if each in possible
    )
    for event in chosen:
        if event not in possible:
            raise NothingToFill(
                f"{event} is no event of documents that exist.\n  Known: {', '.join(possible)}."
            )
        if not any(endpoint.subscribes(event) for endpoint in settings.endpoints) and events:
            raise NothingToFill(f"No endpoint subscribes to {event}.\n  Add it to `events:` of one.")
    clock = SystemClock()
    endpoints = ",".join(sorted(endpoint.name for endpoint in settings.endpoints))
    span = f"{since.isoformat()} {until.isoformat() if until else 'now'}"
    asked = Backfill(
        # Another endpoint has to be told of what was looked at already.
        name=f"{span} {','.join(sorted(chosen))} {endpoints}",
        since=since,
        until=until or clock.now(),
        events=chosen,
    )
    if asked.since >= asked.until:
        raise NothingToFill(
            f"No document came from {asked.since.isoformat()} on and before {asked.until.isoformat()}.\n"
            "  Give a --since that is before --until (without one: now)."
        )

    async with AsyncExitStack() as stack:
        state = await stack.enter_async_context(stores.beside(settings))
        outbox, alone = state.outbox, state.alone
        store = Store(outbox, limit_bytes=settings.max_store_bytes, clock=clock, observe=observe)
        rows = await stack.enter_async_context(MongoRows.open(settings.mongo_uri, settings.database))

        async def store_all() -> Backfill:
            return await backfill(
                asked, plan, outbox, rows, until_room=store.until_room, clock=clock, observe=observe
            )

        if not alone:
            return await store_all(), False
        sender = await stack.enter_async_context(HttpSender())
        stopping = asyncio.Event()
        gathering = Gathering(state.figures, clock=clock, observe=observe)
        observing = Observers(observe, gathering)
        dispatching = asyncio.gather(
            gathering.keep(stopping),
            *(
                Dispatcher(endpoint, outbox=outbox, sender=sender, clock=clock, observe=observing).run(
                    stopping, grace=GRACE
                )
                for endpoint in settings.endpoints
            ),
        )
        try:
            done = await store_all()
            await _delivered(outbox, [endpoint.name for endpoint in settings.endpoints], clock, waiting)
        finally:
            stopping.set()
            await dispatching
        return done, True


async def _delivered(
    outbox: Outbox, endpoints: Sequence[str], clock: SystemClock, waiting: Callable[[int], None]
) -> None:
    # What waits for an endpoint that is paused, or configured no more, is sent by nobody.
    while True:
        standings = await outbox.standings()
        at_work = [name for name in endpoints if name not in standings or standings[name].state != "paused"]
        counts = await outbox.counts()
        pending = sum(counts[name].pending for name in at_work if name in counts)
        waiting(pending)
        if not pending:
            return
        await clock.sleep(LOOK)
