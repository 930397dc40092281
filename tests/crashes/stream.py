"""MongoDB, as a change source and a source of rows over a script: what is written so far can be read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

from tests.crashes.ledger import Script
from tests.crashes.stores import read_of, token_of
from watcher.adapters.mongo.decode import updated_row
from watcher.core.changes import Change, Checkpoint, Document
from watcher.core.events import Entity
from watcher.errors import PositionLost, SourceUnavailable
from watcher.ports import Batch, always

COLLECTIONS = frozenset({"conversations", "messages", "users", "sessions", "agents", "files"})


class Stream:
    """A `ChangeSource`. The hand that plays the script tells it what time it is and how much is written."""

    def __init__(
        self, script: Script, *, images: bool, sizes: Callable[[], int], written: int, now: datetime
    ) -> None:
        """`sizes`: how many changes the next batch may hold."""
        self._script = script
        self._images = images
        self._sizes = sizes
        self._news = asyncio.Event()
        self._written = written
        self._now = now
        self._broken = False
        self.rows: dict[Entity, Document] = {}
        """The rows as they are now."""
        self._apply(0, written)

    def moves(self, *, written: int, now: datetime) -> None:
        self._apply(self._written, written)
        self._written, self._now = written, now
        self._news.set()

    def breaks(self) -> None:
        """An election: whoever reads on is told so."""
        self._broken = True
        self._news.set()

    @asynccontextmanager
    async def open(
        self, checkpoint: Checkpoint | None, *, hurried: Callable[[], bool] = always
    ) -> AsyncIterator[AsyncIterator[Batch]]:
        await asyncio.sleep(0)
        read = self._written if checkpoint is None else read_of(checkpoint.token)
        self._fail_if_broken(read)
        yield self._batches(read)

    async def _batches(self, read: int) -> AsyncIterator[Batch]:
        told: datetime | None = None
        while True:
            await asyncio.sleep(0)
            while read == self._written and told == self._now and not self._broken:
                self._news.clear()
                await self._news.wait()
            self._fail_if_broken(read)

            changes = tuple(map(self.seen, self._script.changes[read : self._written][: self._sizes()]))
            read += len(changes)
            told = changes[-1].at if changes else self._now
            yield Batch(
                changes=changes,
                checkpoint=Checkpoint(token=token_of(read), at=changes[-1].at if changes else None),
                through=told,
                imageless=frozenset() if self._images else COLLECTIONS,
            )

    def seen(self, change: Change) -> Change:
        """Without pre-images: the row as it is now, with what the update wrote laid over it."""
        if self._images or change.operation == "insert":
            return change
        row = self.rows.get(Entity(f"{change.collection}:{change.document_id}"))
        after = None
        if row is not None and change.operation == "update":
            after = updated_row(change.collection, row, change.updated)
        return replace(change, before=None, after=after)

    def _apply(self, start: int, end: int) -> None:
        for change in self._script.changes[start:end]:
            row = Entity(f"{change.collection}:{change.document_id}")
            if change.after is None:
                del self.rows[row]
            else:
                self.rows[row] = change.after

    def _fail_if_broken(self, read: int) -> None:
        fell = self._script.fell
        if fell and read < fell.stop <= self._written:
            raise PositionLost("mongodb: it fell off the oplog", why="older than the oplog")
        if self._broken:
            self._broken = False
            raise SourceUnavailable("the primary stepped down")
