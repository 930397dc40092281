"""The whole line: a backlog drained, latency at a steady pace, idle and loaded memory; and the yardstick."""

from __future__ import annotations

import asyncio
import json
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import aiohttp

from bench.messages import a_message, fill, write_steadily
from bench.processes import Client, a_receiver, a_watcher
from bench.tables import Figures

IDLE_SECONDS = 5


async def drain(uri: str, *, count: int, python: Path, shared: bool = False) -> Figures:
    """`count` changes are waiting; how fast do they go out?"""
    async with Client(uri) as client:
        database = client[f"bench_{uuid4().hex[:8]}"]
        await database.messages.insert_one(a_message(0, "before"))
        await asyncio.sleep(1.1)  # `startFrom` counts in whole seconds
        start = datetime.now(UTC)
        await asyncio.sleep(1.1)
        await fill(database, count)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            receiver = stack.enter_context(a_receiver())
            watcher = stack.enter_context(
                a_watcher(
                    folder,
                    f"{uri}{database.name}",
                    receiver.url,
                    start_from=start,
                    python=python,
                    state=_state(uri, database.name) if shared else None,
                )
            )
            peak = await watcher.peak_mb(
                lambda: receiver.requests >= count, f"{count} events", every=0.1, seconds=120
            )
            seen, cpu = receiver.report(), watcher.cpu_seconds
        await client.drop_database(database.name)
        await client.drop_database(f"{database.name}_state")
    return {
        "events_per_second": count / seen["seconds"],
        "cpu_us_per_event": cpu / count * 1e6,
        "loaded_mb": peak,
    }


async def steady(uri: str, *, per_second: int, seconds: float, python: Path, shared: bool = False) -> Figures:
    """Latency from commit to receipt at a steady pace; idle cost before it."""
    async with Client(uri) as client:
        database = client[f"bench_{uuid4().hex[:8]}"]
        await database.messages.insert_one(a_message(0, "before"))
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            receiver = stack.enter_context(a_receiver())
            watcher = stack.enter_context(
                a_watcher(
                    folder,
                    f"{uri}{database.name}",
                    receiver.url,
                    python=python,
                    state=_state(uri, database.name) if shared else None,
                )
            )
            ready = await watcher.until_ready()
            await asyncio.sleep(2)
            before = watcher.cpu_seconds
            await asyncio.sleep(IDLE_SECONDS)
            idle_mb, idle_cpu = watcher.resident_mb, (watcher.cpu_seconds - before) / IDLE_SECONDS

            await write_steadily(database, per_second=per_second, seconds=2)  # warm
            await asyncio.sleep(0.5)
            receiver.reset()
            before = watcher.cpu_seconds
            await write_steadily(database, per_second=per_second, seconds=seconds)
            await asyncio.sleep(0.5)
            seen, busy = receiver.report(), watcher.cpu_seconds - before
        await client.drop_database(database.name)
        await client.drop_database(f"{database.name}_state")
    return {
        "arrived_share": seen["requests"] / int(per_second * seconds),
        "p50_ms": seen["p50_ms"],
        "p99_ms": seen["p99_ms"],
        "ready_s": ready,
        "idle_mb": idle_mb,
        "idle_cpu_percent": idle_cpu * 100,
        "busy_cpu_percent": busy / seconds * 100,
    }


def _state(uri: str, database: str) -> str:
    return f"{uri}{database}_state"


async def bare_posts(*, count: int, in_flight: int = 64) -> Figures:
    """The yardstick: as many POSTs of the same size by the same client, and nothing else. Machines differ
    by a factor of four from day to day; the watcher's figures say something beside this one."""
    with a_receiver() as receiver:
        body = json.dumps(a_message(0, "yardstick"), default=str).encode()
        left = iter(range(count))

        async def post(session: aiohttp.ClientSession) -> None:
            for _ in left:
                async with session.post(receiver.url, data=body) as answer:
                    await answer.read()

        connector = aiohttp.TCPConnector(limit=in_flight)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
            for _ in range(in_flight):
                tasks.create_task(post(session))
        return {"posts_per_second": count / receiver.report()["seconds"]}
