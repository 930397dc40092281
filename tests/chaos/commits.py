"""Commits: writes of which it is known that the majority has them, whatever becomes of primaries.

The law: one call, one change. Each write is one that changes nothing when it is done a second time (an
insert by `_id`, an update from one value to the next, a delete), so it is done again until MongoDB
acknowledges it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, PyMongoError

Database = AsyncDatabase[dict[str, Any]]
Row = Mapping[str, Any]

FENCES = "fences"
"""A collection that nobody watches."""

AGAIN_SECONDS = 0.1


class Commits:
    """Writes to one database. Its client must ask for `w: majority`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.unknown = 0
        """Writes whose acknowledgement was lost at least once."""
        self.found = 0
        """Those of them that were found to be there already when they were done again."""

    async def insert(self, collection: str, row: Row) -> None:
        async def act() -> bool:
            try:
                await self.database[collection].insert_one(dict(row))
            except DuplicateKeyError:
                return False
            return True

        await self._certainly(act)

    async def update(self, collection: str, identity: Any, was: Row, becomes: Row) -> None:
        async def act() -> bool:
            chosen = {"_id": identity, **was}
            return (await self.database[collection].update_one(chosen, {"$set": becomes})).matched_count > 0

        await self._certainly(act)

    async def delete(self, collection: str, identity: Any) -> None:
        async def act() -> bool:
            return (await self.database[collection].delete_one({"_id": identity})).deleted_count > 0

        await self._certainly(act)

    async def _certainly(self, act: Callable[[], Awaitable[bool]]) -> None:
        """Do it until it is acknowledged. `act` tells whether it changed anything now."""
        doubt = fenced = False
        while True:
            try:
                if await act():
                    return
                assert doubt, "a write found nothing to change, and was not tried before"
                if fenced:
                    self.found += 1
                    return
                # It was done before, perhaps by a primary whose last writes will be rolled back. Once the
                # majority has a later write, what stands before it stays; so write one, and look again.
                await self.database[FENCES].update_one({"_id": 0}, {"$inc": {"n": 1}}, upsert=True)
                fenced = True
            except PyMongoError:
                self.unknown += not doubt
                doubt, fenced = True, False
                await asyncio.sleep(AGAIN_SECONDS)
