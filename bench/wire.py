"""What one ordinary turn sends over the wire to whoever watches: MongoDB's own `watch()` against the watcher.

Everything that the watching process receives from MongoDB is counted on the socket: changes, the rows that
it looks up, empty replies, heartbeats. What MongoDB works is the CPU time of its threads that serve it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.messages import Database, a_message
from bench.meter import Meter
from bench.processes import Client, a_receiver, a_watcher, served_cpu_seconds, until
from bench.tables import Figures
from bench.turn import EVENTS, Chat, take_turn
from watcher.adapters.mongo.prepare import PRE_IMAGES

COLLECTIONS = ("agents", "conversations", "files", "messages", "sessions", "users")
WARM_TURNS = 5
IDLE_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Under which conditions the turns are taken."""

    pre_images: bool
    search: bool
    earlier: int
    """Messages that the chat already has: their ids are written anew with every turn."""

    def __str__(self) -> str:
        images = "with" if self.pre_images else "without"
        search = "with" if self.search else "without"
        return f"a turn after {self.earlier} messages, {images} pre-images, {search} the search plugin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Somebody who watches."""

    changes: Callable[[], float]
    """How many changes it was handed."""
    inserts: Callable[[], float]
    """How many of them are known to have been new messages."""

    async def has_seen(self, inserts: int) -> None:
        await until(lambda: self.inserts() >= inserts, f"{inserts} messages")


Reading = Callable[[str, str], AbstractAsyncContextManager[Reader]]
"""Opens a reader, given the URI up to the database, and the database."""


async def turns(port: int, case: Case, *, count: int, python: Path) -> Mapping[str, Figures]:
    """What a turn costs, by who watches."""
    readings: Mapping[str, Reading] = {
        "watch() on the database": lambda uri, name: _plain(uri, name, []),
        "watch() on the six collections": lambda uri, name: _plain(uri, name, OF_THE_SIX),
        "the watcher": lambda uri, name: _watcher(uri, name, case, python),
    }
    return {who: await _turns(port, case, count, reading) for who, reading in readings.items()}


OF_THE_SIX: Sequence[Mapping[str, Any]] = [{"$match": {"ns.coll": {"$in": COLLECTIONS}}}]


async def _turns(port: int, case: Case, count: int, reading: Reading) -> Figures:
    async with (
        Client(f"mongodb://127.0.0.1:{port}/") as client,
        Meter.before(port) as meter,
    ):
        database = client[f"bench_{uuid4().hex[:8]}"]
        await _create(database, case)
        # One chat for each turn: all of them are as long.
        chats = [
            await Chat.begin(database, earlier=case.earlier, search=case.search)
            for _ in range(WARM_TURNS + count)
        ]
        # Direct: the driver would go on to where the set says that its member is, past the meter.
        metered = f"mongodb://127.0.0.1:{meter.port}/{database.name}?directConnection=true"
        async with reading(metered, database.name) as reader:
            await _take(database, chats[:WARM_TURNS], case)
            await reader.has_seen(WARM_TURNS * EVENTS + 1)
            changes, meter.received = reader.changes(), 0
            cpu = await served_cpu_seconds(client, {"client": {"$in": meter.clients}})

            await _take(database, chats[WARM_TURNS:], case)
            await reader.has_seen((WARM_TURNS + count) * EVENTS + 2)
            cpu = await served_cpu_seconds(client, {"client": {"$in": meter.clients}}) - cpu
            changes = reader.changes() - changes - 1  # the one that told of the end
            received, meter.received = meter.received, 0

            await asyncio.sleep(IDLE_SECONDS)
            idle = meter.received / IDLE_SECONDS
        await client.drop_database(database.name)
    return {
        "changes": changes / count,
        "bytes": received / count,
        "mongod_cpu_us": cpu / count * 1e6,
        "idle_bytes_per_s": idle,
    }


async def _create(database: Database, case: Case) -> None:
    for name in COLLECTIONS:
        await database.command({"create": name, **(PRE_IMAGES if case.pre_images else {})})
    await database.conversations.create_index("conversationId")


async def _take(database: Database, chats: Sequence[Chat], case: Case) -> None:
    for chat in chats:
        await take_turn(database, chat, search=case.search)
    await database.messages.insert_one(a_message(0, "the end"))


# ---------------------------------------------------------------------- who watches


@asynccontextmanager
async def _plain(uri: str, name: str, stages: Sequence[Mapping[str, Any]]) -> AsyncIterator[Reader]:
    """The driver's `watch()`, asked for the rows before and after."""
    seen, inserts = 0, 0

    async def read() -> None:
        nonlocal seen, inserts
        async for event in stream:
            seen += 1
            inserts += event["operationType"] == "insert" and event["ns"]["coll"] == "messages"

    async with (
        Client(uri) as client,
        await client[name].watch(
            stages, full_document="updateLookup", full_document_before_change="whenAvailable"
        ) as stream,
    ):
        reading = asyncio.create_task(read())
        try:
            yield Reader(changes=lambda: seen, inserts=lambda: inserts)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


@asynccontextmanager
async def _watcher(uri: str, name: str, case: Case, python: Path) -> AsyncIterator[Reader]:
    """The real program, with a receiver of every event that a turn gives."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        receiver = stack.enter_context(a_receiver())
        watcher = stack.enter_context(a_watcher(folder, uri, receiver.url, python=python, events=("*",)))
        await watcher.until_ready()
        if not case.pre_images:
            await until(lambda: watcher.has_scanned(*COLLECTIONS), "the first scans")
        yield Reader(
            changes=lambda: watcher.metric("watcher_changes_total"),
            inserts=lambda: receiver.requests,
        )
