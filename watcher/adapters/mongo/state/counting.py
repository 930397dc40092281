"""Counts: how many deliveries there are of each endpoint in each state, kept with every write.

Counting a million takes a second. Each hand has counters of its own, and what is counted is their sum: with
one for all, every append would collide with every settlement."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pymongo import UpdateOne

from watcher.adapters.mongo.state.database import Session, State
from watcher.ports import Counts

Hand = Literal["append", "settle", "sweep"]
APPENDED: Hand = "append"
SETTLED: Hand = "settle"
SWEPT: Hand = "sweep"


async def count(state: State, tally: Mapping[tuple[str, Any], int], *, by: Hand, session: Session) -> None:
    """`tally`: how the numbers change, by endpoint and state."""
    writes = [
        UpdateOne(
            {"_id": {"endpoint": endpoint, "state": each, "hand": by}},
            {"$inc": {"number": change}},
            upsert=True,
        )
        for (endpoint, each), change in sorted(tally.items())
        if change
    ]
    if writes:
        await state["counts"].bulk_write(writes, ordered=False, session=session)


async def counted(state: State) -> dict[str, Counts]:
    numbers: dict[str, Counter[str]] = defaultdict(Counter)
    for document in await state["counts"].find().to_list():
        key = document["_id"]
        numbers[key["endpoint"]][key["state"]] += document["number"]
    return {endpoint: Counts(**states) for endpoint, states in numbers.items()}


async def oldest(state: State) -> dict[str, datetime]:
    """When the change of each endpoint's first pending delivery happened: a look into the index for each."""
    found = {}
    for endpoint, counts in (await counted(state)).items():
        if counts.pending:
            first = await state["deliveries"].find_one(
                {"state": "pending", "endpoint": endpoint}, {"at": 1}, sort={"seq": 1}
            )
            if first is not None:
                found[endpoint] = first["at"]
    return found
