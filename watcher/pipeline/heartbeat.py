"""The heartbeat: whether the event loop comes round in time. Everything here waits when it does not."""

from __future__ import annotations

from datetime import timedelta
from typing import NoReturn

from watcher.core.facts import Beat
from watcher.ports import Clock, Observer

EVERY = timedelta(seconds=1)


async def beat(*, clock: Clock, observe: Observer) -> NoReturn:
    """Sleep, and tell by how much the sleep was longer than asked for, for ever."""
    while True:
        began = clock.monotonic()
        await clock.sleep(EVERY)
        slept = timedelta(seconds=clock.monotonic() - began)
        observe(Beat(late=max(slept - EVERY, timedelta(0))))
