"""Housekeeping: settled deliveries and figures leave the store after their retention, a few at a time."""

from __future__ import annotations

from datetime import timedelta

from watcher.core.facts import StoreFailed, Swept
from watcher.errors import OutboxError
from watcher.pipeline.patience import insist
from watcher.ports import Clock, Figures, Observer, Outbox

EVERY = timedelta(minutes=1)

CHUNK = 1_000
"""Rows per transaction: a larger one would make captures and settlements wait behind it."""

MARKS_LAST = timedelta(hours=1)
"""Of the changes' own time. Marks are asked for within minutes of it."""


async def keep_house(
    outbox: Outbox,
    figures: Figures,
    *,
    delivered: timedelta,
    dead: timedelta,
    clock: Clock,
    observe: Observer,
) -> None:
    """Drop what is past its retention, for ever; and see once, after the start, that the store is sound.

    Figures are kept for as long as `dead` deliveries.

    A store that fails is left alone until the next round. Raises OutboxBroken."""
    examined = False
    while True:
        try:
            swept = await _sweep(outbox, delivered=delivered, dead=dead, clock=clock)
            if swept:
                observe(Swept(deliveries=swept))
            while await figures.forget_figures(before=clock.now() - dead, limit=CHUNK) == CHUNK:
                pass
        except OutboxError as error:
            observe(StoreFailed(doing="forget", reason=str(error), retry_in=EVERY))
        await clock.sleep(EVERY)
        if not examined:  # not sooner: a start has to catch up, and the file may be large
            await insist(outbox.examine, doing="examine", clock=clock, observe=observe)
            examined = True


async def _sweep(outbox: Outbox, *, delivered: timedelta, dead: timedelta, clock: Clock) -> int:
    now, total = clock.now(), 0
    position = await outbox.position()
    # After an outage the change that a mark explains may still wait in the oplog, whatever the clock says.
    read = min(now, position.through) if position else now
    while True:
        gone = await outbox.forget(
            delivered_before=now - delivered,
            dead_before=now - dead,
            marks_before=read - MARKS_LAST,
            limit=CHUNK,
        )
        total += gone
        if gone < CHUNK:
            break
    while await outbox.forget_rows(limit=CHUNK) == CHUNK:
        pass
    return total
