"""The `_id`s of rows that somebody asks for by an id of LibreChat's own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from bson import ObjectId
from pymongo.errors import PyMongoError

from watcher.adapters.mongo.classify import classify
from watcher.adapters.mongo.connect import connection, place_of
from watcher.adapters.mongo.decode import CODEC, id_text

MANY = 20
"""Rows by one id, at most: they are unique per user and tenant only."""

LONGEST = timedelta(seconds=10)
"""A person waits. A field without an index is searched for row by row."""


async def ids_of(
    uri: str, database: str, collection: str, identity: str, *, own: str | None
) -> Sequence[str]:
    """Of the rows that go by this `_id`, or have it in the field `own`, the `_id`s as text.

    Raises SourceError."""
    ids: list[Any] = [identity, ObjectId(identity)] if ObjectId.is_valid(identity) else [identity]
    ways: list[dict[str, Any]] = [{"_id": {"$in": ids}}, *([{own: identity}] if own else [])]
    find = {
        "find": collection,
        "filter": {"$or": ways},
        "projection": {"_id": 1},
        "limit": MANY,
        "singleBatch": True,
        "maxTimeMS": LONGEST // timedelta(milliseconds=1),
    }
    async with connection(uri) as client:
        try:
            reply = await client[database].command(find, codec_options=CODEC)
        except PyMongoError as error:
            raise classify(error, place_of(uri, database), topology=client.topology_description) from error
    return [id_text(row["_id"]) for row in reply["cursor"]["firstBatch"]]
