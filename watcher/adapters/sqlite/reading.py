"""A state file read beside a running `run`, or without one."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from watcher.adapters.sqlite import log, registry, standings
from watcher.adapters.sqlite.database import SCHEMA_VERSION, demand_writable, read_beside
from watcher.adapters.sqlite.fates import fates
from watcher.adapters.sqlite.position import checkpoint
from watcher.core.changes import Checkpoint
from watcher.core.circuits import Standing
from watcher.core.deliveries import Dossier, Fate, State
from watcher.core.events import Entity, EventId
from watcher.core.managing import AuditEntry, Registered
from watcher.core.searching import Wanted
from watcher.ports import Counts

T = TypeVar("T")


class SqliteReader:
    """A `StateReader` of one file. What was never begun is empty.

    Raises OutboxError for a file that is no state of ours, or of a version that has not what is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def checkpoint(self) -> Checkpoint | None:
        return await self._read(checkpoint, oldest=1)

    async def standings(self) -> Mapping[str, Standing]:
        return await self._read(standings.kept, oldest=3) or {}

    async def counts(self) -> Mapping[str, Counts]:
        return await self._read(standings.counts, oldest=1) or {}

    async def fates(self, row: Entity, *, limit: int) -> Sequence[Fate]:
        return await self._read(lambda db: fates(db, row, limit=limit)) or []

    async def search(
        self, wanted: Wanted, *, after: EventId | None, limit: int, oldest_first: bool = False
    ) -> Sequence[Fate]:
        found = await self._read(
            lambda db: log.page(db, wanted, after=after, limit=limit, oldest_first=oldest_first)
        )
        return found or []

    async def number(self, wanted: Wanted) -> Mapping[State, int]:
        return await self._read(lambda db: log.number(db, wanted)) or {}

    async def dossier(self, identity: EventId) -> Dossier | None:
        return await self._read(lambda db: log.dossier(db, identity))

    async def registered(self) -> Registered:
        return await self._read(registry.registered, oldest=1) or Registered()

    async def audit(self, *, before: int | None, limit: int) -> Sequence[tuple[int, AuditEntry]]:
        return await self._read(lambda db: registry.audit(db, before, limit)) or []

    async def try_writing(self) -> None:
        await asyncio.to_thread(demand_writable, self._path)

    async def _read(
        self, work: Callable[[sqlite3.Connection], T], *, oldest: int = SCHEMA_VERSION
    ) -> T | None:
        return await asyncio.to_thread(read_beside, self._path, work, oldest=oldest)
