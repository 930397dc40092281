"""The log of deliveries in MongoDB: searched page by page, sent again, or sent never.

As in SQLite: an index of its own leads to what is of a user or a conversation, all else is a range of one
index for each endpoint and state, or of another one for each endpoint and event, and the ranges are joined
by their ids."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from pymongo import ASCENDING, DESCENDING, UpdateOne

from watcher.adapters.mongo.state.counting import APPENDED, SWEPT, count, counted
from watcher.adapters.mongo.state.database import IN_THE_LOG, OF_EVENT, Session, State
from watcher.adapters.mongo.state.documents import FATE, dossier_of, fate_of
from watcher.core import deliveries
from watcher.core.deliveries import Dossier, Fate
from watcher.core.events import EventId
from watcher.core.searching import STORED, Wanted, by_event, change_part

Filter = dict[str, Any]

AGAIN = {"attempts": 0, "state": "pending"}
FORGOTTEN = dict.fromkeys(
    ("due_at", "batch", "status", "reason", "attempted_at", "took_ms", "settled_at"), ""
)
REPLAYABLE: Filter = {
    "state": {"$in": ["delivered", "dead", "cancelled"]},
    "$nor": [{"state": "dead", "attempted_at": None}],
}


async def page(
    state: State, wanted: Wanted, *, after: EventId | None, limit: int, oldest_first: bool
) -> Sequence[Fate]:
    order = ASCENDING if oldest_first else DESCENDING
    stored = state["deliveries"]

    async def run(wished: Filter, hint: str | None) -> Sequence[EventId]:
        found = stored.find(wished, {"_id": 1}).sort("_id", order).limit(limit)
        if hint is not None:
            found = found.hint(hint)
        return [EventId(each["_id"]) for each in await found.to_list()]

    bounds = _bounds(wanted, after, oldest_first=oldest_first)
    if _is_narrow(wanted):
        ids = await run(bounds | _narrow(wanted), None)
    else:
        found = await _ranges(state, wanted)
        there = sum(number for _, number in await _ranges(state, replace(wanted, states=())))
        if by_event(wanted, found=sum(number for _, number in found), all_there=there):
            states = {"state": {"$in": list(wanted.states)}} if wanted.states else {}
            ranges = [
                {**bounds, "endpoint": endpoint, "event": event, **states}
                for endpoint in {each["endpoint"] for each, _ in found}
                for event in set(wanted.events)
            ]
            runs = await asyncio.gather(*(run(each, OF_EVENT) for each in ranges))
        else:
            runs = await asyncio.gather(*(run({**each, **bounds}, IN_THE_LOG) for each, _ in found))
        # Each once: what went from one state to another meanwhile may be in two of them.
        ids = list(islice(dict.fromkeys(heapq.merge(*runs, reverse=not oldest_first)), limit))
    rows = {each["_id"]: each for each in await stored.find({"_id": {"$in": ids}}, FATE).to_list()}
    return [fate_of(rows[identity]) for identity in ids if identity in rows]


async def number(state: State, wanted: Wanted) -> Mapping[deliveries.State, int]:
    bounds, stored = _bounds(wanted, None, oldest_first=False), state["deliveries"]
    numbers: Counter[Any] = Counter()
    if _is_narrow(wanted):
        grouped = await stored.aggregate(
            [{"$match": bounds | _narrow(wanted)}, {"$group": {"_id": "$state", "number": {"$sum": 1}}}]
        )
        numbers.update({each["_id"]: each["number"] for each in await grouped.to_list()})
    else:
        for each, _ in await _ranges(state, wanted):
            numbers[each["state"]] += await stored.count_documents({**each, **bounds}, hint=IN_THE_LOG)
    return {each: numbers[each] for each in STORED if numbers[each]}


async def dossier(state: State, identity: EventId) -> Dossier | None:
    found = await state["deliveries"].find_one({"_id": identity})
    return dossier_of(found) if found is not None else None


async def replay(state: State, ids: Sequence[EventId], session: Session) -> Counter[tuple[str, Any]]:
    """How the numbers change."""
    wished = {"_id": {"$in": list(ids)}, **REPLAYABLE}
    found = state["deliveries"].find(wished, {"endpoint": 1, "state": 1, "seq": 1}, session=session)
    # In the order in which they were sent at first; ids of one change say nothing of it.
    rows = sorted(await found.to_list(), key=lambda each: (change_part(each["_id"]), each["seq"]))
    tally: Counter[tuple[str, Any]] = Counter()
    if not rows:
        return tally
    first = await state.next_number("seq", session)
    writes = []
    for seq, row in enumerate(rows, start=first):
        writes.append(UpdateOne({"_id": row["_id"]}, {"$set": {**AGAIN, "seq": seq}, "$unset": FORGOTTEN}))
        tally[row["endpoint"], row["state"]] -= 1
        tally[row["endpoint"], "pending"] += 1
    await state["deliveries"].bulk_write(writes, ordered=False, session=session)
    last = {"$set": {"value": first + len(rows) - 1}}
    await state["sequence"].update_one({"_id": "seq"}, last, session=session)
    await count(state, tally, by=APPENDED, session=session)
    return tally


async def cancel(
    state: State, ids: Sequence[EventId], reason: str, session: Session
) -> Counter[tuple[str, Any]]:
    """How the numbers change."""
    wished = {"_id": {"$in": list(ids)}, "state": {"$in": ["held", "pending"]}}
    rows = await state["deliveries"].find(wished, {"endpoint": 1, "state": 1}, session=session).to_list()
    tally: Counter[tuple[str, Any]] = Counter()
    if not rows:
        return tally
    changed = {"state": "cancelled", "reason": reason, "settled_at": datetime.now(UTC)}
    await state["deliveries"].update_many(
        {"_id": {"$in": [row["_id"] for row in rows]}},
        {"$set": changed, "$unset": {"due_at": ""}},
        session=session,
    )
    for row in rows:
        tally[row["endpoint"], row["state"]] -= 1
        tally[row["endpoint"], "cancelled"] += 1
    await count(state, tally, by=SWEPT, session=session)
    for endpoint in sorted({row["endpoint"] for row in rows}):
        await state["recalls"].update_one(
            {"_id": endpoint}, {"$inc": {"number": 1}}, upsert=True, session=session
        )
    return tally


async def recalls(state: State) -> Mapping[str, int]:
    return {each["_id"]: each["number"] for each in await state["recalls"].find().to_list()}


def _is_narrow(wanted: Wanted) -> bool:
    """Few at most: what else is asked for can be looked at one by one."""
    return bool(wanted.ids) or wanted.user is not None or wanted.conversation is not None


async def _ranges(state: State, wanted: Wanted) -> Sequence[tuple[Filter, int]]:
    """Every endpoint and state of which there is something, and something is wanted; and how many."""
    numbers = await counted(state)
    return [
        ({"endpoint": endpoint, "state": each}, getattr(counts, each))
        for endpoint, counts in numbers.items()
        for each in STORED
        if getattr(counts, each)
        and endpoint in (wanted.endpoints or (endpoint,))
        and each in (wanted.states or (each,))
    ]


def _narrow(wanted: Wanted) -> Filter:
    wished: Filter = {}
    if wanted.user is not None:
        wished["user"] = wanted.user
    if wanted.conversation is not None:
        wished["conversation"] = wanted.conversation
    if wanted.endpoints:
        wished["endpoint"] = {"$in": list(wanted.endpoints)}
    if wanted.states:
        wished["state"] = {"$in": list(wanted.states)}
    return wished


def _bounds(wanted: Wanted, after: EventId | None, *, oldest_first: bool) -> Filter:
    wished: Filter = {}
    ids: Filter = {}
    if wanted.since is not None:
        ids["$gte"] = wanted.first
    if wanted.until is not None:
        ids["$lt"] = wanted.beyond
    if after is not None and oldest_first:
        ids["$gt"] = after
    elif after is not None:
        ids["$lt"] = min(after, ids.get("$lt", after))
    if wanted.ids:
        ids["$in"] = list(wanted.ids)
    if ids:
        wished["_id"] = ids
    if wanted.events:
        wished["event"] = {"$in": list(wanted.events)}
    return wished
