"""A line that dies without a word: after how long events come again."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.chaos.stage import TIMEOUT_SECONDS, staged
from watcher.adapters.mongo.connect import HEARTBEAT_SECONDS

MARGIN_SECONDS = 5.0
"""For opening anew, or for a second attempt."""

BOUNDS = {"MongoDB": 2 * HEARTBEAT_SECONDS + MARGIN_SECONDS, "good": TIMEOUT_SECONDS["good"] + MARGIN_SECONDS}


@pytest.mark.long
@pytest.mark.parametrize("line", BOUNDS)
async def test_dead_connections_are_left_within_a_bounded_time(tmp_path, line):
    over = False
    async with staged(tmp_path, seed="silence", per_second=20) as stage, asyncio.TaskGroup() as tasks:
        tasks.create_task(stage.writer.write(until=lambda: over))
        try:
            await stage.first_event(patience_seconds=30)
            for proxy in stage.members if line == "MongoDB" else [stage.lines[line]]:
                proxy.forget()
            forgotten = time.monotonic()

            _, came = await stage.first_event(patience_seconds=60)
        finally:
            over = True

    print(f"\nconnections to {line} dead: first event after {came - forgotten:.1f} s")
    assert came - forgotten < BOUNDS[line]
