"""The leases in MongoDB, one document each. Time is the server's alone: a replica's clock may be wrong.

    {_id: "endpoint:crm", holder: "host-1-7f3a", epoch: 12, until: 2026-11-26T12:00:05Z}

A replica lives as long as the lease of its own name does (`replica:<name>`), where it says what its settings
know. The documents stay: a lease that began again with its first epoch would let a stale holder write. Those
of replicas go after a day.

What a holder writes it writes together with the lease's fence, a document beside it that has the epoch, too.
Only who takes the lease changes both: so a holder's long transaction does not keep it from renewing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from watcher.adapters.mongo.state.database import Session, State
from watcher.core.leases import BEAT, LASTS, Lease, Look

T = TypeVar("T")

OVER = datetime(1970, 1, 1, tzinfo=UTC)
REPLICA = "replica:"
SOON = 4 * BEAT
"""A look that takes longer is of no use any more: what it would renew is nearly over."""

RENEWED = [{"$set": {"until": {"$add": ["$$NOW", LASTS // timedelta(milliseconds=1)]}}}]
FREE = {"$set": {"holder": "", "until": OVER}}
OF_SCHEMA_1 = {"sessions": {"$exists": True}, "knows": {"$exists": False}}
"""A replica that does not say what it knows, alive or not: it may come back, for as long as this is there."""
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
        await asyncio.gather(self._say(knows), self._renew())
        older = await self._leases.find_one(OF_SCHEMA_1, {"_id": 1})
        self._state.is_mixed = older is not None
        seen = {"holder": 1, "epoch": 1, "knows": 1, "now": "$$NOW"}
        living = {"$expr": {"$gt": ["$until", "$$NOW"]}}
        asked = datetime.now(UTC)
        live = await self._leases.aggregate([{"$match": living}, {"$project": seen}])
        held = {each["_id"]: each for each in await live.to_list()}
        halfway = asked + (datetime.now(UTC) - asked) / 2
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
            skew=next((each["now"] - halfway for each in held.values()), timedelta(0)),
        )

    async def _say(self, knows: Collection[str]) -> None:
        said = {
            "holder": self._replica,
            "epoch": 1,
            "sessions": self._state.session_ids,
            "knows": sorted(knows),
        }
        plainly = {key: {"$literal": value} for key, value in said.items()}
        await self._leases.update_one(
            {"_id": REPLICA + self._replica}, [{"$set": plainly}, *RENEWED], upsert=True
        )

    async def _renew(self) -> None:
        held = {"holder": self._replica, "_id": {"$ne": REPLICA + self._replica}}
        await self._leases.update_many(held, RENEWED)

    async def _take(self, name: str) -> Lease | None:
        await self._end_what_is_left_open(name)
        taken = await self._free(name)
        if taken is None:
            try:
                await self._leases.insert_one({"_id": name, "epoch": 0, **FREE["$set"]})
            except DuplicateKeyError:
                return None  # it is there, and not over; or its holder writes just now
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
        """The lease, if it was free, as this replica's; and its fence."""

        async def work(session: Session) -> dict[str, Any] | None:
            taken = await self._leases.find_one_and_update(
                {"_id": name, **ENDED},
                [{"$set": {"holder": self._replica, "epoch": {"$add": ["$epoch", 1]}}}, *RENEWED],
                return_document=ReturnDocument.AFTER,
                session=session,
            )
            if taken is not None:
                await self._state.advance_fence(name, taken["epoch"], session)
            return taken

        return await self._state.attempt(work, within=BEAT)

    async def _do(self, work: Callable[[], Awaitable[T]], *, within: timedelta = SOON) -> T:
        return await self._state.read(work, within=within)
