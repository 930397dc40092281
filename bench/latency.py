"""Latency from commit to receipt at a steady pace, and what a contestant costs that has nothing to do.

A message's mark is set just before it is written: the write itself, to the majority, is part of what is
measured, the same for all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress

from bench.contest import Arena, Contestant, at_work
from bench.messages import fill, write_steadily
from bench.processes import until
from bench.tables import Figures

WARM = 500
CALM_SECONDS = 5.0
ARRIVAL_SECONDS = 10.0
"""For what is still on its way when the writing ends."""


async def latency(uri: str, contestant: Contestant, paces: Mapping[int, float]) -> Mapping[int, Figures]:
    """One contestant, once: by pace (a second), each kept for so many seconds."""
    found = {}
    async with at_work(uri, contestant) as arena:
        await _warm(arena)
        for per_second, seconds in paces.items():
            arena.receiver.reset()
            cpu, began = arena.process.cpu_seconds, time.monotonic()
            await write_steadily(arena.database, per_second=per_second, seconds=seconds)
            await _arrived(arena, int(per_second * seconds))
            seen, cpu = arena.receiver.report(), arena.process.cpu_seconds - cpu
            found[per_second] = {
                "p50 ms": seen["p50_ms"],
                "p99 ms": seen["p99_ms"],
                "CPU %": cpu / (time.monotonic() - began) * 100,
                "events/s": seen["events"] / seen["seconds"],
            }
    return found


async def idle(uri: str, contestants: Sequence[Contestant], *, seconds: float) -> Mapping[str, Figures]:
    """All of them at once, none with anything to do: CPU, and memory, which nothing has raised yet."""
    async with AsyncExitStack() as stack:
        arenas = {
            contestant.name: await stack.enter_async_context(at_work(uri, contestant))
            for contestant in contestants
        }
        await asyncio.sleep(CALM_SECONDS)
        before = {name: arena.process.cpu_seconds for name, arena in arenas.items()}
        await asyncio.sleep(seconds)
        return {
            name: {
                "CPU %": (arena.process.cpu_seconds - before[name]) / seconds * 100,
                "resident MB": arena.process.resident_mb,
                "first event s": arena.ready_seconds,
            }
            for name, arena in arenas.items()
        }


async def _warm(arena: Arena) -> None:
    """A JVM has compiled what it needs only after some hundreds."""
    arena.receiver.reset()
    await fill(arena.database, WARM)
    await until(lambda: arena.receiver.events >= WARM, "all that is to warm")
    await write_steadily(arena.database, per_second=100, seconds=2)
    await _arrived(arena, WARM + 200)


async def _arrived(arena: Arena, events: int) -> None:
    # Some lose events: those that came are judged.
    with suppress(SystemExit):
        await until(lambda: arena.receiver.events >= events, "the rest", seconds=ARRIVAL_SECONDS)
