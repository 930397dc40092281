"""The cockpit: what an open page and a scraping Prometheus cost the watcher, at a steady pace."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import aiohttp

from bench.messages import a_message, write_steadily
from bench.processes import Client, Watcher, a_receiver, a_watcher
from bench.tables import Figures

TOKEN = "bench"
REFRESH_SECONDS = 5.0
"""Of the page: each time the overview, the endpoints or the log, whichever is shown."""

SCRAPE_SECONDS = 15.0


async def cockpit(uri: str, *, per_second: float, seconds: float, python: Path) -> Mapping[str, Figures]:
    """The same load alone, and looked at, one after the other."""
    return {
        name: await _measured(uri, looked_at=looked_at, per_second=per_second, seconds=seconds, python=python)
        for name, looked_at in (("alone", False), ("page open, metrics scraped", True))
    }


async def _measured(uri: str, *, looked_at: bool, per_second: float, seconds: float, python: Path) -> Figures:
    async with Client(uri) as client:
        database = client[f"bench_{uuid4().hex[:8]}"]
        await database.messages.insert_one(a_message(0, "before"))
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            receiver = stack.enter_context(a_receiver())
            watcher = stack.enter_context(
                a_watcher(folder, f"{uri}{database.name}", receiver.url, python=python, token=TOKEN)
            )
            await watcher.until_ready()
            looking = asyncio.create_task(_look(watcher)) if looked_at else None
            await write_steadily(database, per_second=per_second, seconds=5)  # warm
            before = watcher.cpu_seconds
            await write_steadily(database, per_second=per_second, seconds=seconds)
            cpu, memory = watcher.cpu_seconds - before, watcher.resident_mb
            if looking is not None:
                looking.cancel()
        await client.drop_database(database.name)
    return {"cpu (%)": cpu / seconds * 100, "resident (MB)": memory}


async def _look(watcher: Watcher) -> None:
    base, scrapes = f"http://127.0.0.1:{watcher.port}", 0.0
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
        while True:
            paths = ["/api/overview", "/api/endpoints", "/api/deliveries?limit=50"]
            if scrapes <= 0:
                scrapes += SCRAPE_SECONDS
                paths.append("/metrics")
            for path in paths:
                async with session.get(base + path) as answer:
                    answer.raise_for_status()
                    await answer.read()
            await asyncio.sleep(REFRESH_SECONDS)
            scrapes -= REFRESH_SECONDS
