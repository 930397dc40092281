"""Isolation: does an endpoint feel how others behave? Latency at four good ones: by themselves, and beside
one that never answers, one that always fails and one that may get five requests a second."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

from bench.messages import a_message, write_steadily
from bench.processes import Client, a_receiver, a_watcher
from bench.tables import Figures

GOOD = 4

OTHERS: Mapping[str, Sequence[tuple[str, Mapping[str, Any]]]] = {
    "four good ones": (),
    "the same beside three bad ones": [
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
            good = [stack.enter_context(a_receiver()) for _ in range(GOOD)]
            more: list[tuple[str, Mapping[str, Any]]] = [(each.url, {}) for each in good[1:]]
            more += [(stack.enter_context(a_receiver(mood)).url, keys) for mood, keys in others]
            endpoints = [
                {"name": f"e{number}", "url": url, **keys} for number, (url, keys) in enumerate(more)
            ]
            watcher = stack.enter_context(
                a_watcher(folder, f"{uri}{database.name}", good[0].url, python=python, endpoints=endpoints)
            )
            await watcher.until_ready()
            await write_steadily(database, per_second=per_second, seconds=3)  # warm, and the bad ones filled
            await asyncio.sleep(0.5)
            for each in good:
                each.reset()
            await write_steadily(database, per_second=per_second, seconds=seconds)
            await asyncio.sleep(0.5)
            seen = [each.report() for each in good]
        await client.drop_database(database.name)
    return {
        "arrived": sum(each["requests"] for each in seen),
        "p50_ms": median(each["p50_ms"] for each in seen),
        "p99_ms": median(each["p99_ms"] for each in seen),
        "max_ms": max(each["max_ms"] for each in seen),
    }
