"""Backfilling: rows that are there, read page by page, and stored as deliveries with how far it has come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from watcher.core.backfill import Backfill, changes_of, deliveries_of
from watcher.core.facts import Backfilled
from watcher.core.marks import Marks
from watcher.core.planning import Plan
from watcher.ports import Clock, Observer, Outbox, RowSource

PAGE_ROWS = 500
"""Rows read and stored together: stopped in the middle, no more than these are read again."""


async def backfill(
    asked: Backfill,
    plan: Plan,
    outbox: Outbox,
    rows: RowSource,
    *,
    until_room: Callable[[], Awaitable[None]],
    clock: Clock,
    observe: Observer,
) -> Backfill:
    """Store what is asked for, from where an earlier one of the same name was stopped.

    `until_room`: returns when the outbox may take more.
    Raises what the source and the outbox raise."""
    state = await outbox.backfill(asked.name) or asked
    if state.done:
        state = asked  # the same ids: what the store still has is left as it is
    order = plan.collections
    first = order.index(state.collection) if state.collection in order else 0
    total = sum([await rows.count(each, since=asked.since) for each in order])
    state = replace(state, total=total, began_at=state.began_at or clock.now())

    for collection in order[first:]:
        state = replace(
            state, collection=collection, after=state.after if collection == state.collection else None
        )
        while True:
            await until_room()
            page = await rows.touched(
                collection, (), since=state.since, as_of=None, after=state.after, limit=PAGE_ROWS
            )
            planned = plan.entries(changes_of(page.rows, state), Marks(), recovering=True)
            deliveries = deliveries_of(planned.entries, state)
            is_last = page.after is None and collection == order[-1]
            state = replace(
                state,
                after=page.after,
                rows=state.rows + len(page.rows),
                page_at=clock.now(),
                done=is_last,
            )
            state = replace(state, stored=state.stored + await outbox.fill(deliveries, state))
            for fact in planned.facts:
                observe(fact)
            observe(
                Backfilled(
                    collection=collection, rows=state.rows, total=max(total, state.rows), stored=state.stored
                )
            )
            if page.after is None:
                break
    return state
