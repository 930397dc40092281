"""The leases in MongoDB, one document each. Time is the server's alone: a replica's clock may be wrong.

    {_id: "endpoint:crm", holder: "host-1-7f3a", epoch: 12, until: 2026-11-26T12:00:05Z}

A replica lives as long as the lease of its own name does (`replica:<name>`), where it says what its settings
know. The documents stay: a lease that
began again with its first epoch would let a stale holder write. Those of replicas go after a day."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pymongo
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from watcher.adapters.mongo.state.database import State
from watcher.core.leases import BEAT, CAPTURE, LASTS, Lease, Look

T = TypeVar("T")

OVER = datetime(1970, 1, 1, tzinfo=UTC)
REPLICA = "replica:"
SOON = 4 * BEAT
"""A look that takes longer is of no use any more: what it would renew is nearly over."""

RENEWED = [{"$set": {"until": {"$add": ["$$NOW", LASTS // timedelta(milliseconds=1)]}}}]
FREE = {"$set": {"holder": "", "until": OVER}}
ENDED = {"$expr": {"$lte": ["$until", "$$NOW"]}}


class MongoLeases:
    """`Leases` in the state's database, of one replica."""

    def __init__(self, state: State, replica: str) -> None:
        self._state = state
        self._leases = state["leases"]
        self._replica = replica

    async def look(self, knows: Collection[str]) -> Look:
        await self._state.prepare()  # nothing is done before the first look, so that a start can wait for it
        return await self._do(lambda: self._look(knows))

    async def take(self, name: str) -> Lease | None:
        return await self._do(lambda: self._take(name), within=BEAT)

    async def give_back(self, lease: Lease) -> None:
        mine = {"_id": lease.name, "holder": lease.holder, "epoch": lease.epoch}
        await self._do(lambda: self._leases.update_one(mine, FREE), within=BEAT)

    async def leave(self) -> None:
        mine = {"holder": self._replica}
        await self._do(lambda: self._leases.update_many(mine, FREE))

    async def _look(self, knows: Collection[str]) -> Look:
        _, mine = await asyncio.gather(self._renew_capture(), self._renew_others(knows))
        if mine == 0:
            await self._take(REPLICA + self._replica)
            await self._renew_others(knows)
        seen = {"holder": 1, "epoch": 1, "knows": 1}
        living = {"$expr": {"$gt": ["$until", "$$NOW"]}}
        live = await self._leases.aggregate([{"$match": living}, {"$project": seen}])
        held = {each["_id"]: each for each in await live.to_list()}
        replicas = {name.removeprefix(REPLICA) for name in held if name.startswith(REPLICA)}
        leases = {name: each for name, each in held.items() if not name.startswith(REPLICA)}
        return Look(
            replica=self._replica,
            replicas=frozenset(replicas | {self._replica}),
            knows={
                replica: frozenset(told)
                for replica in replicas
                if (told := held[REPLICA + replica].get("knows")) is not None
            },
            holders={name: each["holder"] for name, each in leases.items()},
            mine=frozenset(
                Lease(name=name, holder=self._replica, epoch=each["epoch"])
                for name, each in leases.items()
                if each["holder"] == self._replica
            ),
        )

    async def _renew_capture(self) -> None:
        """By itself: a long append holds it until it is through, which must not cost the other leases."""
        with suppress(PyMongoError), pymongo.timeout(2 * BEAT.total_seconds()):
            await self._leases.update_one({"_id": CAPTURE, "holder": self._replica}, RENEWED)

    async def _renew_others(self, knows: Collection[str]) -> int:
        """How many there are."""
        own = REPLICA + self._replica
        said, renewed = await asyncio.gather(
            self._leases.update_one({"_id": own}, [*RENEWED, {"$set": {"knows": sorted(knows)}}]),
            self._leases.update_many({"holder": self._replica, "_id": {"$nin": [CAPTURE, own]}}, RENEWED),
        )
        return said.matched_count + renewed.matched_count

    async def _take(self, name: str) -> Lease | None:
        await self._end_what_is_left_open(name)
        taken = await self._free(name)
        if taken is None:
            try:
                own = {"sessions": self._state.session_ids} if name.startswith(REPLICA) else {}
                await self._leases.insert_one({"_id": name, "epoch": 0, **own, **FREE["$set"]})
            except DuplicateKeyError:
                return None  # it is there, and not over
            taken = await self._free(name)
        return Lease(name=name, holder=self._replica, epoch=taken["epoch"]) if taken is not None else None

    async def _end_what_is_left_open(self, name: str) -> None:
        """Who died in the middle of a transaction still holds the lease by it, and much else."""
        over = await self._leases.find_one({"_id": name, **ENDED}, {"holder": 1})
        if over is None or over["holder"] in ("", self._replica):
            return
        holder = await self._leases.find_one({"_id": REPLICA + over["holder"]}, {"sessions": 1})
        if holder is not None:
            await self._state.end_sessions(holder["sessions"])

    async def _free(self, name: str) -> dict[str, Any] | None:
        return await self._leases.find_one_and_update(
            {"_id": name, **ENDED},
            [{"$set": {"holder": self._replica, "epoch": {"$add": ["$epoch", 1]}}}, *RENEWED],
            return_document=ReturnDocument.AFTER,
        )

    async def _do(self, work: Callable[[], Awaitable[T]], *, within: timedelta = SOON) -> T:
        return await self._state.read(work, within=within)
