"""A state in MongoDB, looked at and left as it is: what was never begun is empty."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from watcher.adapters.mongo.connect import connection, place_of
from watcher.adapters.mongo.state.database import State
from watcher.adapters.mongo.state.news import News
from watcher.adapters.mongo.state.outbox import MongoOutbox
from watcher.adapters.mongo.state.settling import Settler
from watcher.core.changes import Checkpoint
from watcher.core.circuits import Standing
from watcher.core.deliveries import Dossier, Fate
from watcher.core.deliveries import State as DeliveryState
from watcher.core.events import Entity, EventId
from watcher.core.managing import AuditEntry, Registered
from watcher.core.searching import Wanted
from watcher.ports import Counts


class MongoReader:
    """A `StateReader` of one database. Open it with `MongoReader.open`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._outbox = MongoOutbox(state, News(state), Settler(state))

    @classmethod
    @asynccontextmanager
    async def open(
        cls, uri: str, database: str, *, watched: str | None = None, setting: str = "watcher.state"
    ) -> AsyncIterator[MongoReader]:
        """Raises SourceRefused for a string that is no URI, OutboxError, or OutboxBroken for the state of
        another LibreChat."""
        async with connection(uri, setting=setting) as client:
            state = State(client, place_of(uri, database, setting=setting), watched=watched)
            await state.demand_ours()
            yield cls(state)

    async def checkpoint(self) -> Checkpoint | None:
        position = await self._outbox.position()
        return position.checkpoint if position is not None else None

    async def standings(self) -> Mapping[str, Standing]:
        return await self._outbox.standings()

    async def counts(self) -> Mapping[str, Counts]:
        return await self._outbox.counts()

    async def fates(self, row: Entity, *, limit: int) -> Sequence[Fate]:
        return await self._outbox.fates(row, limit=limit)

    async def search(
        self, wanted: Wanted, *, after: EventId | None, limit: int, oldest_first: bool = False
    ) -> Sequence[Fate]:
        return await self._outbox.search(wanted, after=after, limit=limit, oldest_first=oldest_first)

    async def number(self, wanted: Wanted) -> Mapping[DeliveryState, int]:
        return await self._outbox.number(wanted)

    async def dossier(self, identity: EventId) -> Dossier | None:
        return await self._outbox.dossier(identity)

    async def registered(self) -> Registered:
        return await self._outbox.registered()

    async def audit(self, *, before: int | None, limit: int) -> Sequence[tuple[int, AuditEntry]]:
        return await self._outbox.audit(before=before, limit=limit)

    async def try_writing(self) -> None:
        await self._state.try_writing()
