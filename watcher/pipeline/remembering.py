"""Remembering: for collections without pre-images, what is known of each row, so that deletions tell.

Two hands write the memory: capture, change by change, and a first scan of the rows that were there before.
The law: a page of the scan is read and stored while no batch is dealt with. A batch that comes later may
delete a row of it; were the page stored after that, the row would be remembered for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

from watcher.core.facts import ScanFailed, Scanned
from watcher.core.memory import Completed, Names, Scan, completed
from watcher.core.views import row_entity
from watcher.errors import OutboxError, SourceError
from watcher.pipeline.patience import waits
from watcher.ports import Batch, Clock, Observer, Outbox, RowSource

PAGE_ROWS = 1_000
"""A page holds up capture for about 50 ms. Larger ones would show in the latency of events."""

SHARE = 4
"""A scan works a quarter of the time, and leaves MongoDB and the disk to others for the rest."""


class Memory:
    """What capture and the scan share."""

    def __init__(
        self,
        names: Names,
        outbox: Outbox,
        *,
        always: bool = False,
        clock: Clock,
        observe: Observer,
    ) -> None:
        """`names`: of each collection what must be remembered, should it keep no pre-images; or `always`."""
        self._names = names
        self._always = always
        self._outbox = outbox
        self._clock = clock
        self._observe = observe
        self._wanted: Names | None = None  # None: not known yet
        self._scans: dict[str, Scan] = {}
        self._to_do = asyncio.Event()
        self.turn = asyncio.Lock()
        """Held by whoever deals with a batch or a page."""

    async def complete(self, batch: Batch) -> Completed:
        """The batch's changes with what is known of their rows. To be called, and its result stored, in one
        turn. Raises OutboxError."""
        await self.begin(batch.imageless)
        rows = [row_entity(change) for change in batch.changes if change.collection in self.wanted]
        if not rows:
            return Completed(changes=batch.changes, learned={})
        return completed(batch.changes, await self._outbox.recall(rows), self.wanted)

    @property
    def wanted(self) -> Names:
        """The collections whose rows are remembered, and what of them."""
        return self._wanted or {}

    async def begin(self, imageless: Collection[str]) -> None:
        """Remember rows of these collections from now on. Raises OutboxError."""
        wanted = {name: names for name, names in self._names.items() if self._always or name in imageless}
        if wanted != self._wanted:
            self._scans = {scan.collection: scan for scan in await self._outbox.memories(wanted)}
            self._wanted = wanted
            self._to_do.set()

    async def forget(self) -> None:
        """Begin anew: what happened since the memory was last kept up is not known."""
        self._wanted = None
        self._scans = {}
        await self._outbox.memories({})

    async def scan(self, rows: RowSource) -> None:
        """Read what was there before the memory began, for ever: a change of what is wanted begins anew."""
        patience = waits(jitter=self._clock.jitter)
        while True:
            scan = next((each for each in self._scans.values() if not each.done), None)
            if scan is None:
                self._to_do.clear()
                await self._to_do.wait()
                continue
            began = self._clock.monotonic()
            try:
                async with self.turn:
                    if self._scans.get(scan.collection) != scan:
                        continue  # begun anew while we waited
                    await self._page(scan, rows, began)
                patience = waits(jitter=self._clock.jitter)
            except (SourceError, OutboxError) as error:
                wait = next(patience)
                self._observe(ScanFailed(collection=scan.collection, reason=str(error), retry_in=wait))
                await self._clock.sleep(wait)
                continue
            await self._clock.sleep(timedelta(seconds=self._clock.monotonic() - began) * (SHARE - 1))

    async def _page(self, scan: Scan, rows: RowSource, began: float) -> None:
        page = await rows.page(scan.collection, frozenset(scan.names), after=scan.after, limit=PAGE_ROWS)
        read = replace(scan, after=page.after, rows=scan.rows + len(page.rows), done=page.after is None)
        await self._outbox.remember(page.rows, read)

        self._scans[scan.collection] = read
        self._observe(
            Scanned(
                collection=scan.collection,
                read=len(page.rows),
                rows=read.rows,
                total=page.total,
                done=read.done,
                took=timedelta(seconds=self._clock.monotonic() - began),
            )
        )
