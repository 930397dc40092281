"""The state's database: its collections, its indexes, the version of its schema, and its complaints."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import pymongo
from bson.codec_options import CodecOptions
from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    BulkWriteError,
    CollectionInvalid,
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from watcher.adapters.mongo.connect import Client, Place
from watcher.cancelling import heed
from watcher.core.leases import Lease
from watcher.errors import LeaseLost, OutboxBroken, OutboxError

T = TypeVar("T")
Document = dict[str, Any]
Session = AsyncClientSession
Collection = AsyncCollection[Document]

SCHEMA_VERSION = 3
"""1: the first. 2: what people search by, with its indexes; what is there already is not known by it.
3: managed endpoints, the audit list, figures."""

PATIENCE = timedelta(seconds=10)
"""For one transaction with all that it takes to try again: an election takes less. Then the caller hears of
it, and waits by its own rules."""

ENDING = timedelta(milliseconds=500)
"""For the end of a dead replica's transactions: most often there are none, and its work waits."""

SESSIONS = 8
"""Transactions at once, of one replica. Most of what there is to write goes in one after the other."""

DUPLICATE, WRITE_CONFLICT = 11000, 112
COLLISIONS = 5
"""How often a transaction is begun anew because another one entered the same: it finds that there, then."""

PENDING, HELD, IN_BATCH, SETTLED = (
    {"state": "pending"},
    {"state": "held"},
    {"state": "pending", "batch": {"$exists": True}},
    {"settled_at": {"$exists": True}},
)


IN_THE_LOG, OF_EVENT = "in_the_log", "of_event"


def _index(*keys: str, where: Mapping[str, Any] | None = None, **more: Any) -> IndexModel:
    directions = [(key.removeprefix("-"), DESCENDING if key[0] == "-" else ASCENDING) for key in keys]
    partly = {"partialFilterExpression": where} if where else {}
    return IndexModel(directions, **partly, **more)


INDEXES: Mapping[str, Sequence[IndexModel]] = {
    "deliveries": [
        # What dispatch reads by. Partial, so that the many settled ones weigh nothing in them.
        _index("endpoint", "seq", where=PENDING),
        _index("endpoint", "entity", "seq", where=PENDING),
        _index("batch", "seq", where=IN_BATCH),
        # What ends holds.
        _index("held_until", where=HELD),
        _index("hold_key", where=HELD),
        _index("entity", "held_until", where=HELD),
        # What housekeeping drops.
        _index("state", "settled_at", where=SETTLED),
        # What became of one row's events.
        _index("row", "-seq"),
        # What people search by, in the order of ids, which is that of time. With the event, which is then
        # looked at without reading the document.
        _index("endpoint", "state", "_id", "event", name=IN_THE_LOG),
        _index("event", "endpoint", "_id", name=OF_EVENT),
        _index("user", "_id", where={"user": {"$exists": True}}),
        _index("conversation", "_id", where={"conversation": {"$exists": True}}),
    ],
    "marks": [_index("at")],
    # What people look at; what housekeeping drops.
    "figures": [_index("_id.endpoint", "_id.hour"), _index("_id.hour")],
    # Of replicas that are no more.
    "leases": [_index("until", where={"sessions": {"$exists": True}}, expireAfterSeconds=86_400)],
}
COLLECTIONS = (
    *INDEXES,
    "fences",
    "position",
    "sequence",
    "counts",
    "scans",
    "memory",
    "backfills",
    "standings",
    "recalls",
    "registered",
    "audit",
)
"""All of them are made at the start: in a transaction a collection cannot be made by two at once."""


