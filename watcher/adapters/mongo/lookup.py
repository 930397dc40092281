"""The rows behind what a change does not tell, as they are now: one `find` per collection and batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern

from watcher.adapters.mongo.decode import CODEC, RawEvent, RowKey, id_text, plain, subject_of
from watcher.adapters.mongo.trim import projection
from watcher.core.changes import Document

Wanted = Mapping[str, Sequence[Any]]
"""Ids of rows, by collection."""


async def current_rows(database: AsyncDatabase[dict[str, Any]], wanted: Wanted) -> Mapping[RowKey, Document]:
    """Those rows; one that has been deleted since is not among them."""
    rows: dict[RowKey, Document] = {}
    for collection, ids in wanted.items():
        # Majority, as the stream: a row must not show what a failover may take back.
        reader = database.get_collection(
            collection, codec_options=CODEC, read_concern=ReadConcern("majority")
        )
        async for row in reader.find({"_id": {"$in": ids}}, projection(collection)):
            rows[collection, id_text(row["_id"])] = plain(row)
    return rows


def rows_wanted(events: Sequence[RawEvent]) -> Wanted:
    """Those behind what these changes do not tell."""
    wanted: dict[str, dict[str, Any]] = {}
    for event in events:
        if _lacks_its_row(event):
            subject = subject_of(event)
            if subject is not None:
                collection, row_id = subject
                wanted.setdefault(collection, {})[id_text(row_id)] = row_id
    return {collection: list(ids.values()) for collection, ids in wanted.items()}


def _lacks_its_row(event: RawEvent) -> bool:
    operation = event.get("operationType")
    if "written" in event:
        return operation != "delete"
    return operation == "update" and (not event.get("fullDocumentBeforeChange") or bool(event.get("leftOut")))
