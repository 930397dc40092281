"""The memory's rows in MongoDB: `<generation>:<_id>`, so that one scan's rows are one range of `_id`.

Rows of a generation that no scan names are forgotten, and cleared away a few at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pymongo import DeleteMany, ReplaceOne

from watcher.adapters.mongo.state.database import Session, State
from watcher.adapters.records import packed, unpacked
from watcher.core.events import Entity
from watcher.core.memory import Remembered, Scan

Document = dict[str, Any]
_Found = tuple[int, tuple[str, ...]]
"""A scan's generation and names."""


async def begin(state: State, wanted: Mapping[str, frozenset[str]], session: Session) -> Sequence[Scan]:
    """Go on with the scans that are wanted as they are; begin the others; end what is wanted no more."""
    scans = state["scans"]
    kept = await scans.find({}, session=session).to_list()
    for scan in kept:
        if frozenset(scan["names"]) != wanted.get(scan["_id"]):
            await scans.delete_one({"_id": scan["_id"]}, session=session)
    there = {scan["_id"] for scan in kept if frozenset(scan["names"]) == wanted.get(scan["_id"])}
    for collection in sorted(wanted.keys() - there):
        await scans.insert_one(
            {
                "_id": collection,
                "names": sorted(wanted[collection]),
                "generation": await state.next_number("generation", session),
                "after": None,
                "rows": 0,
                "done": False,
            },
            session=session,
        )
    return [_scan(document) for document in await scans.find({}, session=session).sort("_id").to_list()]


async def recall(state: State, rows: Iterable[Entity]) -> Mapping[Entity, Remembered]:
    known: dict[Entity, Remembered] = {}
    for collection, ids in _by_collection(rows).items():
        scan = await _generation(state, collection)
        if scan is not None:
            keys = [_key(scan[0], identity) for identity in ids]
            known |= _rows(collection, scan, await state["memory"].find({"_id": {"$in": keys}}).to_list())
    return known


async def page(
    state: State, collection: str, *, after: str | None, limit: int
) -> tuple[Mapping[Entity, Remembered], str | None]:
    scan = await _generation(state, collection)
    if scan is None:
        return {}, None
    bounds = {"$gt": _key(scan[0], after or ""), "$lt": _end(scan[0])}
    found = await state["memory"].find({"_id": bounds}).sort("_id").limit(limit).to_list()
    last = found[-1]["_id"].partition(":")[2] if len(found) == limit else None
    return _rows(collection, scan, found), last


async def learn(state: State, learned: Mapping[Entity, Remembered | None], session: Session | None) -> None:
    writes: list[Any] = []
    for collection, ids in _by_collection(learned).items():
        scan = await _generation(state, collection, session)
        if scan is None:
            continue
        forgotten = []
        for identity in ids:
            row = learned[Entity(f"{collection}:{identity}")]
            if row is None:
                forgotten.append(_key(scan[0], identity))
            else:
                written = _written(scan, identity, row)
                writes.append(ReplaceOne({"_id": written["_id"]}, written, upsert=True))
        if forgotten:
            writes.append(DeleteMany({"_id": {"$in": forgotten}}))
    if writes:
        await state["memory"].bulk_write(writes, session=session)


async def remember(state: State, rows: Mapping[Entity, Remembered], scan: Scan, session: Session) -> None:
    found = await _generation(state, scan.collection, session)
    if found is None or found[1] != scan.names:
        return  # begun anew, or wanted no more
    written = [_written(found, row.partition(":")[2], memory) for row, memory in rows.items()]
    if written:
        known = (
            await state["memory"]
            .find({"_id": {"$in": [each["_id"] for each in written]}}, {"_id": 1}, session=session)
            .to_list()
        )
        there = {each["_id"] for each in known}
        if fresh := [each for each in written if each["_id"] not in there]:
            await state["memory"].insert_many(fresh, session=session)
    await state["scans"].update_one(
        {"_id": scan.collection},
        {"$set": {"after": scan.after, "rows": scan.rows, "done": scan.done}},
        session=session,
    )


async def forget(state: State, *, limit: int) -> int:
    """Drop at most `limit` rows that belong to no scan. No transaction: nobody reads them.

    Only those of generations that were given out before the scans are read: a scan may begin meanwhile."""
    newest = await state["sequence"].find_one({"_id": "generation"})
    given_out = int(newest["value"]) if newest is not None else 0
    wanted = sorted(
        (each["generation"] for each in await state["scans"].find({}, {"generation": 1}).to_list()), key=str
    )
    gaps: list[Document] = []
    begin = ""
    for generation in wanted:  # in the order of `_id`, which is that of letters
        gaps.append({"_id": {"$gt": begin, "$lt": _key(generation, "")}})
        begin = _end(generation)
    gaps.append({"_id": {"$gt": begin}})
    left = limit
    for gap in gaps:
        found = await state["memory"].find(gap, {"_id": 1}).limit(left).to_list() if left else []
        old = [each["_id"] for each in found if int(each["_id"].partition(":")[0]) <= given_out]
        if old:
            await state["memory"].delete_many({"_id": {"$in": old}})
            left -= len(old)
    return limit - left


def _scan(document: Document) -> Scan:
    return Scan(
        collection=document["_id"],
        names=tuple(document["names"]),
        after=document["after"],
        rows=document["rows"],
        done=document["done"],
    )


async def _generation(state: State, collection: str, session: Session | None = None) -> _Found | None:
    scan = await state["scans"].find_one({"_id": collection}, session=session)
    return (scan["generation"], tuple(scan["names"])) if scan else None


def _key(generation: int, identity: str) -> str:
    return f"{generation}:{identity}"


def _end(generation: int) -> str:
    return f"{generation};"  # the letter after `:`


def _written(scan: _Found, identity: str, memory: Remembered) -> Document:
    generation, names = scan
    return {
        "_id": _key(generation, identity),
        "exact_after": memory.exact_after,
        "fields": packed(memory.fields, names),
    }


def _rows(collection: str, scan: _Found, found: Iterable[Document]) -> dict[Entity, Remembered]:
    return {
        Entity(f"{collection}:{each['_id'].partition(':')[2]}"): Remembered(
            fields=unpacked(each["fields"], scan[1]), exact_after=each["exact_after"]
        )
        for each in found
    }


def _by_collection(rows: Iterable[Entity]) -> Mapping[str, list[str]]:
    ids: dict[str, list[str]] = {}
    for row in rows:
        collection, _, identity = row.partition(":")
        ids.setdefault(collection, []).append(identity)
    return ids
