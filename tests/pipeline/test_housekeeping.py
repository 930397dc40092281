"""Housekeeping: what is old enough goes, and nothing that is still needed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from tests.builders import NOON, a_checkpoint, a_delivery, a_settlement
from tests.contracts.figures_contract import a_figure
from watcher.core.events import Entity
from watcher.core.facts import Swept
from watcher.core.marks import Mark
from watcher.pipeline import housekeeping
from watcher.pipeline.housekeeping import EVERY, keep_house
from watcher.testing import Facts, FakeClock, MemoryOutbox

HOUR = timedelta(hours=1)


class OneRound(FakeClock):
    """A clock at which a round ends when its work is done."""

    async def sleep(self, span: timedelta) -> None:
        raise asyncio.CancelledError


async def a_round(outbox: MemoryOutbox, *, at: datetime) -> list[Swept]:
    """What one round of housekeeping at this time tells."""
    facts = Facts()
    with suppress(asyncio.CancelledError):
        await keep_house(
            outbox, outbox, delivered=72 * HOUR, dead=720 * HOUR, clock=OneRound(at), observe=facts
        )
    return facts.of(Swept)


async def test_what_was_delivered_goes_when_its_retention_is_over():
    outbox = MemoryOutbox()
    await outbox.append([a_delivery()], checkpoint=a_checkpoint(), through=NOON)
    (row,) = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
    await outbox.settle([a_settlement(row)])

    assert await a_round(outbox, at=NOON + 71 * HOUR) == []
    assert await a_round(outbox, at=NOON + 73 * HOUR) == [Swept(deliveries=1)]


async def test_a_mark_outlives_an_outage_in_which_nothing_was_read():
    outbox = MemoryOutbox()
    gone = Mark(entity=Entity("conversation:c1"), at=NOON)
    await outbox.append([], checkpoint=a_checkpoint(at=NOON), through=NOON, marks=[gone])

    await a_round(outbox, at=NOON + 3 * HOUR)
    assert await outbox.marks() == [gone]

    later = NOON + 2 * HOUR
    await outbox.append([], checkpoint=a_checkpoint(at=later), through=later)
    await a_round(outbox, at=later + EVERY)
    assert await outbox.marks() == []


async def test_figures_go_as_dead_deliveries_do(monkeypatch):
    monkeypatch.setattr(housekeeping, "CHUNK", 2)
    outbox = MemoryOutbox()
    given = [a_figure(hour=NOON + number * HOUR) for number in range(9)]
    await outbox.tally(given)

    await a_round(outbox, at=NOON + 725 * HOUR)

    assert await outbox.figures(NOON, NOON + 9 * HOUR) == given[5:]
