"""The system's clock: what sleeps by it ends when it is told to, even if it was not heard at first."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from watcher.adapters.clock import SystemClock


async def test_a_loop_whose_library_swallowed_its_cancellation_ends_at_its_next_sleep():
    clock, waiting = SystemClock(), asyncio.Event()

    async def for_ever() -> None:
        while True:
            try:
                waiting.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass  # as `asyncio.wait_for` does at times
            await clock.sleep(timedelta(0))

    task = asyncio.create_task(for_ever())
    await waiting.wait()
    task.cancel()

    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_sleep_after_a_time_out_that_is_over_is_a_sleep():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.sleep(1)

    await SystemClock().sleep(timedelta(0))
