"""Rows as they are, page by page in order of `_id`: what a first scan, a recovery and a backfill read.

A recovery reads a snapshot: the rows as they were at the very position from which the stream goes on, so that
nothing falls between the two, and nothing is in both. MongoDB (5.0 and newer) keeps one for about five
minutes; after that, and in older servers, rows are read as they are now."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from bson import Binary, Decimal128, Int64, ObjectId, Timestamp, json_util
from bson.errors import InvalidId
from pymongo.errors import OperationFailure, PyMongoError

from watcher.adapters.mongo.classify import classify
from watcher.adapters.mongo.connect import Client, Place, connection, place_of
from watcher.adapters.mongo.decode import CODEC, id_text, plain
from watcher.adapters.mongo.progress import token_time
from watcher.adapters.mongo.trim import projection
from watcher.cancelling import heed
from watcher.core.changes import Checkpoint
from watcher.core.events import Entity
from watcher.core.memory import Remembered, plain_names, remembered
from watcher.core.recovery import Row
from watcher.ports import Found, Page

MAJORITY: Mapping[str, Any] = {"level": "majority"}
"""As the stream: a row must not show what a failover may take back."""

LONGEST = timedelta(seconds=30)
"""For one page of an indexed scan. A scan may fail and go on; capture waits for it meanwhile."""

FIRST_OBJECT_ID, LAST_OBJECT_ID = datetime.fromtimestamp(0, UTC), datetime.fromtimestamp(2**32 - 1, UTC)
"""What an ObjectId can tell: seconds in four bytes."""

NO_SNAPSHOT = frozenset({72, 9, 239, 246})
"""InvalidOptions and FailedToParse (servers before 5.0), SnapshotTooOld, SnapshotUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    """Rows as they came, and where the next page begins."""

    rows: Sequence[dict[str, Any]]
    after: str | None
    operation_time: Timestamp


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
        find = {
            "find": collection,
            "projection": {"_id": 1, **dict.fromkeys(sorted(plain_names(names)), 1)},
            "readConcern": MAJORITY,
            "maxTimeMS": LONGEST // timedelta(milliseconds=1),
        }
        try:
            reply = await self._read(find, after=after, limit=limit)
            total = await self._database.command({"count": collection})
        except PyMongoError as error:
            raise self._translated(error) from error

        # Rounded up: `operationTime` counts writes within a second.
        exact_after = datetime.fromtimestamp(reply.operation_time.time + 1, UTC)
        return Page(
            rows={
                Entity(f"{collection}:{id_text(row['_id'])}"): Remembered(
                    fields=remembered(collection, plain(row), names), exact_after=exact_after
                )
                for row in reply.rows
            },
            after=reply.after,
            total=int(total["n"]),
        )

    async def touched(
        self,
        collection: str,
        stamps: Sequence[str] | None,
        *,
        since: datetime,
        as_of: Checkpoint | None,
        after: str | None,
        limit: int,
    ) -> Found:
        # Without a time limit: among rows of which none was touched, the next one may be far.
        find: dict[str, Any] = {"find": collection}
        if stamps is not None:
            find["filter"] = {"$or": [each for path in ("_id", *stamps) for each in _not_before(path, since)]}
        if (left_out := projection(collection)) is not None:
            find["projection"] = left_out
        reply, exact = await self._read_as_of(find, as_of, after=after, limit=limit)
        rows = [Row(collection=collection, id=id_text(row["_id"]), fields=plain(row)) for row in reply.rows]
        return Found(rows=rows, after=reply.after, exact=exact)

    async def count(self, collection: str, *, since: datetime) -> int:
        query = {"$or": list(_not_before("_id", since))}
        try:
            return int((await self._database.command({"count": collection, "query": query}))["n"])
        except PyMongoError as error:
            raise self._translated(error) from error

    async def existing(
        self, collection: str, ids: Sequence[str], *, as_of: Checkpoint | None
    ) -> frozenset[str]:
        candidates = [value for each in ids for value in _ids_written(each)]
        find = {"find": collection, "filter": {"_id": {"$in": candidates}}, "projection": {"_id": 1}}
        reply, _ = await self._read_as_of(find, as_of, after=None, limit=len(candidates))
        return frozenset(id_text(row["_id"]) for row in reply.rows)

    async def _read_as_of(
        self, find: dict[str, Any], as_of: Checkpoint | None, *, after: str | None, limit: int
    ) -> tuple[_Reply, bool]:
        """The rows as they were at a position, if that can still be had; and whether it could."""
        at = _just_before(as_of) if as_of is not None else None
        try:
            if at is not None:
                snapshot = {**find, "readConcern": {"level": "snapshot", "atClusterTime": at}}
                with suppress(_NoSnapshot):
                    return await self._read(snapshot, after=after, limit=limit), True
            return await self._read({**find, "readConcern": MAJORITY}, after=after, limit=limit), False
        except PyMongoError as error:
            raise self._translated(error) from error

    async def _read(self, find: dict[str, Any], *, after: str | None, limit: int) -> _Reply:
        # One more than the page: where the next one begins.
        command = {**find, "sort": {"_id": 1}, "hint": {"_id": 1}, "limit": limit + 1, "batchSize": limit + 1}
        if after is not None:
            # Not `$gte`, which would not pass from one type of `_id` to the next.
            command["min"] = json_util.loads(after, json_options=_EXACT)
        heed()
        async with self._client.start_session(causal_consistency=False) as session:
            try:
                reply = await self._database.command(command, codec_options=CODEC, session=session)
            except OperationFailure as error:
                if error.code in NO_SNAPSHOT and "atClusterTime" in command["readConcern"]:
                    raise _NoSnapshot from error
                raise
            rows, more = list(reply["cursor"]["firstBatch"]), len(reply["cursor"]["firstBatch"]) > limit
            if cursor := reply["cursor"]["id"]:
                # 16 MB were full before the page was.
                ask = {"getMore": Int64(cursor), "collection": find["find"], "batchSize": 1}
                rest = await self._database.command(ask, codec_options=CODEC, session=session)
                rows += rest["cursor"]["nextBatch"]
                more = bool(rest["cursor"]["nextBatch"])
                if rest["cursor"]["id"]:
                    kill = {"killCursors": find["find"], "cursors": [Int64(cursor)]}
                    await self._database.command(kill, session=session)
        return _Reply(
            rows=rows[:-1] if more else rows,
            after=_position(rows[-1]) if more else None,
            operation_time=reply["operationTime"],
        )

    def _translated(self, error: PyMongoError) -> Exception:
        return classify(error, self._place, topology=self._client.topology_description)


