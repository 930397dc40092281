"""Isolation: does one endpoint feel how others behave? Latency at a good one: alone, beside three more good
ones, and beside one that never answers, one that always fails and one that may get five requests a second."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.messages import a_message, write_steadily
from bench.processes import Client, a_receiver, a_watcher
from bench.tables import Figures

OTHERS: Mapping[str, Sequence[tuple[str, Mapping[str, Any]]]] = {
    "alone": (),
    "beside three good ones": [("answers", {})] * 3,
    "beside three bad ones": [
        ("hangs", {"timeout": 60_000}),
        ("fails", {}),
        ("answers", {"rateLimit": {"maxPerSecond": 5}}),
    ],
}


async def isolation(uri: str, *, per_second: int, seconds: float, python: Path) -> Mapping[str, Figures]:
    """Each company in turn, on the same machine within minutes: what counts is how they compare."""
    return {
        company: await _beside(uri, others, per_second=per_second, seconds=seconds, python=python)
        for company, others in OTHERS.items()
    }


async def _beside(
    uri: str,
    others: Sequence[tuple[str, Mapping[str, Any]]],
    *,
    per_second: int,
    seconds: float,
    python: Path,
) -> Figures:
    async with Client(uri) as client:
        database = client[f"bench_{uuid4().hex[:8]}"]
        await database.messages.insert_one(a_message(0, "before"))
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            good = stack.enter_context(a_receiver())
            endpoints = [
                {"name": f"other{number}", "url": stack.enter_context(a_receiver(mood)).url, **keys}
                for number, (mood, keys) in enumerate(others)
            ]
            watcher = stack.enter_context(
                a_watcher(folder, f"{uri}{database.name}", good.url, python=python, endpoints=endpoints)
            )
            await watcher.until_ready()
            await write_steadily(database, per_second=per_second, seconds=3)  # warm, and the bad ones filled
            await asyncio.sleep(0.5)
            good.reset()
            await write_steadily(database, per_second=per_second, seconds=seconds)
            await asyncio.sleep(0.5)
            seen = good.report()
        await client.drop_database(database.name)
    return {
        "arrived": seen["requests"],
        "p50_ms": seen["p50_ms"],
        "p99_ms": seen["p99_ms"],
        "max_ms": seen["max_ms"],
    }
