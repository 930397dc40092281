"""The log: how long a page takes of a million deliveries, whatever is asked for, on either kind of store."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import median
from uuid import uuid4

from bench.tables import Figures
from bench.waiting import BODY, a_mongo, a_sqlite, append
from watcher.core.deliveries import Delivery
from watcher.core.events import DOCUMENTED, Entity, EventId
from watcher.core.searching import Wanted
from watcher.ports import Log, Outbox

LIMIT = 50
PAGE = 1_000
ENDPOINTS, USERS, CONVERSATIONS = 3, 1_000, 20_000
EVENTS = DOCUMENTED[:-1]
RARE = DOCUMENTED[-1]
"""One in a hundred thousand."""

_numbers = count()


async def log(uri: str, folder: Path, *, rows: int, rounds: int) -> Mapping[str, Mapping[str, Figures]]:
    """Of each kind of store: what each search takes."""
    async with a_sqlite(folder / "log.db") as sqlite:
        await _fill(sqlite, rows)
        first = await _searches(sqlite, rounds)
    async with a_mongo(uri) as mongo:
        await _fill(mongo, rows)
        return {"SQLite": first, "MongoDB": await _searches(mongo, rounds)}


async def _fill(outbox: Outbox, rows: int) -> None:
    for start in range(0, rows, PAGE):
        await append(outbox, [_delivery(next(_numbers)) for _ in range(min(PAGE, rows - start))])


def _delivery(number: int) -> Delivery:
    """One in ten is dead, the others wait."""
    event = RARE if number % 100_000 == 77_777 else EVENTS[number % len(EVENTS)]
    return Delivery(
        id=EventId(f"webhook_{0x69000000 + number // 40:08x}{number % 40:08x}{uuid4().hex[:24]}"),
        endpoint=f"e{number % ENDPOINTS}",
        event=event,
        entity=Entity(f"conversation:{number % CONVERSATIONS}"),
        row=Entity(f"messages:{number:024x}"),
        at=_at(number),
        body=BODY,
        user=f"user {number % USERS}",
        conversation=f"{number % CONVERSATIONS}",
        refused="cannot be made" if number % 10 == 0 else None,
    )


def _at(number: int) -> datetime:
    """40 a second."""
    return datetime.fromtimestamp(0x69000000 + number // 40, UTC)


async def _searches(log: Log, rounds: int) -> Mapping[str, Figures]:
    middle = _at(next(_numbers) // 2)
    searches: Mapping[str, tuple[Wanted, str | None]] = {
        "the first page": (Wanted(), None),
        "a page in the middle": (Wanted(), f"webhook_{int(middle.timestamp()):08x}"),
        "of one endpoint": (Wanted(endpoints=("e1",)), None),
        "dead ones": (Wanted(states=("dead",)), None),
        "of an event": (Wanted(events=(EVENTS[3],)), None),
        "of a rare event": (Wanted(events=(RARE,)), None),
        "of a user": (Wanted(user="user 7"), None),
        "of a conversation": (Wanted(conversation="77"), None),
        "of a time": (Wanted(until=middle), None),
        "nothing": (Wanted(states=("delivered",)), None),
    }
    took: dict[str, list[float]] = {name: [] for name in (*searches, "count all", "count of a rare event")}
    for _ in range(rounds):
        for name, (wanted, after) in searches.items():
            began = time.perf_counter()
            await log.search(wanted, after=EventId(after) if after else None, limit=LIMIT)
            took[name].append((time.perf_counter() - began) * 1e3)
        for name, wanted in (("count all", Wanted()), ("count of a rare event", Wanted(events=(RARE,)))):
            began = time.perf_counter()
            await log.number(wanted)
            took[name].append((time.perf_counter() - began) * 1e3)
    return {name: {"median (ms)": median(times), "worst (ms)": max(times)} for name, times in took.items()}