class _NoSnapshot(Exception):
    """The server keeps no such snapshot (any more)."""


_EXACT = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=True)


def _position(row: dict[str, Any]) -> str:
    return json_util.dumps({"_id": row["_id"]}, json_options=_EXACT)


def _just_before(checkpoint: Checkpoint) -> Timestamp | None:
    """The cluster time of the last write before a position; None where the token does not tell.

    A position without a change of its own (a stream's first) stands before the writes of its time."""
    time = token_time(checkpoint.token)
    if time is None:
        return None
    return Timestamp(time.time, time.inc - 1) if time.inc else Timestamp(time.time - 1, 2**32 - 1)


def _not_before(path: str, moment: datetime) -> Sequence[dict[str, Any]]:
    """Conditions for a date, and for an ObjectId, that is not older: MongoDB compares within one type."""
    young = ObjectId.from_datetime(min(max(moment, FIRST_OBJECT_ID), LAST_OBJECT_ID))
    return [{path: {"$gte": moment}}, {path: {"$gte": young}}]


def _ids_written(text: str) -> Sequence[Any]:
    """Every `_id` that `id_text` writes so. One too many costs nothing; one too few is a false deletion."""
    written: list[Any] = [text, *_NAMED.get(text, ())]
    for read in (ObjectId, _uuid, datetime.fromisoformat, Decimal128, _binary, _json):
        with suppress(InvalidId, ArithmeticError, ValueError):
            written.append(read(text))
    return written


_NAMED: Mapping[str, Sequence[Any]] = {"None": [None], "True": [True], "False": [False]}


def _uuid(text: str) -> Binary:
    return Binary.from_uuid(UUID(text))


def _binary(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _json(text: str) -> Any:
    value = json.loads(text)
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("no integer of BSON's")
    return value
