"""The outbox on SQLite: deliveries, holds, marks and the checkpoint in one file, written by one process."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from watcher.adapters.records import attempt_text
from watcher.adapters.sqlite import backfills, figures, log, memory, registry, standings
from watcher.adapters.sqlite.checks import crc, demand
from watcher.adapters.sqlite.database import connect, examine, locked, translated
from watcher.adapters.sqlite.fates import fates
from watcher.adapters.sqlite.position import keep_position, known, position
from watcher.adapters.sqlite.statements import SQL, add
from watcher.adapters.sqlite.writer import Writer
from watcher.adapters.times import MILLISECOND, from_ms, maybe_from_ms, to_ms
from watcher.core.attempts import KEPT
from watcher.core.backfill import Backfill
from watcher.core.changes import Checkpoint
from watcher.core.circuits import Standing
from watcher.core.deliveries import Delivery, Dossier, Fate, Lift, State, Stored
from watcher.core.events import Entity, EventId, EventType
from watcher.core.figures import Figure
from watcher.core.managing import AuditEntry, Registered, Sealed
from watcher.core.marks import Mark
from watcher.core.memory import Remembered, Scan
from watcher.core.recovery import Known, Position, Recovery
from watcher.core.searching import Wanted
from watcher.core.settlements import Record
from watcher.ports import ANYTHING, NOTHING_LEARNED, Counts, Settlement

T = TypeVar("T")
Tally = Counter[tuple[str, str]]
"""Deliveries by (endpoint, state): how a transaction changes the counts."""

OTHERS_SECONDS = 1.0
"""How soon deliveries are noticed that another process stored: a backfill, a replay."""

INSERT_ROWS = 200
"""Rows per INSERT: more gain nothing, and statements grow."""


class SqliteOutbox:
    """An `Outbox` in one file. Open it with `SqliteOutbox.open`."""

    def __init__(self, path: Path, writer: Writer, reading: sqlite3.Connection, *, last_seq: int) -> None:
        self._path = path
        self._writer = writer
        self._reading = reading
        # A thread of its own: reads never wait behind a commit's flush.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="outbox-reader")
        self._last_seq = last_seq  # the writer's thread only
        self._waiting: dict[str, set[asyncio.Future[None]]] = defaultdict(set)

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator[SqliteOutbox]:
        """The outbox at this path, made if need be. Raises OutboxLocked, OutboxError or OutboxBroken."""
        with locked(path):
            async with cls._opened(path) as outbox:
                yield outbox

    @classmethod
    @asynccontextmanager
    async def _opened(cls, path: Path) -> AsyncIterator[SqliteOutbox]:
        with closing(connect(path, writing=True)) as writing:
            with translated(path):
                (last_seq,) = writing.execute(SQL["last_seq"]).fetchone()
            with closing(connect(path, writing=False)) as reading:
                writer = Writer(writing, path)
                outbox = cls(path, writer, reading, last_seq=last_seq)
                try:
                    yield outbox
                finally:
                    await writer.close()
                    outbox._reader.shutdown()

    @classmethod
    @asynccontextmanager
    async def beside(cls, path: Path) -> AsyncIterator[SqliteOutbox]:
        """The outbox of a `run` that is at work, to store something more in it. Raises OutboxError."""
        async with cls._opened(path) as outbox:
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

        def work(db: sqlite3.Connection) -> tuple[int, Tally]:
            tally: Tally = Counter()
            self._notice_others(db)
            due = {"through": to_ms(through), "lifted": json.dumps(lifted)}
            self._end_holds(db, SQL["held_due"], due, tally)
            new, ahead = 0, _held_ids(entries)
            for run in _runs(entries):
                if isinstance(run, Lift):
                    self._lift(db, run, ahead, tally)
                else:
                    new += self._add(db, run, tally)
                    ahead = ahead[len(_held_ids(run)) :]
            db.executemany(SQL["keep_mark"], map(_mark_row, marks))
            memory.learn(db, learned)
            keep_position(db, Position(checkpoint=checkpoint, through=through, recovery=recovery))
            _count(db, tally)
            return new, tally

        new, tally = await self._writer.do(work)
        self._wake(endpoint for (endpoint, state), by in tally.items() if state == "pending" and by > 0)
        return int(new)

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
        def work(db: sqlite3.Connection) -> tuple[int, Tally]:
            tally: Tally = Counter()
            self._notice_others(db)
            new = self._add(db, deliveries, tally)
            backfills.keep(db, replace(backfill, stored=backfill.stored + new))
            _count(db, tally)
            return new, tally

        new, tally = await self._writer.do(work)
        self._wake(endpoint for (endpoint, state), by in tally.items() if state == "pending" and by > 0)
        return int(new)

    async def pending(self, endpoint: str, *, after: int, limit: int, max_bytes: int) -> Sequence[Stored]:
        given = {"endpoint": endpoint, "after": after, "limit": limit}
        return await self._read(lambda db: _bounded(db.execute(SQL["pending"], given), max_bytes))

    async def pending_of(
        self, endpoint: str, entity: Entity, *, start: int, limit: int, max_bytes: int
    ) -> Sequence[Stored]:
        given = {"endpoint": endpoint, "entity": entity, "start": start, "limit": limit}
        return await self._read(lambda db: _bounded(db.execute(SQL["pending_of"], given), max_bytes))

    async def members(self, endpoint: str, batch: EventId) -> Sequence[Stored]:
        given = {"endpoint": endpoint, "batch": batch}
        return await self._read(lambda db: [_stored(row) for row in db.execute(SQL["members"], given)])

    async def bind(self, members: Sequence[Stored], batch: EventId) -> None:
        given = {"batch": batch, "seqs": json.dumps([row.seq for row in members])}
        await self._writer.do(lambda db: db.execute(SQL["bind"], given))

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        rows = [_settled(each.stored, record) for each in settlements if (record := each.record) is not None]
        if not rows:
            return

        def work(db: sqlite3.Connection) -> None:
            tally: Tally = Counter()
            given = {"rows": json.dumps(rows), "kept": KEPT}
            for endpoint, state in db.execute(SQL["settle"], given).fetchall():
                tally[endpoint, "pending"] -= 1
                tally[endpoint, state] += 1
            _count(db, tally)

        await self._writer.do(work)

    async def appended(self, endpoint: str, *, after: int) -> None:
        given = {"endpoint": endpoint, "after": after}
        while True:
            news = asyncio.get_running_loop().create_future()
            self._waiting[endpoint].add(news)
            try:
                if await self._read(lambda db: db.execute(SQL["any_pending"], given).fetchone()[0]):
                    return
                # What a command beside us stores wakes nobody here.
                await asyncio.wait({news}, timeout=OTHERS_SECONDS)
            finally:
                self._waiting[endpoint].discard(news)

    async def standings(self) -> Mapping[str, Standing]:
        return await self._read(standings.kept)

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
        def work(db: sqlite3.Connection) -> Tally:
            tally: Tally = Counter()
            self._notice_others(db)
            rows = db.execute(SQL["to_replay"], {"ids": json.dumps(ids)}).fetchall()
            for seq, endpoint, state in rows:
                self._last_seq += 1
                db.execute(SQL["replay"], {"seq": seq, "next": self._last_seq})
                tally[endpoint, state] -= 1
                tally[endpoint, "pending"] += 1
            _count(db, tally)
            return tally

        changed = _became("pending", await self._writer.do(work))
        self._wake(changed)
        return changed

    async def cancel(self, ids: Sequence[EventId], *, reason: str) -> Mapping[str, int]:
        def work(db: sqlite3.Connection) -> Tally:
            tally: Tally = Counter()
            given = {"ids": json.dumps(ids), "reason": reason, "now": to_ms(_now())}
            for state in ("held", "pending"):
                for (endpoint,) in db.execute(SQL["cancel_all"], {**given, "state": state}).fetchall():
                    tally[endpoint, state] -= 1
                    tally[endpoint, "cancelled"] += 1
            for endpoint in {endpoint for endpoint, _ in tally}:
                db.execute(SQL["recall"], {"endpoint": endpoint})
            _count(db, tally)
            return tally

        return _became("cancelled", await self._writer.do(work))

    async def recalls(self) -> Mapping[str, int]:
        return await self._read(lambda db: dict(db.execute(SQL["recalls"]).fetchall()))

    async def revision(self) -> int:
        return await self._read(registry.revision)

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

        def work(db: sqlite3.Connection) -> int:
            tally: Tally = Counter()
            self._notice_others(db)
            for state, time in before.items():
                left = limit + tally.total()
                given = {"state": state, "before": to_ms(time), "limit": left}
                for key in db.execute(SQL["forget"], given).fetchall():
                    tally[key] -= 1
            if tally:
                db.execute(SQL["keep_last_seq"], {"seq": self._last_seq})
            db.execute(SQL["forget_marks"], {"before": to_ms(marks_before)})
            _count(db, tally)
            return -tally.total()

        return int(await self._writer.do(work))

    # ------------------------------------------------------------------ in the writer's thread

    def _notice_others(self, db: sqlite3.Connection) -> None:
        """A command beside us may have stored deliveries: ours stand behind them."""
        (last_seq,) = db.execute(SQL["last_seq"]).fetchone()
        self._last_seq = max(self._last_seq, last_seq)

    def _add(self, db: sqlite3.Connection, deliveries: Sequence[Delivery], tally: Tally) -> int:
        new = 0
        for start in range(0, len(deliveries), INSERT_ROWS):
            chunk = deliveries[start : start + INSERT_ROWS]
            values: list[Any] = []
            for delivery in chunk:
                self._last_seq += 1
                values += _new_row(self._last_seq, delivery)
            for key in db.execute(add(len(chunk)), values).fetchall():
                tally[key] += 1
                new += 1
        return new

    def _lift(self, db: sqlite3.Connection, lift: Lift, ahead: Sequence[EventId], tally: Tally) -> None:
        held = SQL["held_of_row" if lift.by == "row" else "held_of_entity"]
        given = {"key": lift.key, "ahead": json.dumps(ahead)}
        if lift.to == "pending":
            self._end_holds(db, held, given, tally)
            return
        for seq, endpoint in db.execute(held, given).fetchall():
            db.execute(SQL["cancel"], {"seq": seq, "reason": lift.reason, "now": to_ms(_now())})
            tally[endpoint, "held"] -= 1
            tally[endpoint, "cancelled"] += 1

    def _end_holds(self, db: sqlite3.Connection, found: str, given: dict[str, Any], tally: Tally) -> None:
        for seq, endpoint in db.execute(found, given).fetchall():
            self._last_seq += 1
            db.execute(SQL["let_go"], {"seq": seq, "next": self._last_seq})
            tally[endpoint, "held"] -= 1
            tally[endpoint, "pending"] += 1

    # ------------------------------------------------------------------ helpers

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def reading() -> T:
            with translated(self._path):
                return work(self._reading)

        return await asyncio.get_running_loop().run_in_executor(self._reader, reading)

    def _wake(self, endpoints: Iterable[str]) -> None:
        for endpoint in endpoints:
            for news in self._waiting[endpoint]:
                if not news.done():
                    news.set_result(None)


def _bounded(rows: Iterable[Sequence[Any]], max_bytes: int) -> Sequence[Stored]:
    """The rows up to the one with which their bodies reach the bound: the rest is not even fetched."""
    found, total = [], 0
    for row in rows:
        found.append(_stored(row))
        total += found[-1].delivery.size
        if total >= max_bytes:
            break
    return found


def _runs(entries: Sequence[Delivery | Lift]) -> Iterable[Sequence[Delivery] | Lift]:
    """Deliveries that stand together, and the lifts between them, in their order."""
    run: list[Delivery] = []
    for entry in entries:
        if isinstance(entry, Lift):
            yield run
            yield entry
            run = []
        else:
            run.append(entry)
    yield run


def _held_ids(entries: Iterable[Delivery | Lift]) -> Sequence[EventId]:
    return [entry.id for entry in entries if isinstance(entry, Delivery) and entry.hold is not None]


def _new_row(seq: int, delivery: Delivery) -> Sequence[Any]:
    hold, at = delivery.hold, to_ms(delivery.at)
    dead = delivery.refused is not None
    return (
        seq,
        delivery.id,
        delivery.endpoint,
        delivery.event,
        delivery.entity,
        delivery.row,
        at,
        "dead" if dead else "held" if hold else "pending",
        hold.key if hold else None,
        to_ms(hold.until) if hold else None,
        delivery.refused,
        to_ms(_now()) if dead else None,
        _crc(
            delivery.id,
            delivery.endpoint,
            delivery.event,
            delivery.entity,
            at,
            delivery.body,
            delivery.context,
        ),
        delivery.body,
        delivery.context,
        delivery.user,
        delivery.conversation,
    )


def _mark_row(mark: Mark) -> dict[str, Any]:
    return {"entity": mark.entity, "row": mark.row or "", "at": to_ms(mark.at), "spent": mark.spent}


def _settled(stored: Stored, record: Record) -> Sequence[Any]:
    return (
        stored.seq,
        record.state,
        record.attempts,
        to_ms(record.due_at),
        record.status,
        record.reason,
        to_ms(record.attempted_at),
        record.took // MILLISECOND,
        to_ms(record.settled_at),
        attempt_text(record.attempt),
    )


def _stored(row: Sequence[Any]) -> Stored:
    seq, identity, endpoint, event, entity, of_row, at, attempts, due_at, batch, stored_crc, body, context = (
        row
    )
    sound = isinstance(body, bytes) and isinstance(context, bytes | None)
    # Rows of version 1 have none.
    demand(
        sound and stored_crc in (None, _crc(identity, endpoint, event, entity, at, body, context)),
        f"delivery {seq}",
    )
    delivery = Delivery(
        id=EventId(identity),
        endpoint=endpoint,
        event=EventType(event),
        entity=Entity(entity),
        row=Entity(of_row),
        at=from_ms(at),
        body=body,
        context=context,
    )
    return Stored(
        seq=seq,
        delivery=delivery,
        attempts=attempts,
        due_at=maybe_from_ms(due_at),
        batch=EventId(batch) if batch is not None else None,
    )


def _crc(
    identity: str, endpoint: str, event: str, entity: str, at: int | None, body: bytes, context: bytes | None
) -> int:
    """Of what never changes of a delivery. Those without a context have the one that version 2 gave them."""
    return crc(identity, endpoint, event, entity, at, body=body + (context or b""))


def _became(wanted: str, tally: Tally) -> Mapping[str, int]:
    """How many came to a state, by endpoint."""
    return {endpoint: by for (endpoint, state), by in tally.items() if state == wanted}


def _count(db: sqlite3.Connection, tally: Tally) -> None:
    rows = [{"endpoint": endpoint, "state": state, "by": by} for (endpoint, state), by in tally.items() if by]
    db.executemany(SQL["count"], rows)


def _now() -> datetime:
    return datetime.now(UTC)
