"""The event loop's lateness is told."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from watcher.core.facts import Beat
from watcher.pipeline.heartbeat import EVERY, beat
from watcher.testing import Facts, FakeClock


async def test_each_beat_tells_how_late_it_was():
    clock, facts = FakeClock(), Facts()
    beating = asyncio.create_task(beat(clock=clock, observe=facts))

    for number, late in enumerate((timedelta(0), timedelta(seconds=2)), start=1):
        await asyncio.sleep(0)
        clock.advance(EVERY + late)
        await facts.until(Beat, number)

    assert [fact.late for fact in facts.of(Beat)] == [timedelta(0), timedelta(seconds=2)]
    beating.cancel()
