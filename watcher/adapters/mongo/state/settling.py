"""Settling: what became of attempts, and before them which deliveries go as a batch, written together.

Each waits for the transaction before it, never for a timer: alone when it is quiet, by the hundred when there
is much to do. One transaction each would meet all the others at the lease that they are fenced by: fifty
batches a second then did nothing but begin again, and held up the other endpoints of the replica."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import UpdateMany, UpdateOne

from watcher.adapters.mongo.state.counting import SETTLED, count
from watcher.adapters.mongo.state.database import Session, State
from watcher.adapters.mongo.state.documents import change_of
from watcher.adapters.times import to_ms
from watcher.core.events import EventId
from watcher.core.leases import Lease
from watcher.core.settlements import Settlement
from watcher.errors import LeaseLost

MOST = 500
"""Deliveries in one transaction: more gain little, and hold others up."""


@dataclass(frozen=True, slots=True)
class _Wish:
    lease: Lease | None
    done: asyncio.Future[None]
    settlements: Sequence[Settlement] = ()
    batch: EventId | None = None
    members: Sequence[EventId] = ()
    """Deliveries that go as this batch."""

    @property
    def size(self) -> int:
        return len(self.settlements) + len(self.members)


class Settler:
    """Writes settlements and batches until its task is cancelled."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._wishes: deque[_Wish] = deque()
        self._wished = asyncio.Event()

    async def settle(self, lease: Lease | None, settlements: Sequence[Settlement]) -> None:
        """Raises LeaseLost or OutboxError; then nothing of it is written."""
        await self._written(_Wish(lease, _promise(), settlements=settlements))

    async def bind(self, lease: Lease | None, members: Sequence[EventId], batch: EventId) -> None:
        """Raises LeaseLost or OutboxError; then nothing of it is written."""
        await self._written(_Wish(lease, _promise(), batch=batch, members=members))

    async def run(self) -> None:
        while True:
            await self._wished.wait()
            wishes = self._next()
            while wishes:
                wishes = await self._write(wishes)

    async def _written(self, wish: _Wish) -> None:
        self._wishes.append(wish)
        self._wished.set()
        await wish.done

    def _next(self) -> Sequence[_Wish]:
        wishes, size = [], 0
        while self._wishes and size < MOST:
            wishes.append(self._wishes.popleft())
            size += wishes[-1].size
        if not self._wishes:
            self._wished.clear()
        return wishes

    async def _write(self, wishes: Sequence[_Wish]) -> Sequence[_Wish]:
        """Write them; those that remain when a lease of some was lost come back."""
        binding = [_binding(wish) for wish in wishes if wish.members]
        settlements = [each for wish in wishes for each in wish.settlements]
        leases = sorted(
            {wish.lease for wish in wishes if wish.lease is not None},
            key=lambda each: (each.name, each.epoch),
        )

        fenced: Lease | None = None

        async def work(session: Session) -> None:
            nonlocal fenced
            for fenced in leases:
                await self._state.fence(fenced, session)
            if binding:
                await self._state["deliveries"].bulk_write(binding, ordered=False, session=session)
            if settlements:
                await _settle(self._state, settlements, session)

        error: Exception | None = None
        try:
            await self._state.transact(work, lease=None)
        except LeaseLost as lost:
            # That lease, and not its name: we may hold it again since.
            _end([wish for wish in wishes if wish.lease == fenced], lost)
            return [wish for wish in wishes if wish.lease != fenced]
        except Exception as failure:
            error = failure
        _end(wishes, error)
        return ()


def _promise() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


def _binding(wish: _Wish) -> UpdateMany:
    pending = {"_id": {"$in": wish.members}, "state": "pending"}
    return UpdateMany(pending, {"$set": {"batch": wish.batch}})


async def _settle(state: State, settlements: Sequence[Settlement], session: Session) -> None:
    deliveries = state["deliveries"]
    found = deliveries.find(
        {"_id": {"$in": [each.stored.delivery.id for each in settlements]}, "state": "pending"},
        {"endpoint": 1, "seq": 1, "log.at": 1},
        session=session,
    )
    pending = {each["_id"]: each for each in await found.to_list()}
    tally: Counter[tuple[str, Any]] = Counter()
    writes = []
    for each in settlements:
        identity = each.stored.delivery.id
        there = pending.get(identity)
        if there is None or there["seq"] != each.stored.seq:
            continue  # settled before, by who knows whom: left as it is
        is_kept = to_ms(each.attempt.at) in [attempt["at"] for attempt in there.get("log", ())]
        writes.append(UpdateOne({"_id": identity}, change_of(each, is_kept=is_kept)))
        tally[there["endpoint"], "pending"] -= 1
        tally[there["endpoint"], each.state] += 1
    if writes:
        await deliveries.bulk_write(writes, ordered=False, session=session)
        await count(state, tally, by=SETTLED, session=session)


def _end(wishes: Sequence[_Wish], error: Exception | None) -> None:
    for wish in wishes:
        if wish.done.done():
            continue  # nobody waits any more
        if error is None:
            wish.done.set_result(None)
        else:
            wish.done.set_exception(error)
