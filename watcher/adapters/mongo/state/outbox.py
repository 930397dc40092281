"""The outbox in MongoDB: any number of replicas read it, and each writes what its leases let it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from pymongo import UpdateOne

from watcher.adapters.mongo.connect import connection, place_of
from watcher.adapters.mongo.state import figures, log, memory, registry
from watcher.adapters.mongo.state.counting import APPENDED, SWEPT, count, counted, oldest
from watcher.adapters.mongo.state.database import Session, State
from watcher.adapters.mongo.state.documents import (
    DUE,
    FATE,
    document_of,
    fate_of,
    held_of,
    stored_of,
)
from watcher.adapters.mongo.state.leases import MongoLeases
from watcher.adapters.mongo.state.news import News
from watcher.adapters.mongo.state.settling import Settler
from watcher.adapters.records import UNFINISHED, backfill_of, backfill_text, recovery_of, recovery_text
from watcher.core.backfill import Backfill
from watcher.core.changes import Checkpoint
from watcher.core.circuits import Standing
from watcher.core.deliveries import Delivery, Dossier, Fate, Lift, Stored
from watcher.core.deliveries import State as DeliveryState
from watcher.core.entering import Entered, entered
from watcher.core.events import Entity, EventId
from watcher.core.figures import Figure
from watcher.core.leases import Lease
from watcher.core.managing import AuditEntry, Registered, Sealed
from watcher.core.marks import Mark
from watcher.core.memory import Remembered, Scan
from watcher.core.recovery import Known, Position, Recovery
from watcher.core.searching import Wanted
from watcher.ports import ANYTHING, NOTHING_LEARNED, Counts, Settlement

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""How soon something new is noticed when nobody tells of it."""


