"""Back-pressure: a receiver that is down fills the store up to its limit, and no further.

At the limit what is settled goes before its retention. If what waits still fills it, capture pauses: nothing
is read, the position stands, and MongoDB's oplog is the buffer until receivers have taken some of it.
The law: the question is asked between two batches. What was read is stored whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from watcher.core.changes import Checkpoint
from watcher.core.facts import CapturePaused, CaptureResumed, Swept
from watcher.core.room import Room, room
from watcher.pipeline.housekeeping import CHUNK
from watcher.ports import Batch, ChangeSource, Clock, Observer, Outbox, always

LOOK = timedelta(milliseconds=250)
LOOK_CHANGES = 500
"""Between two looks at the store's size: so long, or so many changes. At full pace that comes first."""

LOOK_PAUSED = timedelta(seconds=1)

SAY_AGAIN = timedelta(minutes=10)

LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Store:
    """The outbox's size, watched for whoever fills it."""

    def __init__(self, outbox: Outbox, *, limit_bytes: int, clock: Clock, observe: Observer) -> None:
        self._outbox = outbox
        self._limit = limit_bytes
        self._clock = clock
        self._observe = observe
        self._look_at = 0.0
        self._read = 0  # changes, since the last look
        self._full_since: float | None = None
        self._said_at = 0.0

    async def until_room(self, *, read: int = 0) -> None:
        """Return when the outbox may take more. `read`: so many changes more. Raises OutboxError."""
        self._read += read
        if self._clock.monotonic() < self._look_at and self._read < LOOK_CHANGES:
            return
        self._read = 0
        while await self._is_full():
            await self._clock.sleep(LOOK_PAUSED)
        self._look_at = self._clock.monotonic() + LOOK.total_seconds()

    async def _is_full(self) -> bool:
        now, used = self._clock.monotonic(), await self._outbox.used_bytes()
        state = self._judged(used)
        while state != "ample" and await self._sweep():
            used = await self._outbox.used_bytes()
            state = self._judged(used)
            if state == "tight":
                break  # a little at a time: capture goes on meanwhile

        if state == "full":
            await self._tell(used, now)
        elif self._full_since is not None:
            self._observe(CaptureResumed(after=timedelta(seconds=now - self._full_since)))
            self._full_since = None
        return state == "full"

    def _judged(self, used: int) -> Room:
        return room(used, limit_bytes=self._limit, was_full=self._full_since is not None)

    async def _sweep(self) -> bool:
        """Drop the oldest of what is settled and not dead; was there any?"""
        gone = await self._outbox.forget(
            delivered_before=self._clock.now(), dead_before=LONG_AGO, marks_before=LONG_AGO, limit=CHUNK
        )
        if gone:
            self._observe(Swept(deliveries=gone, early=True))
        return gone > 0

    async def _tell(self, used: int, now: float) -> None:
        if self._full_since is None:
            self._full_since = now
        elif now - self._said_at < SAY_AGAIN.total_seconds():
            return
        self._said_at = now
        counts = (await self._outbox.counts()).values()
        self._observe(
            CapturePaused(
                used_bytes=used,
                limit_bytes=self._limit,
                waiting=sum(each.pending + each.held for each in counts),
                dead=sum(each.dead for each in counts),
            )
        )


class BoundedSource:
    """A `ChangeSource` that is read only while there is room for what it gives."""

    def __init__(self, source: ChangeSource, store: Store) -> None:
        self._source = source
        self._store = store

    @asynccontextmanager
    async def open(
        self, checkpoint: Checkpoint | None, *, hurried: Callable[[], bool] = always
    ) -> AsyncIterator[AsyncIterator[Batch]]:
        """The source's stream. After a long pause its cursor may be forgotten: an outage like any other."""
        async with self._source.open(checkpoint, hurried=hurried) as batches:
            yield self._while_there_is_room(batches)

    async def _while_there_is_room(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        async for batch in batches:
            yield batch
            await self._store.until_room(read=len(batch.changes))
