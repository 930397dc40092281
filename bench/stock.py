"""Many waiting: how long the watcher takes to start with them, how much memory they take, and whether an
event costs more beside them.

A stock is put into the state as dispatch would find it after a long outage of one receiver, without the hour
that it would take to gather it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from bench.messages import Database, a_message, fill
from bench.processes import Client, Watcher, a_receiver, a_watcher, free_port, until
from bench.tables import Figures
from bench.waiting import ENDPOINT, PAGE, a_sqlite, deliveries

LOOK_SECONDS = 2.0
"""After it is ready: what it reads ahead is in memory by then."""

SLICE_SKIPPED, SLICE = 2_000, 5_000
"""Of a stock that goes out: what is measured, after the start has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """A state with so many deliveries that wait for `ENDPOINT`, and the LibreChat that it belongs to."""

    folder: Path
    uri: str
    database: Database
    waiting: int

    @contextmanager
    def run(self, python: Path, *, to: str | None = None, others: str | None = None) -> Iterator[Watcher]:
        """A watcher on it. `to`: its receiver, else there is none; `others`: a receiver of new messages."""
        nobody = f"http://127.0.0.1:{free_port()}/"
        with a_watcher(
            self.folder,
            f"{self.uri}{self.database.name}",
            others or nobody,
            python=python,
            # So that nothing that is written while it is measured goes to it.
            endpoints=[{"name": ENDPOINT, "url": to or nobody, "events": ["user.registered"]}],
        ) as watcher:
            yield watcher


@asynccontextmanager
async def stocked(uri: str, python: Path, waiting: int) -> AsyncIterator[Stock]:
    """The watcher has been here before: its position is the one where it goes on."""
    async with Client(uri) as client:
        database = client[f"bench_{uuid4().hex[:8]}"]
        await database.messages.insert_one(a_message(0, "before"))
        with tempfile.TemporaryDirectory() as folder:
            stock = Stock(folder=Path(folder), uri=uri, database=database, waiting=waiting)
            with stock.run(python) as watcher:
                await watcher.until_ready()
                await asyncio.sleep(1)
            async with a_sqlite(watcher.state) as outbox:
                position = await outbox.position()
                assert position is not None
                for start in range(0, waiting, PAGE):
                    await outbox.append(
                        deliveries(min(PAGE, waiting - start)),
                        checkpoint=position.checkpoint,
                        through=position.through,
                    )
            yield stock
        await client.drop_database(database.name)


async def start(stock: Stock, python: Path) -> Figures:
    """From the start of the process until it is ready; its receiver is down."""
    with stock.run(python) as watcher:
        ready = await watcher.until_ready()
        await asyncio.sleep(LOOK_SECONDS)
        return {"ready s": ready, "resident MB": watcher.resident_mb}


async def gathered(uri: str, python: Path, *, waiting: int) -> Figures:
    """So many changes come while the receiver is down: memory before and after."""
    async with stocked(uri, python, 0) as stock:
        with stock.run(python) as watcher:
            await watcher.until_ready()
            await asyncio.sleep(LOOK_SECONDS)
            before, cpu = watcher.resident_mb, watcher.cpu_seconds
            await fill(stock.database, waiting)
            peak = await watcher.peak_mb(
                lambda: watcher.metric("watcher_changes_total") >= waiting,
                f"{waiting} changes",
                every=0.5,
                seconds=600,
            )
            await asyncio.sleep(LOOK_SECONDS)
            return {
                "before MB": before,
                "peak MB": max(peak, watcher.resident_mb),
                "after MB": watcher.resident_mb,
                "CPU µs/change": (watcher.cpu_seconds - cpu) / waiting * 1e6,
            }


async def beside(stock: Stock, python: Path, *, changes: int) -> Figures:
    """What an event costs whose own receiver is well, while the stock waits for another."""
    with ExitStack() as stack:
        receiver = stack.enter_context(a_receiver())
        watcher = stack.enter_context(stock.run(python, others=receiver.url))
        await watcher.until_ready()
        await fill(stock.database, 1_000)
        await until(lambda: receiver.events >= 1_000, "the first thousand")
        with watcher.frozen():
            await fill(stock.database, changes)
            receiver.reset()
            cpu = watcher.cpu_seconds
        await until(lambda: receiver.events >= changes, f"{changes} events", seconds=180)
        await asyncio.sleep(0.5)
        seen, cpu = receiver.report(), watcher.cpu_seconds - cpu
    return {"events/s": changes / seen["seconds"], "CPU µs/event": cpu / changes * 1e6}


async def going_out(stock: Stock, python: Path) -> Figures:
    """What an event of the stock itself costs: some of the first thousands, the start left aside."""
    assert stock.waiting >= SLICE_SKIPPED + SLICE
    with ExitStack() as stack:
        receiver = stack.enter_context(a_receiver())
        watcher = stack.enter_context(stock.run(python, to=receiver.url))
        await until(lambda: receiver.events >= SLICE_SKIPPED, "the first of the stock", every=0.02)
        receiver.reset()
        cpu = watcher.cpu_seconds
        await until(lambda: receiver.events >= SLICE, "the next of the stock", every=0.02)
        seen, cpu = receiver.report(), watcher.cpu_seconds - cpu
    return {
        "events/s": seen["events"] / seen["seconds"],
        "CPU µs/event": cpu / seen["events"] * 1e6,
    }
