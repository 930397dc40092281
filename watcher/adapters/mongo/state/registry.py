"""Managed endpoints and the audit list in MongoDB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from watcher.adapters.mongo.state.database import Session, State
from watcher.core.managing import AUDITED, AuditEntry, Origin, Registered, Sealed

REVISION, AUDIT = "registry", "audit"


async def revision(state: State) -> int:
    counter = await state["sequence"].find_one({"_id": REVISION})
    return int(counter["value"]) if counter is not None else 0


async def registered(state: State) -> Registered:
    """Its revision is read first: what changes after that is another one, and read again."""
    number = await revision(state)
    found = await state["registered"].find().sort("number").to_list()
    return Registered(
        revision=number,
        endpoints=tuple(
            Sealed(
                name=each["name"],
                revision=each["revision"],
                created_at=each["created_at"],
                changed_at=each["changed_at"],
                sealed=bytes(each["sealed"]),
            )
            for each in found
        ),
    )


async def register(
    state: State, endpoint: Sealed, replacing: int | None, entry: AuditEntry, session: Session
) -> int | None:
    if await _revision_of(state, endpoint.name, session) != replacing:
        return None
    # Of two at once one is refused this, and begins anew behind the other.
    number = await state.next_number(REVISION, session)
    written = {
        "name": endpoint.name,
        "revision": number,
        "changed_at": endpoint.changed_at,
        "sealed": endpoint.sealed,
    }
    await state["registered"].update_one(
        {"_id": endpoint.name.lower()},
        {"$set": written, "$setOnInsert": {"number": number, "created_at": endpoint.created_at}},
        upsert=True,
        session=session,
    )
    await note(state, entry, session)
    return number


async def deregister(state: State, name: str, replacing: int, entry: AuditEntry, session: Session) -> bool:
    if await _revision_of(state, name, session) != replacing:
        return False
    await state.next_number(REVISION, session)
    await state["registered"].delete_one({"_id": name.lower()}, session=session)
    await note(state, entry, session)
    return True


async def note(state: State, entry: AuditEntry, session: Session) -> None:
    number = await state.next_number(AUDIT, session)
    document = {
        "_id": number,
        "at": entry.at,
        "act": entry.act,
        "subject": entry.subject,
        "way": entry.origin.way,
        "address": entry.origin.address,
        "forwarded": entry.origin.forwarded,
        "details": dict(entry.details),
    }
    await state["audit"].insert_one(document, session=session)
    await state["audit"].delete_many({"_id": {"$lte": number - AUDITED}}, session=session)


async def audit(state: State, before: int | None, limit: int) -> Sequence[tuple[int, AuditEntry]]:
    wanted: dict[str, Any] = {} if before is None else {"_id": {"$lt": before}}
    found = await state["audit"].find(wanted).sort({"_id": -1}).limit(limit).to_list()
    return [
        (
            each["_id"],
            AuditEntry(
                at=each["at"],
                act=each["act"],
                subject=each["subject"],
                origin=Origin(way=each["way"], address=each["address"], forwarded=each["forwarded"]),
                details=each["details"],
            ),
        )
        for each in found
    ]


async def _revision_of(state: State, name: str, session: Session) -> int | None:
    found = await state["registered"].find_one({"_id": name.lower()}, session=session)
    return None if found is None else int(found["revision"])
