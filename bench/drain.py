"""A backlog drained: how fast it goes out, what it costs, and how much memory that takes.

The process is frozen while the backlog is written, so it has its connections and its code is warm: what is
measured is the work, not the start."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from bench.contest import Contestant, at_work
from bench.messages import KB, fill
from bench.processes import until
from bench.tables import Figures

WARM = 1_000
PATIENCE_SECONDS = 180.0
SETTLED_SECONDS = 0.5
"""After the last receipt: what was answered is still to be noted, and costs what it costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What waits."""

    changes: int
    kb: float = KB
    entities: int | None = None
    copies: int = 1
    """Events that each change gives: one for each endpoint."""


async def drain(uri: str, contestant: Contestant, load: Load, *, certificate: Path | None = None) -> Figures:
    """One contestant, once."""
    async with at_work(uri, contestant, certificate=certificate) as arena:
        arena.receiver.reset()
        warm = max(1, WARM // load.copies)
        await fill(arena.database, warm, kb=load.kb)
        await until(lambda: arena.receiver.events >= warm * load.copies, f"{contestant.name} to be warm")
        await asyncio.sleep(SETTLED_SECONDS)
        with arena.process.frozen():
            await fill(arena.database, load.changes, entities=load.entities, kb=load.kb)
            arena.receiver.reset()
            cpu, before = arena.process.cpu_seconds, arena.receiver.report()["cpu_seconds"]
        expected = load.changes * load.copies
        peak = await arena.process.peak_mb(
            lambda: arena.receiver.events >= expected,
            f"{expected} events by {contestant.name}",
            every=0.1,
            seconds=PATIENCE_SECONDS,
        )
        await asyncio.sleep(SETTLED_SECONDS)
        seen, cpu = arena.receiver.report(), arena.process.cpu_seconds - cpu
    return {
        "events/s": expected / seen["seconds"],
        "CPU µs/event": cpu / expected * 1e6,
        "loaded MB": peak,
        "events/request": seen["events"] / seen["requests"],
        "receiver µs": (seen["cpu_seconds"] - before) / seen["requests"] * 1e6,
    }
