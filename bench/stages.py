"""Where the CPU goes: a profile of the watcher that drains a backlog, by stages that add up to all of it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from bench.contest import Contestant, Place, at_work
from bench.messages import fill
from bench.processes import Process, a_watcher, until
from bench.tables import Figures

SAMPLER = Path(__file__).with_name("sampler.py")
OUT = "samples"
WARM = 1_000

RULES: Sequence[tuple[str, str]] = (
    (
        "observe",
        r"watcher/(observers|adapters/(journal|lines|durations|prometheus|traces)|admin/|pipeline/figures)",
    ),
    ("observe", r"site-packages/(structlog|prometheus_client)/|lib/python[\d.]+/logging/"),
    ("settle", r"watcher/.*:.*[Ss]ettl|watcher/core/(settlements|attempts|verdicts|circuits)"),
    ("settle", r"watcher/(adapters/records|pipeline/settling)"),
    ("compose, sign", r"watcher/core/(requests|signing|secrets|forms)|/hmac\.py:"),
    ("store", r"watcher/adapters/(sqlite|mongo/state)/|watcher/(stores|pipeline/(patience|room|portions))"),
    ("decode", r"watcher/adapters/mongo/decode|site-packages/bson/"),
    ("read", r"watcher/adapters/mongo/|site-packages/pymongo/"),
    ("plan, encode", r"watcher/core/(planning|entering|mapping|bodies|encoding|events|catalogue)"),
    ("plan, encode", r"watcher/core/(conditions|matching|hiding|privacy)"),
    ("send", r"watcher/adapters/(http|tls|resolver)|site-packages/(aiohttp|yarl|multidict|httptools)/"),
    ("dispatch", r"watcher/(pipeline/dispatch|core/(lanes|pacing|endpoints|routes|deliveries))"),
    ("capture", r"watcher/pipeline/capture"),
)
"""The first that fits the innermost frame decides; where none does, the frame that called it, and so on."""

LOOP, REST = "event loop", "rest"


async def stages(uri: str, python: Path, *, changes: int) -> Mapping[str, Figures]:
    """What each stage took of an event, and of all."""
    files: list[Path] = []

    def open_(place: Place) -> AbstractContextManager[Process]:
        files.append(place.folder / OUT)
        return a_watcher(
            place.folder,
            f"{place.uri}{place.database}",
            place.url,
            python=python,
            program=("-P", str(SAMPLER), str(files[0])),
        )

    async with at_work(uri, Contestant(name="the watcher, sampled", open=open_)) as arena:
        arena.receiver.reset()
        await fill(arena.database, WARM)
        await until(lambda: arena.receiver.events >= WARM, "the first thousand")
        await asyncio.sleep(0.5)
        with arena.process.frozen():
            await fill(arena.database, changes)
            arena.receiver.reset()
            arena.process.handle.send_signal(signal.SIGUSR1)
            cpu = arena.process.cpu_seconds
        await until(lambda: arena.receiver.events >= changes, "all events", seconds=180)
        await asyncio.sleep(0.5)
        cpu = arena.process.cpu_seconds - cpu
        arena.process.handle.terminate()
        arena.process.handle.wait(20)
        spent = by_stage(files[0].read_text().splitlines())
    seen = sum(spent.values())
    return {
        **{
            stage: {"µs/event": spent[stage] / changes * 1e6, "%": spent[stage] / seen * 100}
            for stage in sorted(spent, key=lambda stage: -spent[stage])
        },
        "all, seen": {"µs/event": seen / changes * 1e6, "%": 100.0},
        "all, by the system": {"µs/event": cpu / changes * 1e6, "%": cpu / seen * 100},
    }


def by_stage(samples: Iterable[str]) -> Mapping[str, float]:
    """Seconds of CPU by stage, of the lines that `bench/sampler.py` writes."""
    spent: Counter[str] = Counter()
    for line in samples:
        seconds, stack = json.loads(line)
        spent[stage_of(stack)] += seconds
    return spent


def stage_of(stack: Sequence[str]) -> str:
    """Whose work it is.

    >>> stage_of(["/site-packages/bson/__init__.py:decode", "/watcher/adapters/mongo/source.py:_next"])
    'decode'
    >>> stage_of(["/lib/python3.11/heapq.py:merge", "/watcher/pipeline/dispatch.py:Dispatcher._feed"])
    'dispatch'
    """
    for frame in stack:
        for stage, pattern in RULES:
            if re.search(pattern, frame):
                return stage
    return LOOP if any("/asyncio/" in frame for frame in stack) else REST
