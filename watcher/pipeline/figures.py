"""Figures are gathered in memory, and added to the store once a minute: no attempt waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice

from watcher.core.events import EventType
from watcher.core.facts import TALLYING, Fact, Settled, StoreFailed
from watcher.core.figures import HOUR, Attempts, Figure, begin_of, by_event
from watcher.errors import OutboxError
from watcher.ports import Clock, Figures, Observer

EVERY = timedelta(minutes=1)
"""What a crash may lose of them."""

PARTING = timedelta(seconds=2)
"""For what is left at the end: a store that takes nothing must not keep a program from stopping."""

CHUNK = 200
"""Figures per transaction: a larger one would make captures and settlements wait behind it."""

MOST = 5_000
"""Figures in memory, some 4 MB. While the store takes none there are few attempts: none could be settled."""

Key = tuple[datetime, str, EventType]


class Gathering:
    """An Observer of attempts."""

    def __init__(self, figures: Figures, *, clock: Clock, observe: Observer) -> None:
        self._figures = figures
        self._clock = clock
        self._observe = observe
        self._gathered: dict[Key, Attempts] = {}  # the oldest first
        self._hour = begin_of(clock.now(), HOUR)

    def __call__(self, fact: Fact) -> None:
        if isinstance(fact, Settled):
            for event, made in by_event(fact.attempts).items():
                self._of((self._now(), fact.endpoint, event)).count(made)

    async def keep(self, ending: asyncio.Event) -> None:
        """Add once a minute what was gathered, until `ending` is set; then what is left.

        Raises OutboxBroken."""
        while not ending.is_set():
            await self._store()
            await self._minute(ending)
        with suppress(TimeoutError):
            async with asyncio.timeout(PARTING.total_seconds()):
                await self._store()

    async def _store(self) -> None:
        taken, self._gathered = self._gathered, {}
        try:
            while chunk := dict(islice(taken.items(), CHUNK)):
                await self._figures.tally([_figure(key, made) for key, made in chunk.items()])
                for key in chunk:
                    del taken[key]
        except OutboxError as error:
            self._put_back(taken)
            self._observe(StoreFailed(doing=TALLYING, reason=str(error), retry_in=EVERY))

    def _put_back(self, taken: Mapping[Key, Attempts]) -> None:
        since, self._gathered = self._gathered, {}
        for each in (taken, since):
            for key, made in each.items():
                self._of(key).add(made)

    def _now(self) -> datetime:
        """When this hour began."""
        now = self._clock.now()
        if not self._hour <= now < self._hour + HOUR:
            self._hour = begin_of(now, HOUR)
        return self._hour

    def _of(self, key: Key) -> Attempts:
        if key not in self._gathered:
            if len(self._gathered) == MOST:
                del self._gathered[next(iter(self._gathered))]
            self._gathered[key] = Attempts()
        return self._gathered[key]

    async def _minute(self, ending: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            either = {tasks.create_task(self._clock.sleep(EVERY)), tasks.create_task(ending.wait())}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            for task in either:
                task.cancel()


def _figure(key: Key, made: Attempts) -> Figure:
    hour, endpoint, event = key
    return Figure(
        endpoint=endpoint,
        event=event,
        hour=hour,
        delivered=made.delivered,
        failed=made.failed,
        durations=dict(made.durations),
    )
