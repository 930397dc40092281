"""Figures in MongoDB: each has a document of its own, to which all replicas add."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pymongo import UpdateOne

from watcher.adapters.mongo.state.database import Session, State
from watcher.core.events import EventType
from watcher.core.figures import Figure


async def tally(state: State, figures: Sequence[Figure], session: Session) -> None:
    if figures:
        await state["figures"].bulk_write([_addition(each) for each in figures], session=session)


async def figures(state: State, since: datetime, until: datetime, endpoint: str | None) -> Sequence[Figure]:
    wanted: dict[str, Any] = {"_id.hour": {"$gte": since, "$lt": until}}
    if endpoint is not None:
        wanted["_id.endpoint"] = endpoint
    found = [_figure(each) for each in await state["figures"].find(wanted).to_list()]
    return sorted(found, key=lambda figure: (figure.hour, figure.endpoint, figure.event))


async def forget(state: State, before: datetime, limit: int) -> int:
    old = state["figures"].find({"_id.hour": {"$lt": before}}, {"_id": 1}).sort({"_id.hour": 1}).limit(limit)
    ids = [each["_id"] for each in await old.to_list()]
    if not ids:
        return 0
    return (await state["figures"].delete_many({"_id": {"$in": ids}})).deleted_count


def _addition(figure: Figure) -> UpdateOne:
    durations = {f"durations.{number}": count for number, count in figure.durations.items()}
    return UpdateOne(
        {"_id": {"endpoint": figure.endpoint, "hour": figure.hour, "event": figure.event}},
        {"$inc": {"delivered": figure.delivered, "failed": figure.failed, **durations}},
        upsert=True,
    )


def _figure(document: dict[str, Any]) -> Figure:
    key = document["_id"]
    return Figure(
        endpoint=key["endpoint"],
        event=EventType(key["event"]),
        hour=key["hour"],
        delivered=document["delivered"],
        failed=document["failed"],
        durations={int(number): count for number, count in document.get("durations", {}).items()},
    )