class MongoOutbox:
    """An `Outbox` in a database of its own. Open it with `MongoOutbox.open`."""

    def __init__(self, state: State, news: News, settler: Settler, *, lease: Lease | None = None) -> None:
        self._state = state
        self._news = news
        self._settler = settler
        self._lease = lease

    @classmethod
    @asynccontextmanager
    async def open(
        cls, uri: str, database: str, *, watched: str | None = None, setting: str = "watcher.state"
    ) -> AsyncIterator[MongoOutbox]:
        """The outbox in this database, which `prepare` makes. Connects at the first use.

        `watched`: LibreChat's database, whose changes are in it. `setting`: where the URI stands.

        Raises SourceRefused for a string that is no URI."""
        async with connection(uri, setting=setting) as client:
            state = State(client, place_of(uri, database, setting=setting), watched=watched)
            news, settler = News(state), Settler(state)
            # No TaskGroup: it would wrap whatever is raised while the outbox is open.
            helping = [asyncio.create_task(news.follow()), asyncio.create_task(settler.run())]
            try:
                yield cls(state, news, settler)
            finally:
                for task in helping:
                    task.cancel()
                await asyncio.wait(helping)

    async def prepare(self) -> None:
        """Make what is missing. Raises OutboxError, or OutboxBroken for a state of a newer version."""
        await self._state.prepare()

    def leases(self, replica: str) -> MongoLeases:
        """The leases of those who share this state, as seen by one of them."""
        return MongoLeases(self._state, replica)

    def under(self, lease: Lease) -> MongoOutbox:
        """The same outbox; what is written by it is refused once another replica has that lease."""
        return MongoOutbox(self._state, self._news, self._settler, lease=lease)

    async def position(self) -> Position | None:
        document = await self._read(lambda: self._state["position"].find_one({"_id": "position"}))
        if document is None:
            return None
        recovery = document.get("recovery")
        return Position(
            checkpoint=Checkpoint(token=document["token"], at=document.get("at")),
            through=document["through"],
            began=document.get("began"),
            recovery=recovery_of(recovery) if recovery else None,
        )

    async def marks(self) -> Sequence[Mark]:
        found = await self._read(
            lambda: self._state["marks"].find().sort({"at": 1, "entity": 1, "row": 1}).to_list()
        )
        return [
            Mark(
                entity=Entity(each["entity"]),
                at=each["at"],
                row=Entity(each["row"]) if each["row"] else None,
                spent=each["spent"],
            )
            for each in found
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
        async def work(session: Session) -> Entered:
            held = await self._held(entries, through, session)
            done = await self._enter(entries, held=held, through=through, session=session)
            if marks:
                await self._state["marks"].bulk_write([_mark(mark) for mark in marks], session=session)
            if learned:
                await memory.learn(self._state, learned, session)
            await self._keep_position(checkpoint, through, recovery, session)
            return done

        done = await self._write(work)
        self._news.tell(_endpoints_with_more(done.tally))
        return len(done.new)

    async def memories(self, wanted: Mapping[str, frozenset[str]]) -> Sequence[Scan]:
        return await self._write(lambda session: memory.begin(self._state, wanted, session))

    async def recall(self, rows: Iterable[Entity]) -> Mapping[Entity, Remembered]:
        return await self._read(lambda: memory.recall(self._state, rows))

    async def remember(self, rows: Mapping[Entity, Remembered], scan: Scan) -> None:
        await self._write(lambda session: memory.remember(self._state, rows, scan, session))

    async def remembered(
        self, collection: str, *, after: str | None, limit: int
    ) -> tuple[Mapping[Entity, Remembered], str | None]:
        return await self._read(lambda: memory.page(self._state, collection, after=after, limit=limit))

    async def known(self, rows: Sequence[Entity]) -> Mapping[Entity, Known]:
        memories = await self.recall(rows)
        stored = await self._read(
            lambda: (
                self._state["deliveries"]
                .find({"row": {"$in": list(rows)}}, {"row": 1, "at": 1, "state": 1, "_id": 0})
                .to_list()
            )
        )
        known = {row: Known(memory=each) for row, each in memories.items()}
        for each in stored:
            before = known.get(Entity(each["row"]), Known())
            known[Entity(each["row"])] = replace(
                before,
                told=max(each["at"], before.told) if before.told else each["at"],
                held=before.held or each["state"] == "held",
            )
        return known

    async def backfill(self, name: str) -> Backfill | None:
        document = await self._read(lambda: self._state["backfills"].find_one({"_id": name}))
        return backfill_of(name, document["state"]) if document else None

    async def backfills(self) -> Sequence[Backfill]:
        unfinished = {"state": {"$regex": UNFINISHED}}
        found = await self._read(lambda: self._state["backfills"].find(unfinished).sort("_id").to_list())
        return [backfill_of(each["_id"], each["state"]) for each in found]

    async def fill(self, deliveries: Sequence[Delivery], backfill: Backfill) -> int:
        async def work(session: Session) -> Entered:
            done = await self._enter(deliveries, held=(), through=None, session=session)
            kept = replace(backfill, stored=backfill.stored + len(done.new))
            await self._state["backfills"].replace_one(
                {"_id": backfill.name}, {"state": backfill_text(kept)}, upsert=True, session=session
            )
            return done

        done = await self._write(work)
        self._news.tell(_endpoints_with_more(done.tally))
        return len(done.new)

    async def pending(self, endpoint: str, *, after: int, limit: int, max_bytes: int) -> Sequence[Stored]:
        return await self._pending({"endpoint": endpoint, "seq": {"$gt": after}}, limit, max_bytes)

    async def pending_of(
        self, endpoint: str, entity: Entity, *, start: int, limit: int, max_bytes: int
    ) -> Sequence[Stored]:
        wanted = {"endpoint": endpoint, "entity": entity, "seq": {"$gte": start}}
        return await self._pending(wanted, limit, max_bytes)

    async def members(self, endpoint: str, batch: EventId) -> Sequence[Stored]:
        return await self._pending({"endpoint": endpoint, "batch": batch})

    async def bind(self, members: Sequence[Stored], batch: EventId) -> None:
        await self._settler.bind(self._lease, [row.delivery.id for row in members], batch)

    async def settle(self, settlements: Sequence[Settlement], *, hurried: bool = True) -> None:
        await self._settler.settle(self._lease, settlements)

    async def appended(self, endpoint: str, *, after: int) -> None:
        wanted = {"state": "pending", "endpoint": endpoint, "seq": {"$gt": after}}
        while True:
            news = self._news.expect(endpoint)
            try:
                if await self._read(lambda: self._state["deliveries"].find_one(wanted, {"_id": 1})):
                    return
                await asyncio.wait({news}, timeout=LOOK_SECONDS)
            finally:
                self._news.forget(endpoint, news)

    async def standings(self) -> Mapping[str, Standing]:
        found = await self._read(lambda: self._state["standings"].find().to_list())
        return {
            each["_id"]: Standing(
                state=each["state"], reason=each["reason"], since=each["since"], until=each["until"]
            )
            for each in found
        }

    async def stand(
        self, endpoint: str, standing: Standing | None, *, replacing: str | None = ANYTHING
    ) -> bool:
        standings = self._state["standings"]

        async def work(session: Session) -> bool:
            before = await standings.find_one({"_id": endpoint}, session=session)
            if replacing not in (ANYTHING, before["state"] if before else None):
                return False
            if standing is None:
                await standings.delete_one({"_id": endpoint}, session=session)
                return True
            written = {
                "state": standing.state,
                "reason": standing.reason,
                "since": standing.since,
                "until": standing.until,
            }
            await standings.replace_one({"_id": endpoint}, written, upsert=True, session=session)
            return True

        return await self._write(work)

    async def counts(self) -> dict[str, Counts]:
        return await self._read(lambda: counted(self._state))

    async def oldest(self) -> Mapping[str, datetime]:
        return await self._read(lambda: oldest(self._state))

    async def fates(self, row: Entity, *, limit: int) -> Sequence[Fate]:
        found = await self._read(
            lambda: (
                self._state["deliveries"].find({"row": row}, FATE).sort({"seq": -1}).limit(limit).to_list()
            )
        )
        return [fate_of(each) for each in reversed(found)]

    async def search(
        self, wanted: Wanted, *, after: EventId | None, limit: int, oldest_first: bool = False
    ) -> Sequence[Fate]:
        return await self._read(
            lambda: log.page(self._state, wanted, after=after, limit=limit, oldest_first=oldest_first)
        )

    async def number(self, wanted: Wanted) -> Mapping[DeliveryState, int]:
        return await self._read(lambda: log.number(self._state, wanted))

    async def dossier(self, identity: EventId) -> Dossier | None:
        return await self._read(lambda: log.dossier(self._state, identity))

    async def replay(self, ids: Sequence[EventId]) -> Mapping[str, int]:
        tally = await self._write(lambda session: log.replay(self._state, ids, session))
        self._news.tell(_endpoints_with_more(tally))
        return {endpoint: by for (endpoint, state), by in tally.items() if state == "pending"}

    async def cancel(self, ids: Sequence[EventId], *, reason: str) -> Mapping[str, int]:
        tally = await self._write(lambda session: log.cancel(self._state, ids, reason, session))
        return {endpoint: by for (endpoint, state), by in tally.items() if state == "cancelled"}

    async def recalls(self) -> Mapping[str, int]:
        return await self._read(lambda: log.recalls(self._state))

    async def revision(self) -> int:
        return await self._read(lambda: registry.revision(self._state))

    async def registered(self) -> Registered:
        return await self._read(lambda: registry.registered(self._state))

    async def register(self, endpoint: Sealed, *, replacing: int | None, entry: AuditEntry) -> int | None:
        return await self._write(
            lambda session: registry.register(self._state, endpoint, replacing, entry, session)
        )

    async def deregister(self, name: str, *, replacing: int, entry: AuditEntry) -> bool:
        return await self._write(
            lambda session: registry.deregister(self._state, name, replacing, entry, session)
        )

    async def note(self, entry: AuditEntry) -> None:
        await self._write(lambda session: registry.note(self._state, entry, session))

    async def audit(self, *, before: int | None, limit: int) -> Sequence[tuple[int, AuditEntry]]:
        return await self._read(lambda: registry.audit(self._state, before, limit))

    async def tally(self, added: Sequence[Figure]) -> None:
        await self._write(lambda session: figures.tally(self._state, added, session))

    async def figures(
        self, since: datetime, until: datetime, *, endpoint: str | None = None
    ) -> Sequence[Figure]:
        return await self._read(lambda: figures.figures(self._state, since, until, endpoint))

    async def forget_figures(self, *, before: datetime, limit: int) -> int:
        return await self._read(lambda: figures.forget(self._state, before, limit))

    async def examine(self) -> None:
        pass  # MongoDB has checksums of its own, and a majority that holds the same

    async def used_bytes(self) -> int:
        return await self._state.size_bytes()

    async def forget_rows(self, *, limit: int) -> int:
        return await self._read(lambda: memory.forget(self._state, limit=limit))

    async def forget(
        self, *, delivered_before: datetime, dead_before: datetime, marks_before: datetime, limit: int
    ) -> int:
        before = {"delivered": delivered_before, "dead": dead_before, "cancelled": delivered_before}
        deliveries = self._state["deliveries"]

        async def work(session: Session) -> int:
            tally: Counter[tuple[str, Any]] = Counter()
            old: list[str] = []
            for state, time in before.items():
                if len(old) == limit:
                    break
                wanted = {"state": state, "settled_at": {"$lt": time}}
                found = deliveries.find(wanted, {"endpoint": 1}, session=session).sort("settled_at")
                for each in await found.limit(limit - len(old)).to_list():
                    old.append(each["_id"])
                    tally[each["endpoint"], state] -= 1
            if old:
                await deliveries.delete_many({"_id": {"$in": old}}, session=session)
                await count(self._state, tally, by=SWEPT, session=session)
            await self._state["marks"].delete_many({"at": {"$lt": marks_before}}, session=session)
            return len(old)

        return await self._write(work)

    # ------------------------------------------------------------------ inside a transaction

    async def _held(
        self, entries: Sequence[Delivery | Lift], through: datetime, session: Session
    ) -> Sequence[dict[str, Any]]:
        """Those held ones whose time is over, and those that a lift names."""
        lifts = [entry for entry in entries if isinstance(entry, Lift)]
        which: list[dict[str, Any]] = [{"held_until": {"$lte": through}}]
        if rows := [lift.key for lift in lifts if lift.by == "row"]:
            which.append({"hold_key": {"$in": rows}})
        if entities := [lift.key for lift in lifts if lift.by == "entity"]:
            which.append({"entity": {"$in": entities}})
        found = self._state["deliveries"].find(
            {"state": "held", "$or": which},
            ("endpoint", "entity", "hold_key", "held_until", "seq"),
            session=session,
        )
        return await found.to_list()

    async def _enter(
        self,
        entries: Sequence[Delivery | Lift],
        *,
        held: Sequence[dict[str, Any]],
        through: datetime | None,
        session: Session,
    ) -> Entered:
        """Store the deliveries, and what became of those that were held."""
        deliveries, now = self._state["deliveries"], datetime.now(UTC)
        ids = [entry.id for entry in entries if isinstance(entry, Delivery)]
        if not ids and not held:
            return Entered(last_seq=0)
        last_seq = await self._state.next_number("seq", session)
        known = deliveries.find({"_id": {"$in": ids}}, {"_id": 1}, session=session)
        done = entered(
            entries,
            held=[held_of(each) for each in held],
            there={EventId(each["_id"]) for each in await known.to_list()} if ids else (),
            last_seq=last_seq,
            through=through if through is not None else datetime.min.replace(tzinfo=UTC),
        )
        if done.new:
            documents = [document_of(each, now=now) for each in done.new.values()]
            await deliveries.insert_many(documents, session=session)
        changes = [
            UpdateOne({"_id": identity}, {"$set": {"state": "pending", "seq": seq}})
            for identity, seq in done.let_go.items()
        ] + [
            UpdateOne(
                {"_id": identity}, {"$set": {"state": "cancelled", "reason": reason, "settled_at": now}}
            )
            for identity, reason in done.cancelled.items()
        ]
        if changes:
            await deliveries.bulk_write(changes, ordered=False, session=session)
        await count(self._state, done.tally, by=APPENDED, session=session)
        await self._state["sequence"].update_one(
            {"_id": "seq"}, {"$set": {"value": done.last_seq}}, session=session
        )
        return done

    async def _keep_position(
        self, checkpoint: Checkpoint, through: datetime, recovery: Recovery | None, session: Session
    ) -> None:
        """A checkpoint without a time keeps that of the one before."""
        written: dict[str, Any] = {
            "token": checkpoint.token,
            "through": through,
            "recovery": recovery_text(recovery) if recovery is not None else None,
        }
        if checkpoint.at is not None:
            written["at"] = checkpoint.at
        await self._state["position"].update_one(
            {"_id": "position"},
            {"$set": written, "$setOnInsert": {"began": through}},
            upsert=True,
            session=session,
        )

    # ------------------------------------------------------------------ helpers

    async def _pending(
        self, wanted: Mapping[str, Any], limit: int = 0, max_bytes: int | None = None
    ) -> Sequence[Stored]:
        """The rows up to the one with which their bodies reach the bound: the rest is not even fetched."""

        async def read() -> Sequence[Stored]:
            found: list[Stored] = []
            total = 0
            rows = self._state["deliveries"].find({"state": "pending", **wanted}, DUE).sort("seq")
            async with rows.limit(limit) as cursor:
                async for document in cursor:
                    found.append(stored_of(document))
                    total += found[-1].delivery.size
                    if max_bytes is not None and total >= max_bytes:
                        break
            return found

        return await self._read(read)

    async def _read(self, work: Callable[[], Awaitable[T]]) -> T:
        return await self._state.read(work)

    async def _write(self, work: Callable[[Session], Awaitable[T]]) -> T:
        return await self._state.transact(work, lease=self._lease)


def _mark(mark: Mark) -> UpdateOne:
    return UpdateOne(
        {"_id": {"entity": mark.entity, "row": mark.row or ""}},
        {"$set": {"entity": mark.entity, "row": mark.row or "", "at": mark.at, "spent": mark.spent}},
        upsert=True,
    )


def _endpoints_with_more(tally: Mapping[tuple[str, Any], int]) -> Iterable[str]:
    return [endpoint for (endpoint, state), change in tally.items() if state == "pending" and change > 0]