class State:
    """The state's database as all of its parts use it."""

    def __init__(self, client: Client, place: Place, *, watched: str | None = None) -> None:
        """`watched`: LibreChat's database, of whose changes this is the state; None where nobody knows."""
        self._client = client
        self._watched = watched
        # Always the same few: so that others can end them, should we die in the middle of a transaction.
        self._sessions = [client.start_session(causal_consistency=False) for _ in range(SESSIONS)]
        # Of its own, as it must not wait for any of the others.
        self._attempting = client.start_session(causal_consistency=False)
        self._turn = asyncio.Lock()
        self.is_mixed = True
        """Replicas of schema 1 may share this state: they take a lease without its fence."""
        self._prepared = False
        self._free: asyncio.LifoQueue[Session] = asyncio.LifoQueue()
        for session in self._sessions:
            self._free.put_nowait(session)
        self.place = place
        self._database: AsyncDatabase[Document] = client.get_database(
            place.database,
            codec_options=CodecOptions(tz_aware=True),
            read_concern=ReadConcern("majority"),
            read_preference=ReadPreference.PRIMARY,
            write_concern=WriteConcern("majority"),
        )

    def __getitem__(self, collection: str) -> Collection:
        return self._database[collection]

    async def prepare(self) -> None:
        """Make what is missing; once, however often it is asked for. Raises OutboxError, or OutboxBroken for
        a state of a newer version."""
        if self._prepared:
            return
        with translated(self.place), pymongo.timeout(PATIENCE.total_seconds()):
            schema = await self["schema"].find_one({"_id": "schema"})
            self._demand_ours(schema)
            if schema is not None and schema["version"] > SCHEMA_VERSION:
                raise OutboxBroken(
                    f"the state in {self.place}, database {self.place.database!r}, was written by a newer"
                    f" librechat-watcher (schema {schema['version']}; known: {SCHEMA_VERSION}).\n"
                    "  Run that version or a newer one; or give this one another state, which begins anew."
                )
            if schema is None or schema["version"] < SCHEMA_VERSION:
                await self._make()
            if schema is None or "watched" not in schema:
                await self._claim()
        self._prepared = True

    async def demand_ours(self) -> None:
        """Raises OutboxError, or OutboxBroken for the state of another LibreChat."""
        self._demand_ours(await self.read(lambda: self["schema"].find_one({"_id": "schema"})))

    async def _make(self) -> None:
        known = set(await self._database.list_collection_names())
        for name in COLLECTIONS:
            if name not in known:
                await self._create(name)
            if name in INDEXES:
                await self[name].create_indexes(INDEXES[name])
        schema, version = self["schema"], {"$max": {"version": SCHEMA_VERSION}}
        await schema.update_one({"_id": "schema"}, version, upsert=True)

    async def _claim(self) -> None:
        """Whose state it is is settled by the first who knows: a command may have made it without."""
        schema = self["schema"]
        if self._watched is not None:
            unclaimed = {"_id": "schema", "watched": {"$exists": False}}
            await schema.update_one(unclaimed, {"$set": {"watched": self._watched}})
        self._demand_ours(await schema.find_one({"_id": "schema"}))  # two may have begun at once

    def _demand_ours(self, schema: Document | None) -> None:
        """Two LibreChats on one state would miss what is theirs, and send what is not."""
        watched = schema.get("watched") if schema is not None else None
        if watched is not None and self._watched not in (None, watched):
            raise OutboxBroken(
                f"the state in {self.place}, database {self.place.database!r}, is that of the LibreChat in"
                f" {watched!r}; this watcher reads {self._watched!r}.\n"
                "  Each LibreChat needs a state of its own: write the URI with another database in its path,"
                f" as state: mongodb://…/{self.place.database}_2"
            )

    async def transact(self, work: Callable[[Session], Awaitable[T]], *, lease: Lease | None) -> T:
        """Do the work in one transaction, again as often as MongoDB asks for it.

        `lease`: in whose name; LeaseLost when another holds it by now, and nothing is written. Raises
        LeaseLost or OutboxError."""

        async def whole(session: Session) -> T:
            if lease is not None:
                await self.fence(lease, session)
            return await work(session)

        with translated(self.place), pymongo.timeout(PATIENCE.total_seconds()):
            for collision in range(COLLISIONS):
                session = await self._free.get()
                try:
                    done = await session.with_transaction(
                        whole,
                        read_concern=ReadConcern("snapshot"),
                        write_concern=WriteConcern("majority"),
                        read_preference=ReadPreference.PRIMARY,
                    )
                    heed()
                    return done
                except (DuplicateKeyError, BulkWriteError) as error:
                    if not _is_duplicate(error) or collision == COLLISIONS - 1:
                        raise
                finally:
                    self._free.put_nowait(session)
        raise AssertionError("the last collision is raised")

    async def attempt(self, work: Callable[[Session], Awaitable[T]], *, within: timedelta) -> T | None:
        """Do the work in one transaction, once. None when what it writes to is in another one that is open:
        then nothing is done. Raises OutboxError."""
        async with self._turn:
            with translated(self.place), pymongo.timeout(within.total_seconds()):
                try:
                    async with await self._attempting.start_transaction(
                        read_concern=ReadConcern("snapshot"),
                        write_concern=WriteConcern("majority"),
                        read_preference=ReadPreference.PRIMARY,
                    ):
                        done: T | None = await work(self._attempting)
                except OperationFailure as error:
                    if error.code != WRITE_CONFLICT:
                        raise
                    done = None
        heed()
        return done

    async def try_writing(self) -> None:
        """Write, and take it back before it is done. Raises OutboxError or OutboxBroken."""
        with translated(self.place), pymongo.timeout(PATIENCE.total_seconds()):
            self._demand_ours(await self["schema"].find_one({"_id": "schema"}))
            async with self._client.start_session(causal_consistency=False) as session:
                await session.start_transaction(write_concern=WriteConcern("majority"))
                await self["position"].insert_one({"trial": True}, session=session)
                await session.abort_transaction()

    async def read(self, work: Callable[[], Awaitable[T]], *, within: timedelta = PATIENCE) -> T:
        """Do what needs no transaction. Raises OutboxError."""
        with translated(self.place), pymongo.timeout(within.total_seconds()):
            found = await work()
        heed()
        return found

    async def fence(self, lease: Lease, session: Session) -> None:
        """Raises LeaseLost when another replica has taken it.

        The fence is written to, not only read: who takes the lease writes there, too, and must meet this
        transaction, before or after."""
        written = {"$inc": {"writes": 1}}
        fence = {"_id": lease.name, "epoch": lease.epoch}
        fenced = await self["fences"].update_one(fence, written, session=session)
        if fenced.matched_count and self.is_mixed:
            fenced = await self["leases"].update_one(
                {**fence, "holder": lease.holder}, written, session=session
            )
        if fenced.matched_count == 0:
            raise LeaseLost(lease.name)

    async def advance_fence(self, name: str, epoch: int, session: Session) -> None:
        """From this transaction on, what is written in the name of an earlier epoch is refused."""
        await self["fences"].update_one(
            {"_id": name}, {"$set": {"epoch": epoch}}, upsert=True, session=session
        )

    async def next_number(self, sequence: str, session: Session) -> int:
        """The next number of a sequence, and the right to set it: who comes second begins anew behind us."""
        counter = await self["sequence"].find_one_and_update(
            {"_id": sequence},
            {"$inc": {"value": 1}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        return int(counter["value"]) if counter is not None else 1

    @property
    def session_ids(self) -> Sequence[Any]:
        """Of the sessions in which all of its transactions are made."""
        return [session.session_id["id"] for session in (*self._sessions, self._attempting)]

    async def end_sessions(self, ids: Sequence[Any]) -> None:
        """Abort transactions that somebody left open. MongoDB itself keeps what they hold for a minute; where
        this is refused, as in the smallest tiers of Atlas, it takes so long."""
        if not ids:
            return
        with suppress(PyMongoError), pymongo.timeout(ENDING.total_seconds()):
            await self._client.admin.command({"killSessions": [{"id": each} for each in ids]})

    async def size_bytes(self) -> int:
        """What the documents weigh, uncompressed, and their indexes on the disk."""
        stats = await self.read(lambda: self._database.command("dbStats"))
        return int(stats["dataSize"] + stats["indexSize"])

    async def _create(self, name: str) -> None:
        try:
            await self._database.create_collection(name)
        except CollectionInvalid:
            pass  # another replica was faster
        except OperationFailure as error:
            if error.code != 48:  # NamespaceExists
                raise


@contextmanager
def translated(place: Place) -> Iterator[None]:
    """The driver's and the server's complaints as an OutboxError with the cure."""
    try:
        yield
    except PyMongoError as error:
        raise OutboxError(
            f"the state in {place}, database {place.database!r}: {_why(error, place)}"
        ) from error


def _why(error: PyMongoError, place: Place) -> str:
    """Without the server's own text, which may quote what is stored."""
    code = error.code if isinstance(error, OperationFailure) else None
    if code == 13:
        return (
            "this user may not write there (code 13 Unauthorized).\n"
            "  As an administrator, in mongosh:\n"
            f'      db.getSiblingDB("admin").grantRolesToUser("{place.user or "USER"}",'
            f' [{{role: "readWrite", db: "{place.database}"}}])'
        )
    if code == 20:
        return (
            "it is a standalone server, and transactions need a replica set (code 20 IllegalOperation).\n"
            "  One member is enough: librechat-watcher prepare --init-replica-set HOST:PORT"
        )
    if code in (18, 8000):
        return (
            f"user or password is wrong (code {code} AuthenticationFailed).\n"
            f"  Correct them in {place.setting}; a user of another database needs ?authSource=…"
        )
    if code == 388:
        return (
            "one transaction is too large for its cache (code 388 TransactionTooLargeForCache).\n"
            "  Give MongoDB more memory (storage.wiredTiger.engineConfig.cacheSizeGB), or send large texts to"
            " fewer endpoints (`omit: [text]`)."
        )
    if isinstance(error, ConfigurationError):
        return (
            "the driver cannot use this connection string.\n"
            f"  Correct {place.setting}: its options; with mongodb+srv:// the host must have SRV records."
        )
    if isinstance(error, ConnectionFailure):
        return (
            f"nobody answers ({type(error).__name__}).\n"
            "  Is it up, and can it be reached from here? It is tried again; nothing is lost meanwhile."
        )
    label = f"code {code}" if code is not None else type(error).__name__
    return f"cannot be used now ({label}).\n  It is tried again; nothing is lost meanwhile."


def _is_duplicate(error: DuplicateKeyError | BulkWriteError) -> bool:
    if isinstance(error, DuplicateKeyError):
        return True
    return any(each.get("code") == DUPLICATE for each in (error.details or {}).get("writeErrors", ()))
