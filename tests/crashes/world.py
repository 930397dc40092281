"""The world and the program in it. The world outlives every crash: MongoDB with its clock, the receivers, the
disk. A life is one run of the program, from its start to its end or to the moment it is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache

from tests.crashes.ledger import Script
from tests.crashes.loop import SteppedLoop
from tests.crashes.promises import Evidence, Row, broken
from tests.crashes.receivers import Receivers, Wire
from tests.crashes.stores import Image, Store, Trouble
from tests.crashes.stream import Stream
from watcher.adapters.sqlite.writer import LEISURE_SECONDS
from watcher.config.mappings import load_mappings
from watcher.core.endpoints import Endpoint
from watcher.core.mapping import CollectionMapping
from watcher.core.planning import Plan
from watcher.pipeline.capture import capture
from watcher.pipeline.dispatch import Dispatcher
from watcher.pipeline.housekeeping import keep_house
from watcher.pipeline.recovery import OnPositionLost, Recoverer
from watcher.pipeline.remembering import Memory
from watcher.pipeline.room import BoundedSource
from watcher.pipeline.room import Store as Room
from watcher.pipeline.supervision import keep_capturing
from watcher.ports import Observer, Outbox
from watcher.testing import FakeClock, MemoryOutbox, ScriptedRows

GRACE = timedelta(seconds=8)
LATER = timedelta(seconds=20)
LONG_ENOUGH = 60
"""Steps of `LATER` in which everything must be settled that can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a run of the program is told."""

    script: Script
    endpoints: Sequence[Endpoint]
    steady: frozenset[str] = frozenset()
    """Endpoints that take everything at once: nothing may ever keep them waiting."""
    images: bool = True
    on_position_lost: OnPositionLost = "fail"
    unfinished_hold: timedelta = timedelta(seconds=60)
    retention: timedelta = timedelta(minutes=3)
    """Of what is delivered. Of the dead: for ever."""
    store_bytes: int = 10**9


@dataclass(slots=True, kw_only=True)
class World:
    setup: Setup
    receivers: Receivers
    store: Store
    played: int = 1
    """So many moments of the script have come."""
    lives: int = 0
    later: timedelta = timedelta(0)
    """How long ago the script ended."""
    beginnings: dict[int, Mapping[str, Row]] = field(default_factory=dict)
    """By life: the rows in the store when it began, by their ids."""

    @property
    def over(self) -> bool:
        return self.played == len(self.setup.script.moments)

    @property
    def now(self) -> datetime:
        return self.setup.script.moments[self.played - 1].at + self.later

    @property
    def written(self) -> int:
        return self.setup.script.moments[self.played - 1].written

    @property
    def read(self) -> int:
        """So many changes have been dealt with."""
        return self.setup.script.fell.start if self.store.repairing() else self.store.read()

    def passes(self, moments: int) -> None:
        """So many moments come, whoever is there to see them; after the last there is only time."""
        for _ in range(moments):
            if self.over:
                self.later += LATER
            else:
                self.played += 1

    def image(self) -> World:
        """The world as it is if the program is cut off now."""
        return self._with(self.store.again(self.store.image()))

    def restored(self, image: Image) -> World:
        """The world as it is, but for a state that was put back from a copy."""
        return self._with(self.store.again(image))

    def fingerprint(self) -> tuple[object, ...]:
        """Two moments with the same one leave the same world behind."""
        return self.store.digest(), self.receivers.moment, self.played, self.later

    def verdict(self, *, cut_off: bool = False) -> list[str]:
        """Every promise that is broken, as things stand. `cut_off`: in the middle, not in the end."""
        evidence = Evidence(
            owed=self.setup.script.owed,
            endpoints=self.setup.endpoints,
            attempts=self.receivers.log,
            rows=self.store.rows(),
            beginnings=self.beginnings,
        )
        return broken(evidence, read=self.read if cut_off else None)

    def _with(self, store: Store) -> World:
        receivers = self.receivers.copy()
        receivers.hang_up_all()
        return World(
            setup=self.setup,
            receivers=receivers,
            store=store,
            played=self.played,
            lives=self.lives,
            later=self.later,
            beginnings=dict(self.beginnings),
        )


class Life:
    """One run of the program: what `app.py` puts together, on a clock, a MongoDB and receivers of ours."""

    def __init__(
        self,
        world: World,
        *,
        after_step: Callable[[], object] = lambda: None,
        choose: Callable[[int], int] = lambda _: 0,
        sizes: Callable[[], int] = lambda: 3,
    ) -> None:
        world.lives += 1
        world.beginnings[world.lives] = {row.id: row for row in world.store.rows()}
        self.world = world
        self.trouble = Trouble()
        self.clock = FakeClock(world.now)
        self.stream = Stream(
            world.setup.script, images=world.setup.images, sizes=sizes, written=world.written, now=world.now
        )
        self._rows = ScriptedRows(seen_at=world.now)
        self._rows.rows = self.stream.rows
        self.loop = SteppedLoop(after_step=after_step, choose=choose)
        self._stopping = asyncio.Event()
        self._running = self.loop.create_task(self._run())

    # ------------------------------------------------------------------ what happens to it

    def rest(self) -> None:
        """Let it do all that it can do now, and what it puts off for a moment."""
        self.loop.quiet()
        while self.loop.pass_time(LEISURE_SECONDS):
            self.loop.quiet()
        self._fail_if_it_ended()
        self._fail_if_somebody_waits()

    def run(self, steps: int) -> None:
        """Let it do so much, if it has so much to do; not what it puts off for a moment."""
        for _ in range(steps):
            if not self.loop.step():
                break
        self._fail_if_it_ended()

    def next(self) -> None:
        """LibreChat's next moment comes; after the last one there is only time."""
        before = self.world.now
        self.world.passes(1)
        span = self.world.now - before
        self.clock.advance(span)
        self.loop.pass_time(span.total_seconds())
        self.stream.moves(written=self.world.written, now=self.world.now)
        self._rows.seen_at = self.clock.now()

    def live_to_the_end(self) -> None:
        """Play the rest of the script, until everything is settled, and stop in good order."""
        try:
            self._live()
        except BaseException:
            self.bury()
            raise
        self.stop()

    def stop(self) -> World:
        """SIGTERM."""
        self._stopping.set()
        self.loop.finish(self._running)
        return self.world

    def kill(self) -> World:
        """Everything in memory is gone; what is left is the world."""
        left = self.world.image()
        self.bury()
        return left

    def bury(self) -> None:
        """Close what is open. Whatever it still does, it does in a world that nobody looks at."""
        self.loop.after_step = lambda: None
        self._running.cancel()
        with suppress(asyncio.CancelledError, Exception):
            self.loop.finish(self._running)

    def _live(self) -> None:
        self.rest()
        for _ in range(len(self.world.setup.script.moments) + LONG_ENOUGH):
            world = self.world
            complete = world.read == len(world.setup.script.changes)
            if world.later and complete and not world.store.waiting():
                break
            self.next()
            self.rest()

    def _fail_if_it_ended(self) -> None:
        if self._running.done():
            self._running.result()
            raise AssertionError("the program ended by itself")

    def _fail_if_somebody_waits(self) -> None:
        steady, waiting = self.world.setup.steady, self.world.store.waiting()
        late = [name for name, state in waiting if state == "pending" and name in steady]
        assert not late or self.trouble.met, f"kept waiting for no reason of their own: {late}"

    # ------------------------------------------------------------------ what it is

    async def _run(self) -> None:
        world, setup, clock = self.world, self.world.setup, self.clock
        observe: Observer = lambda _: None  # noqa: E731 (nobody looks at facts here)
        plan = _plan(tuple(setup.endpoints), setup.unfinished_hold, setup.on_position_lost == "recover")
        wire = Wire(world.receivers, life=world.lives, clock=clock)

        async with AsyncExitStack() as stack:
            outbox: Outbox = await stack.enter_async_context(world.store.open(self.trouble))
            memory = Memory(plan.remembered, outbox, clock=clock, observe=observe)
            room = Room(outbox, limit_bytes=setup.store_bytes, clock=clock, observe=observe)
            recoverer = Recoverer(
                self.stream,
                plan,
                outbox,
                memory,
                self._rows,
                until_room=room.until_room,
                on_position_lost=setup.on_position_lost,
                clock=clock,
                observe=observe,
            )

            async def capture_once(observe: Observer) -> None:
                stream = BoundedSource(self.stream, room)
                await capture(stream, plan, outbox, memory, clock=clock, observe=observe)

            async with asyncio.TaskGroup() as tasks:
                background = [
                    tasks.create_task(keep_capturing(capture_once, recoverer, clock=clock, observe=observe)),
                    tasks.create_task(memory.scan(self._rows)),
                    tasks.create_task(
                        keep_house(
                            outbox,
                            MemoryOutbox(),  # figures are not what crashes are about
                            delivered=setup.retention,
                            dead=timedelta(days=30),
                            clock=clock,
                            observe=observe,
                        )
                    ),
                ]
                for endpoint in setup.endpoints:
                    dispatcher = Dispatcher(
                        endpoint, outbox=outbox, sender=wire, clock=clock, observe=observe
                    )
                    tasks.create_task(dispatcher.run(self._stopping, grace=GRACE))

                await self._stopping.wait()
                for task in background:
                    task.cancel()


@cache
def _plan(endpoints: tuple[Endpoint, ...], unfinished_hold: timedelta, recover: bool) -> Plan:
    return Plan.of(_mappings(), endpoints, unfinished_hold=unfinished_hold, recover=recover)


@cache
def _mappings() -> tuple[CollectionMapping, ...]:
    return load_mappings()
