"""The outbox on SQLite: deliveries, holds, marks and the checkpoint in one file, written by one process."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from watcher.adapters.sqlite import backfills, figures, log, memory, registry, standings
from watcher.adapters.sqlite.changing import Changing, Numbers, held_ids, runs
from watcher.adapters.sqlite.database import connect, examine, locked, translated
from watcher.adapters.sqlite.fates import fates
from watcher.adapters.sqlite.fresh import Fresh
from watcher.adapters.sqlite.polling import OTHERS_SECONDS, Polling
from watcher.adapters.sqlite.position import keep_position, known, position
from watcher.adapters.sqlite.rows import bounded, stored
from watcher.adapters.sqlite.spots import spot
from watcher.adapters.sqlite.statements import SQL
from watcher.adapters.sqlite.writer import Writer
from watcher.adapters.times import from_ms, to_ms
from watcher.core.backfill import Backfill
from watcher.core.changes import Checkpoint
from watcher.core.circuits import Standing
from watcher.core.deliveries import Delivery, Dossier, Fate, Lift, State, Stored
from watcher.core.events import Entity, EventId
from watcher.core.figures import Figure
from watcher.core.managing import AuditEntry, Registered, Sealed
from watcher.core.marks import Mark
from watcher.core.memory import Remembered, Scan
from watcher.core.recovery import Known, Position, Recovery
from watcher.core.searching import Wanted
from watcher.ports import ANYTHING, NOTHING_LEARNED, Counts, Settlement

T = TypeVar("T")


class SqliteOutbox:
    """An `Outbox` in one file. Open it with `SqliteOutbox.open`."""

    def __init__(
        self,
        path: Path,
        writer: Writer,
        reading: sqlite3.Connection,
        numbers: Numbers,
        polling: Polling,
    ) -> None:
        self._path = path
        self._writer = writer
        self._reading = reading
        # A thread of its own: reads never wait behind a commit's flush.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="outbox-reader")
        self._numbers = numbers  # the writer's thread only
        self._fresh = Fresh()
        self._polling = polling
        self._recalls: Mapping[str, int] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = defaultdict(set)

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator[SqliteOutbox]:
        """The outbox at this path, made if need be. Raises OutboxLocked, OutboxError or OutboxBroken."""
        with locked(path):
            async with cls._opened(path, beside=False) as outbox:
                yield outbox

    @classmethod
    @asynccontextmanager
    async def _opened(cls, path: Path, *, beside: bool) -> AsyncIterator[SqliteOutbox]:
        with closing(connect(path, writing=True, beside=beside)) as writing:
            with translated(path):
                numbers = Numbers(writing)
            with (
                closing(connect(path, writing=False)) as reading,
                closing(connect(path, writing=False, waits=False)) as looking,
            ):
                writer = Writer(writing, path)
                outbox = cls(path, writer, reading, numbers, Polling(looking))
                try:
                    yield outbox
                finally:
                    await writer.close()
                    outbox._reader.shutdown()

    @classmethod
    @asynccontextmanager
    async def beside(cls, path: Path) -> AsyncIterator[SqliteOutbox]:
        """The outbox of a `run` that is at work, to store something more in it. Raises OutboxError, also when
        that is of an older version."""
        async with cls._opened(path, beside=True) as outbox:
            yield outbox

    async def position(self) -> Position | None:
        return await self._read(position)

    async def marks(self) -> Sequence[Mark]:
        rows = await self._read(lambda db: db.execute(SQL["marks"]).fetchall())
        return [
            Mark(entity=Entity(entity), at=from_ms(at), row=Entity(row) if row else None, spent=bool(spent))
            for entity, row, at, spent in rows
        ]

    async def append(
        self,
        entries: Sequence[Delivery | Lift],
        *,
        checkpoint: Checkpoint,
        through: datetime,
        marks: Sequence[Mark] = (),
        learned: Mapping[Entity, Remembered | None] = NOTHING_LEARNED,
        recovery: Recovery | None = None,
    ) -> int:
        lifted = [entry.key for entry in entries if isinstance(entry, Lift) and entry.by == "row"]

        def work(db: sqlite3.Connection, changing: Changing) -> None:
            changing.end_holds(through, lifted=lifted)
            ahead = held_ids(entries)
            for run in runs(entries):
                if isinstance(run, Lift):
                    changing.lift(run, ahead)
                else:
                    changing.add(run)
                    ahead = ahead[len(held_ids(run)) :]
            db.executemany(SQL["keep_mark"], map(_mark_row, marks))
            memory.learn(db, learned)
            keep_position(db, Position(checkpoint=checkpoint, through=through, recovery=recovery))

        return (await self._change(work)).new

    async def memories(self, wanted: Mapping[str, frozenset[str]]) -> Sequence[Scan]:
        scans: Sequence[Scan] = await self._writer.do(lambda db: memory.begin(db, wanted))
        return scans

    async def recall(self, rows: Iterable[Entity]) -> Mapping[Entity, Remembered]:
        return await self._read(lambda db: memory.recall(db, rows))

    async def remember(self, rows: Mapping[Entity, Remembered], scan: Scan) -> None:
        await self._writer.do(lambda db: memory.remember(db, rows, scan))

    async def remembered(
        self, collection: str, *, after: str | None, limit: int
    ) -> tuple[Mapping[Entity, Remembered], str | None]:
        return await self._read(lambda db: memory.page(db, collection, after=after, limit=limit))

    async def known(self, rows: Sequence[Entity]) -> Mapping[Entity, Known]:
        return await self._read(lambda db: known(db, rows))

    async def backfill(self, name: str) -> Backfill | None:
        return await self._read(lambda db: backfills.kept(db, name))

    async def backfills(self) -> Sequence[Backfill]:
        return await self._read(backfills.unfinished)

    async def fill(self, deliveries: Sequence[Delivery], backfill: Backfill) -> int:
        def work(db: sqlite3.Connection, changing: Changing) -> None:
            changing.add(deliveries)
            backfills.keep(db, replace(backfill, stored=backfill.stored + changing.new))

        return (await self._change(work)).new

    async def pending(self, endpoint: str, *, after: int, limit: int, max_bytes: int) -> Sequence[Stored]:
        known = self._fresh.take(endpoint, after=after, limit=limit, max_bytes=max_bytes)
        if known is not None:
            return known
        given = {"endpoint": endpoint, "after": after, "limit": limit}
        return await self._read(lambda db: bounded(db.execute(SQL["pending"], given), max_bytes))

    async def pending_of(
        self, endpoint: str, entity: Entity, *, start: int, limit: int, max_bytes: int
    ) -> Sequence[Stored]:
        given = {
            "endpoint": endpoint,
            "entity": entity,
            "start": start,
            "limit": limit,
            "spot": spot(start, entity),
        }
        return await self._read(lambda db: bounded(db.execute(SQL["pending_of"], given), max_bytes))

    async def members(self, endpoint: str, batch: EventId) -> Sequence[Stored]:
        given = {"endpoint": endpoint, "batch": batch}
        return await self._read(lambda db: [stored(row) for row in db.execute(SQL["members"], given)])

    async def bind(self, members: Sequence[Stored], batch: EventId) -> None:
        given = {"batch": batch, "seqs": json.dumps([row.seq for row in members])}
        await self._writer.do(lambda db: db.execute(SQL["bind"], given))

    async def settle(self, settlements: Sequence[Settlement], *, hurried: bool = True) -> None:
        await self._change(lambda _, changing: changing.settle(settlements), hurried=hurried)

    async def appended(self, endpoint: str, *, after: int) -> None:
        given, loop = {"endpoint": endpoint, "after": after}, asyncio.get_running_loop()

        async def look() -> bool:
            return bool(await self._read(lambda db: db.execute(SQL["any_pending"], given).fetchone()[0]))

        seen: int | None = None  # of the store, when nothing was found in it
        while True:
            news = loop.create_future()
            self._waiting[endpoint].add(news)
            try:
                known, version = self._fresh.beyond(endpoint, after=after), self._polling.version()
                if known:
                    return
                if known is None:
                    if (version is None or version != seen) and await look():
                        return
                    seen = version
                elif await self._polling.finds(endpoint, look, clock=loop.time()):
                    self._fresh.forget()  # it knew nothing of that
                    return
                # What a command beside us stores wakes nobody here.
                alarm = loop.call_later(OTHERS_SECONDS, _ring, news)
                try:
                    await news
                finally:
                    alarm.cancel()
            finally:
                self._waiting[endpoint].discard(news)

    async def standings(self) -> Mapping[str, Standing]:
        return await self._polling.read("standings", lambda: self._read(standings.kept))

    async def stand(
        self, endpoint: str, standing: Standing | None, *, replacing: str | None = ANYTHING
    ) -> bool:
        return bool(await self._writer.do(lambda db: standings.keep(db, endpoint, standing, replacing)))

    async def counts(self) -> dict[str, Counts]:
        return await self._read(standings.counts)

    async def oldest(self) -> Mapping[str, datetime]:
        rows = await self._read(lambda db: db.execute(SQL["oldest"]).fetchall())
        return {endpoint: from_ms(at) for endpoint, at in rows if at is not None}

    async def fates(self, row: Entity, *, limit: int) -> Sequence[Fate]:
        return await self._read(lambda db: fates(db, row, limit=limit))

    async def search(
        self, wanted: Wanted, *, after: EventId | None, limit: int, oldest_first: bool = False
    ) -> Sequence[Fate]:
        return await self._read(
            lambda db: log.page(db, wanted, after=after, limit=limit, oldest_first=oldest_first)
        )

    async def number(self, wanted: Wanted) -> Mapping[State, int]:
        return await self._read(lambda db: log.number(db, wanted))

    async def dossier(self, identity: EventId) -> Dossier | None:
        return await self._read(lambda db: log.dossier(db, identity))

    async def replay(self, ids: Sequence[EventId]) -> Mapping[str, int]:
        return (await self._change(lambda _, changing: changing.replay(ids))).became("pending")

    async def cancel(self, ids: Sequence[EventId], *, reason: str) -> Mapping[str, int]:
        return (await self._change(lambda _, changing: changing.cancel(ids, reason))).became("cancelled")

    async def recalls(self) -> Mapping[str, int]:
        found: Mapping[str, int] = await self._polling.read(
            "recalls", lambda: self._read(lambda db: dict(db.execute(SQL["recalls"]).fetchall()))
        )
        if found != self._recalls:
            self._fresh.forget()  # also what a command beside us took back
            self._recalls = found
        return found

    async def revision(self) -> int:
        return await self._polling.read("revision", lambda: self._read(registry.revision))

    async def registered(self) -> Registered:
        return await self._read(registry.registered)

    async def register(self, endpoint: Sealed, *, replacing: int | None, entry: AuditEntry) -> int | None:
        number: int | None = await self._writer.do(
            lambda db: registry.register(db, endpoint, replacing, entry)
        )
        return number

    async def deregister(self, name: str, *, replacing: int, entry: AuditEntry) -> bool:
        return bool(await self._writer.do(lambda db: registry.deregister(db, name, replacing, entry)))

    async def note(self, entry: AuditEntry) -> None:
        await self._writer.do(lambda db: registry.note(db, entry))

    async def audit(self, *, before: int | None, limit: int) -> Sequence[tuple[int, AuditEntry]]:
        return await self._read(lambda db: registry.audit(db, before, limit))

    async def tally(self, added: Sequence[Figure]) -> None:
        await self._writer.do(lambda db: figures.tally(db, added))

    async def figures(
        self, since: datetime, until: datetime, *, endpoint: str | None = None
    ) -> Sequence[Figure]:
        return await self._read(lambda db: figures.figures(db, since, until, endpoint))

    async def forget_figures(self, *, before: datetime, limit: int) -> int:
        return int(await self._writer.do(lambda db: figures.forget(db, before, limit)))

    async def examine(self) -> None:
        with closing(connect(self._path, writing=False)) as db:
            examining = asyncio.ensure_future(asyncio.to_thread(examine, db, self._path))
            try:
                await asyncio.shield(examining)
            except asyncio.CancelledError:
                db.interrupt()
                await asyncio.wait({examining})
                raise

    async def used_bytes(self) -> int:
        return await self._read(lambda db: int(db.execute(SQL["used_bytes"]).fetchone()[0]))

    async def forget_rows(self, *, limit: int) -> int:
        given = {"limit": limit}
        return int(await self._writer.do(lambda db: db.execute(SQL["forget_rows"], given).rowcount))

    async def forget(
        self, *, delivered_before: datetime, dead_before: datetime, marks_before: datetime, limit: int
    ) -> int:
        before = {"delivered": delivered_before, "dead": dead_before, "cancelled": delivered_before}

        gone = 0

        def work(db: sqlite3.Connection, changing: Changing) -> None:
            nonlocal gone
            gone = 0  # a transaction that fails is begun again
            for state, time in before.items():
                gone += changing.forget(state, time, limit=limit - gone)
            db.execute(SQL["forget_marks"], {"before": to_ms(marks_before)})

        await self._change(work)
        return gone

    # ------------------------------------------------------------------ helpers

    async def _change(
        self, work: Callable[[sqlite3.Connection, Changing], None], *, hurried: bool = True
    ) -> Changing:
        """Have deliveries changed in a transaction, and who waits for new ones woken."""

        def changing(db: sqlite3.Connection) -> Changing:
            changing = Changing(db, self._numbers)
            work(db, changing)
            changing.close()
            return changing

        try:
            done: Changing = await self._writer.do(changing, hurried=hurried)
        except asyncio.CancelledError:  # it may be done all the same: who waits has to look
            self._fresh.forget()
            self._wake(self._waiting)
            raise
        if done.added is None:
            self._fresh.forget()
        elif done.upto > done.after:
            self._fresh.extend(done.added, after=done.after, upto=done.upto)
        self._wake(done.became("pending"))
        return done

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def reading() -> T:
            with translated(self._path):
                return work(self._reading)

        return await asyncio.get_running_loop().run_in_executor(self._reader, reading)

    def _wake(self, endpoints: Iterable[str]) -> None:
        for endpoint in endpoints:
            for news in self._waiting[endpoint]:
                _ring(news)


def _ring(news: asyncio.Future[None]) -> None:
    if not news.done():
        news.set_result(None)


def _mark_row(mark: Mark) -> dict[str, Any]:
    return {"entity": mark.entity, "row": mark.row or "", "at": to_ms(mark.at), "spent": mark.spent}
