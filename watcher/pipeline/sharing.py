"""Sharing: what this replica does, of all that there is to do, and for how long.

    look ──▶ lost? cut it off
         ──▶ another's share? let it end, and give it back
         ──▶ our share, and free? take it, and begin

What cannot be taken or given back now must not keep the next look waiting: that renews all the others.

The law: of one name there is never more than one at work in a replica, and what another replica has taken
over writes nothing here any more. Who has a state of its own is alone, and does all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from watcher.core.facts import LOOKING, LeaseEnded, LeasesSeen, LeaseTaken, StoreFailed
from watcher.core.leases import BEAT, CAPTURE, LASTS, MARGIN, Lease, Look, shared_out
from watcher.errors import LeaseLost, OutboxError
from watcher.ports import Clock, Leases, Observer

PARTING = timedelta(seconds=2)
"""What saying good-bye may take: who does not hear of it finds out when the leases end."""


@dataclass(frozen=True, slots=True, eq=False)
class Tenure:
    """One lease, for as long as this replica holds it."""

    lease: Lease
    lasts: Callable[[], bool]
    """Whether it is ours for sure, now. Nothing is begun without."""
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when another is to have it: nothing new begins, and what is under way may end."""


class Sharing:
    """Takes part in the work until told to stop."""

    def __init__(
        self,
        leases: Leases,
        work: Callable[[Tenure], Awaitable[None]],
        *,
        clock: Clock,
        observe: Observer,
    ) -> None:
        """`work`: does what a lease is for, until its tenure is `ending`; cancelled when it is lost."""
        self._leases = leases
        self._work = work
        self._clock = clock
        self._observe = observe
        self._names: frozenset[str] = frozenset()
        self._tenures: dict[str, Tenure] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._owed: set[Lease] = set()  # to be given back, as soon as the store can hear of it
        self._lasts_until = 0.0
        self._stirred = asyncio.Event()

    def become(self, names: Collection[str]) -> None:
        """From now on there are these things to do, for all replicas together."""
        self._names = frozenset(names)
        self._stirred.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Take part until `stopping` is set; then let what is under way end, and leave.

        Raises what the work raises, but for LeaseLost."""
        async with asyncio.TaskGroup() as tasks:
            told = tasks.create_task(self._stir_when(stopping))
            while not (stopping.is_set() and not self._tasks):
                self._stirred.clear()
                await self._beat(tasks, stopping)
                if not (stopping.is_set() and not self._tasks):
                    await self._until_next()
            told.cancel()
        with suppress(OutboxError, TimeoutError):
            async with asyncio.timeout(PARTING.total_seconds()):
                await self._leases.leave()

    async def _beat(self, tasks: asyncio.TaskGroup, stopping: asyncio.Event) -> None:
        if stopping.is_set():
            self._names = frozenset()
        for name in self._tenures.keys() - self._names:
            self._tenures[name].ending.set()
        try:
            began = self._clock.monotonic()
            look = await self._leases.look(self._names)
            self._lasts_until = began + (LASTS - MARGIN).total_seconds()
            reading = CAPTURE in look.holders
            self._observe(LeasesSeen(replicas=len(look.replicas), reading=reading, skew=look.skew))
            self._part_with_what_is_lost(look)
            target = shared_out(self._names, look)
            for lease in look.mine:
                if lease.name not in self._tasks and lease not in self._owed:
                    self._begin(lease, tasks)
            for name, replica in target.items():
                if replica != look.replica and name in self._tenures:
                    self._tenures[name].ending.set()
            await self._give_back_what_is_owed()
            for name in self._free_shares(target, look):
                if (taken := await self._leases.take(name)) is not None:
                    self._begin(taken, tasks)
                if self._clock.monotonic() - began > BEAT.total_seconds():
                    self._stirred.set()  # the rest after a look: what is held must be renewed meanwhile
                    break
        except OutboxError as error:
            self._observe(StoreFailed(doing=LOOKING, reason=str(error), retry_in=BEAT))

    def _free_shares(self, target: Mapping[str, str], look: Look) -> Sequence[str]:
        """What this replica is to do, and nobody does."""
        return [
            name
            for name, replica in target.items()
            if replica == look.replica and name not in look.holders and name not in self._tasks
        ]

    async def _give_back_what_is_owed(self) -> None:
        for lease in list(self._owed):
            await self._leases.give_back(lease)
            self._owed.discard(lease)
            self._stirred.set()  # it may be ours again

    def _part_with_what_is_lost(self, look: Look) -> None:
        for name, tenure in self._tenures.items():
            if tenure.lease not in look.mine:
                self._tasks[name].cancel()

    def _begin(self, lease: Lease, tasks: asyncio.TaskGroup) -> None:
        tenure = Tenure(lease=lease, lasts=lambda: self._clock.monotonic() < self._lasts_until)
        self._observe(LeaseTaken(lease=lease.name, epoch=lease.epoch))
        self._tenures[lease.name] = tenure
        self._tasks[lease.name] = tasks.create_task(self._serve(tenure))

    async def _serve(self, tenure: Tenure) -> None:
        lease, lost = tenure.lease, True
        try:
            await self._work(tenure)
            lost = False
        except* LeaseLost:
            pass  # another has it, and goes on from what is stored
        finally:
            del self._tenures[lease.name], self._tasks[lease.name]
            if not lost:
                self._owed.add(lease)
            self._observe(LeaseEnded(lease=lease.name, epoch=lease.epoch, lost=lost))
            self._stirred.set()

    async def _until_next(self) -> None:
        """A beat, or something that cannot wait for it."""
        async with asyncio.TaskGroup() as tasks:
            alarm = tasks.create_task(self._ring())
            await self._stirred.wait()
            alarm.cancel()

    async def _ring(self) -> None:
        await self._clock.sleep(BEAT)
        self._stirred.set()

    async def _stir_when(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        for tenure in self._tenures.values():
            tenure.ending.set()  # now, and not after a look that may take long
        self._stirred.set()
