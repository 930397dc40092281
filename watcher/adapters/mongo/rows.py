"""Rows as they are now, page by page in order of `_id`: what a first scan of the memory reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import json_util
from pymongo.errors import PyMongoError

from watcher.adapters.mongo.classify import classify
from watcher.adapters.mongo.connect import Client, Place, connection, place_of
from watcher.adapters.mongo.decode import CODEC, id_text, plain
from watcher.core.events import Entity
from watcher.core.memory import Remembered, remembered
from watcher.ports import Page

MAJORITY = {"level": "majority"}
"""As the stream: a row must not show what a failover may take back."""

LONGEST = timedelta(seconds=30)
"""For one page of an indexed scan. A scan may fail and go on; capture waits for it meanwhile."""


class MongoRows:
    """A `RowSource` over one database. Open it with `MongoRows.open`."""

    def __init__(self, client: Client, place: Place) -> None:
        self._client = client
        self._place = place
        self._database = client.get_database(place.database, codec_options=CODEC)

    @classmethod
    @asynccontextmanager
    async def open(cls, uri: str, database: str) -> AsyncIterator[MongoRows]:
        """Connects when the first page is asked for. Raises SourceRefused for a string that is no URI."""
        async with connection(uri) as client:
            yield cls(client, place_of(uri, database))

    async def page(self, collection: str, names: frozenset[str], *, after: str | None, limit: int) -> Page:
        try:
            reply = await self._find(collection, names, after, limit)
            total = await self._database.command({"count": collection})
        except PyMongoError as error:
            raise classify(error, self._place, topology=self._client.topology_description) from error

        # One more than the page: where the next one begins.
        rows = reply["cursor"]["firstBatch"]
        # Rounded up: `operationTime` counts writes within a second.
        exact_after = datetime.fromtimestamp(reply["operationTime"].time + 1, UTC)
        return Page(
            rows={
                Entity(f"{collection}:{id_text(row['_id'])}"): Remembered(
                    fields=remembered(collection, plain(row), names), exact_after=exact_after
                )
                for row in rows[:limit]
            },
            after=_position(rows[limit]) if len(rows) > limit else None,
            total=int(total["n"]),
        )

    async def _find(
        self, collection: str, names: frozenset[str], after: str | None, limit: int
    ) -> dict[str, Any]:
        find: dict[str, Any] = {
            "find": collection,
            "projection": {"_id": 1, **dict.fromkeys(sorted(names), 1)},
            "sort": {"_id": 1},
            "hint": {"_id": 1},
            "limit": limit + 1,
            "batchSize": limit + 1,
            "singleBatch": True,
            "readConcern": MAJORITY,
            "maxTimeMS": LONGEST // timedelta(milliseconds=1),
        }
        if after is not None:
            # Not `$gte`, which would not pass from one type of `_id` to the next.
            find["min"] = json_util.loads(after, json_options=_EXACT)
        return await self._database.command(find, codec_options=CODEC)


_EXACT = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=True)


def _position(row: dict[str, Any]) -> str:
    return json_util.dumps({"_id": row["_id"]}, json_options=_EXACT)
