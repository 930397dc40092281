"""The oplog's reach: how far back changes can still be read. It takes `read` on the database local."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from pymongo.errors import OperationFailure, PyMongoError

from watcher.adapters.mongo.classify import classify
from watcher.adapters.mongo.connect import Client, Place, connection, place_of
from watcher.adapters.mongo.progress import token_time
from watcher.core.changes import Checkpoint
from watcher.core.headroom import Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class OplogWindow:
    """A position outside of it is lost."""

    first: datetime
    last: datetime

    @property
    def span(self) -> timedelta:
        return self.last - self.first


class MongoOplog:
    """An `Oplog` of one replica set. Open it with `MongoOplog.open`."""

    def __init__(self, client: Client, place: Place) -> None:
        self._client = client
        self._place = place

    @classmethod
    @asynccontextmanager
    async def open(cls, uri: str, database: str) -> AsyncIterator[MongoOplog]:
        """Connects at the first look. Raises SourceRefused for a string that is no URI."""
        async with connection(uri) as client:
            yield cls(client, place_of(uri, database))

    async def reach(self, position: Checkpoint) -> Reach | None:
        try:
            window = await oplog_window(self._client)
        except PyMongoError as error:
            raise classify(error, self._place, topology=self._client.topology_description) from error
        reached = position_time(position)
        if window is None or reached is None:
            return None
        return Reach(first=window.first, last=window.last, position=reached)


def position_time(position: Checkpoint) -> datetime | None:
    """When the stored position is: of a quiet LibreChat the last change may be long ago, the token is not."""
    time = token_time(position.token)
    return time.as_datetime() if time is not None else position.at


async def oplog_window(client: Client) -> OplogWindow | None:
    """None where there is no oplog, or it may not be read. Raises PyMongoError where nobody answers."""
    ends = []
    oplog = client["local"]["oplog.rs"]
    try:
        for direction in (1, -1):
            entry = await oplog.find_one({}, {"ts": 1}, sort=[("$natural", direction)])
            if entry is None:
                return None
            ends.append(entry["ts"].as_datetime())
    except OperationFailure:
        return None
    return OplogWindow(first=ends[0], last=ends[1])
