"""The first scan, where there are no pre-images, and what deletions cost afterwards.

While people go on writing, a watcher is started on so many messages, killed when it has read half of them,
and started again. MongoDB's profiler notes every `find` that the watcher sends."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from bench.messages import Database, fill, write_steadily
from bench.processes import Client, Receiver, Watcher, a_receiver, a_watcher, served_cpu_seconds, until
from bench.tables import Figures
from watcher.pipeline.remembering import PAGE_ROWS

WRITTEN_PER_SECOND = 10.0
"""By people, while the scan runs."""

CALM_SECONDS = 10.0
"""How long the same writing is measured without a scan."""

DELETIONS = 2_000
PATIENCE_SECONDS = 3_600
PROFILE_BYTES = 64 << 20
EVENTS = ("message.created", "message.deleted")


@asynccontextmanager
async def filled(uri: str, rows: int) -> AsyncIterator[Database]:
    """A LibreChat with so many messages."""
    async with Client(uri) as client:
        database = client[f"bench_{uuid4().hex[:8]}"]
        await fill(database, rows)
        yield database
        await client.drop_database(database.name)


async def first_scan(uri: str, database: Database, *, python: Path) -> Figures:
    """What it takes to remember the messages, and to tell deletions by what is remembered."""
    await _profile(database)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        receiver = stack.enter_context(a_receiver())
        start = partial(
            a_watcher, folder, f"{uri}{database.name}", receiver.url, python=python, events=EVENTS
        )
        half = await database.messages.estimated_document_count() / 2
        writing = asyncio.create_task(write_steadily(database, per_second=WRITTEN_PER_SECOND))

        with start() as watcher:
            first = await _phase(watcher, receiver, database, lambda: watcher.metric(SCANNED) >= half)
            watcher.kill9()
        with start() as watcher:
            second = await _phase(watcher, receiver, database, lambda: watcher.has_scanned("messages"))
            finds, rows, size = await _finds(database), watcher.metric(SCANNED), _memory_bytes(watcher.state)

            calm_ends = time.monotonic() + CALM_SECONDS
            after = await _phase(watcher, receiver, database, lambda: time.monotonic() > calm_ends)
            writing.cancel()
            deletions = await _deletions(database, watcher, receiver)
    took = first["seconds"] + second["seconds"]
    return {
        "rows": rows,
        "rows_read_twice": finds.rows - rows,
        "seconds": took,
        "rows_per_second": rows / took,
        "finds": finds.number,
        "ms_per_find": finds.milliseconds / finds.number,
        "memory_mb": size / 1e6,
        "memory_bytes_per_row": size / rows,
        "peak_mb": max(first["peak_mb"], second["peak_mb"]),
        **{f"{name}_in_scan": first[name] for name in COMPARED},
        **{f"{name}_after_scan": after[name] for name in COMPARED},
        **deletions,
    }


SCANNED = 'watcher_scan_rows{collection="messages"}'
OURS = {"appName": "librechat-watcher"}
COMPARED = ("p50_ms", "p99_ms", "max_ms", "watcher_cpu_percent", "mongod_cpu_percent")


async def _phase(
    watcher: Watcher, receiver: Receiver, database: Database, done: Callable[[], bool]
) -> Figures:
    """From when the watcher is ready until that is so: latency of events, and what was worked for it."""
    await watcher.until_ready()
    receiver.reset()
    began, ours = time.monotonic(), watcher.cpu_seconds
    mongods = await served_cpu_seconds(database.client, OURS)
    # Each look costs the watcher some milliseconds.
    peak = await watcher.peak_mb(done, "the scan", every=1, seconds=PATIENCE_SECONDS)
    ours = watcher.cpu_seconds - ours
    mongods = await served_cpu_seconds(database.client, OURS) - mongods
    seconds = time.monotonic() - began
    return {
        **receiver.report(),
        "seconds": seconds,
        "peak_mb": peak,
        "watcher_cpu_percent": ours / seconds * 100,
        "mongod_cpu_percent": mongods / seconds * 100,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finds:
    """What the watcher asked of the messages, by MongoDB's own record."""

    number: int
    rows: int
    milliseconds: int


async def _profile(database: Database) -> None:
    await database.command({"profile": 0})
    await database.drop_collection("system.profile")
    await database.create_collection("system.profile", capped=True, size=PROFILE_BYTES)
    await database.command({"profile": 1, "filter": {**OURS, "op": "query"}})


async def _finds(database: Database) -> _Finds:
    entries = await database["system.profile"].find({"ns": f"{database.name}.messages"}).to_list()
    return _Finds(
        number=len(entries),
        # A page asks for one more row, to know where the next one begins.
        rows=sum(min(entry["nreturned"], PAGE_ROWS) for entry in entries),
        milliseconds=sum(entry["millis"] for entry in entries),
    )


async def _deletions(database: Database, watcher: Watcher, receiver: Receiver) -> Figures:
    """Anywhere among the messages, as conversations are deleted."""
    chosen = database.messages.aggregate([{"$sample": {"size": DELETIONS}}, {"$project": {"_id": 1}}])
    ids = list({row["_id"] for row in await (await chosen).to_list()})
    finds = (await _finds(database)).number
    receiver.reset()
    cpu = watcher.cpu_seconds
    await database.messages.delete_many({"_id": {"$in": ids}})
    await until(lambda: receiver.requests >= len(ids), f"{len(ids)} deletions")
    return {
        "deletions_per_second": len(ids) / receiver.report()["seconds"],
        "cpu_us_per_deletion": (watcher.cpu_seconds - cpu) / len(ids) * 1e6,
        "finds_per_deletion": ((await _finds(database)).number - finds) / len(ids),
    }


def _memory_bytes(state: Path) -> int:
    with closing(sqlite3.connect(f"{state.as_uri()}?mode=ro", uri=True)) as db:
        (size,) = db.execute("SELECT sum(pgsize) FROM dbstat WHERE name = 'memory'").fetchone()
    return int(size)
