"""Waiting: does the store work as fast with a million waiting deliveries as with a thousand?

The same acts of `run`, in turn on a store with few and on one with many, both open at once, on either kind
of store: the outbox as dispatch and capture use it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import median
from uuid import uuid4

from bench.processes import Client
from bench.tables import Figures
from watcher.adapters.mongo.state.outbox import MongoOutbox
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.core.attempts import Attempt
from watcher.core.changes import Checkpoint
from watcher.core.deliveries import Delivery, Stored
from watcher.core.endpoints import Endpoint
from watcher.core.events import Entity, EventId, EventType
from watcher.core.lanes import LINE_BYTES, LINE_ROWS, WINDOW_BYTES, WINDOW_ROWS
from watcher.core.verdicts import Delivered
from watcher.ports import Outbox, Settlement

FEW = 1_000
GROUP = 100
"""Deliveries settled together, and entered together, when there is much to do."""

PAGE = 1_000
"""Deliveries entered together while a store is filled."""

BODY = b'{"event":"message.created","data":{"text":"' + b"An engine weaves patterns. " * 40 + b'"}}'
"""About 1.1 kB."""

ENDPOINT = "crm"
RECEIVER = Endpoint(name=ENDPOINT, url="http://127.0.0.1/", secrets=(), events=("*",))
_numbers = count()


@dataclass(slots=True)
class Store:
    """One that holds so many waiting deliveries, and how far they were taken from it."""

    outbox: Outbox
    waiting: int
    cursor: int = 0


async def waiting(uri: str, folder: Path, *, many: int, rounds: int) -> Mapping[str, Mapping[str, Figures]]:
    """Of each kind of store: what each act takes with few and with many waiting."""
    async with a_sqlite(folder / "few.db") as few, a_sqlite(folder / "many.db") as full:
        sqlite = await _compared(few, full, many=many, rounds=rounds)
    async with a_mongo(uri) as few, a_mongo(uri) as full:
        mongo = await _compared(few, full, many=many, rounds=rounds)
    return {"SQLite": sqlite, "MongoDB": mongo}


@asynccontextmanager
async def a_sqlite(path: Path) -> AsyncIterator[SqliteOutbox]:
    async with SqliteOutbox.open(path) as outbox:
        yield outbox


@asynccontextmanager
async def a_mongo(uri: str) -> AsyncIterator[MongoOutbox]:
    name = f"bench_{uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(uri))
        stack.push_async_callback(client.drop_database, name)
        outbox = await stack.enter_async_context(MongoOutbox.open(uri, name))
        await outbox.prepare()
        yield outbox


async def _compared(few: Outbox, full: Outbox, *, many: int, rounds: int) -> Mapping[str, Figures]:
    stores = {"few": Store(few, FEW), "many": Store(full, many)}
    for store in stores.values():
        await _fill(store)
    took: dict[str, dict[str, list[float]]] = {}
    for round_ in range(rounds):
        for name, store in stores.items():  # in turn, so that both meet the same machine
            for act, seconds in (await _acts(store)).items():
                if round_:  # the first one warms up
                    took.setdefault(act, {}).setdefault(name, []).append(seconds * 1e3)
    return {
        act: {
            f"{FEW:,} (ms)": median(times["few"]),
            f"{many:,} (ms)": median(times["many"]),
            "ratio": median(times["many"]) / median(times["few"]),
        }
        for act, times in took.items()
    }


async def _fill(store: Store) -> None:
    for start in range(0, store.waiting, PAGE):
        await append(store.outbox, deliveries(min(PAGE, store.waiting - start)))


async def _acts(store: Store) -> Figures:
    """Each act once. What is settled is entered again, so that as many wait as before."""
    outbox, took = store.outbox, {}

    async def timed(act: str, work: Callable[[], Awaitable[object]]) -> None:
        began = time.perf_counter()
        await work()
        took[act] = time.perf_counter() - began

    rows = await _claim(store, WINDOW_ROWS)
    await timed("claim a window", lambda: _claim(store, WINDOW_ROWS))
    await timed(
        "claim the next of a conversation",
        lambda: outbox.pending_of(
            ENDPOINT,
            rows[len(rows) // 2].delivery.entity,
            start=rows[0].seq,
            limit=LINE_ROWS,
            max_bytes=LINE_BYTES,
        ),
    )
    await timed("look for more", lambda: outbox.appended(ENDPOINT, after=store.cursor))
    await timed("bind a batch", lambda: outbox.bind(rows[:10], EventId(f"webhook_{uuid4().hex}")))
    await timed("settle one", lambda: outbox.settle(_delivered(rows[:1])))
    await timed(f"settle {GROUP}", lambda: outbox.settle(_delivered(rows[1 : GROUP + 1])))
    new = deliveries(1), deliveries(GROUP)
    await timed("enter one", lambda: append(outbox, new[0]))
    await timed(f"enter {GROUP}", lambda: append(outbox, new[1]))
    await timed("count", outbox.counts)
    store.cursor = rows[GROUP].seq
    return took


async def _claim(store: Store, limit: int) -> Sequence[Stored]:
    return await store.outbox.pending(ENDPOINT, after=store.cursor, limit=limit, max_bytes=WINDOW_BYTES)


async def append(outbox: Outbox, deliveries: Sequence[Delivery]) -> None:
    now = datetime.now(UTC)
    await outbox.append(deliveries, checkpoint=Checkpoint(token="82AA", at=now), through=now)


def deliveries(number: int) -> Sequence[Delivery]:
    """To `ENDPOINT`, in conversations of ten."""
    now = datetime.now(UTC)
    return [
        Delivery(
            # As real ones begin: with the time of their change.
            id=EventId(f"webhook_{0x69000000 + each // 40:08x}{each % 40:08x}{uuid4().hex[:24]}"),
            endpoint=ENDPOINT,
            event=EventType("message.created"),
            entity=Entity(f"conversation:{each // 10}"),
            row=Entity(f"messages:{each:024x}"),
            at=now,
            body=BODY,
        )
        for each in (next(_numbers) for _ in range(number))
    ]


def _delivered(rows: Sequence[Stored]) -> Sequence[Settlement]:
    now = datetime.now(UTC)
    return [
        Settlement(
            stored=row,
            verdict=Delivered(),
            attempt=Attempt(at=now, took=timedelta(milliseconds=5), status=200),
        )
        for row in rows
    ]
