"""Roles: what one replica may have to do: to read the changes, and to send to each endpoint.

Who plays which is decided by leases (`pipeline/sharing.py`). New settings reach a role while it is played."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from watcher.adapters.mongo.source import MongoSource
from watcher.config.mappings import load_mappings
from watcher.config.settings import Settings
from watcher.core.endpoints import Endpoint
from watcher.core.lanes import window_of
from watcher.core.leases import CAPTURE, endpoint_lease
from watcher.core.managing import Registered
from watcher.core.planning import Plan
from watcher.managed import joined
from watcher.pipeline.capture import capture
from watcher.pipeline.dispatch import Dispatcher
from watcher.pipeline.headroom import Headroom
from watcher.pipeline.housekeeping import keep_house
from watcher.pipeline.recovery import Recoverer
from watcher.pipeline.remembering import Memory
from watcher.pipeline.room import BoundedSource
from watcher.pipeline.room import Store as Room
from watcher.pipeline.sharing import Tenure
from watcher.pipeline.supervision import keep_capturing
from watcher.ports import UNTRACED, Clock, Observer, Oplog, Outbox, RowSource, Sender, Tracer
from watcher.sourcing import source_of
from watcher.stores import Store

START = timedelta(seconds=30)
"""After that a MongoDB that refuses is waited for: a replica may be asked to read long after its start."""

GRACE = timedelta(seconds=8)
"""How long attempts in flight may take to end after SIGTERM: below the 10 s after which a container engine
kills unless told otherwise (our compose override and manifests give it longer)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Settings and managed endpoints, and the plan that they and the mapping files come to."""

    written: Settings
    """As the files have them."""
    settings: Settings
    """With the managed endpoints."""
    plan: Plan
    revision: int
    """Of the managed endpoints."""

    @classmethod
    def of(cls, settings: Settings, registered: Registered) -> Self:
        """Raises ConfigError."""
        written, settings = settings, joined(settings, registered)
        plan = Plan.of(
            load_mappings(settings.mapping_paths),
            settings.endpoints,
            unfinished_hold=settings.unfinished_hold,
            recover=settings.on_position_lost == "recover",
        )
        return cls(written=written, settings=settings, plan=plan, revision=registered.revision)

    @property
    def files(self) -> tuple[Path, ...]:
        """What it was read from; what managed endpoints inherit of `tls:` as well."""
        inherited = (file for each in self.settings.endpoints for file in each.route.tls.files)
        return (*dict.fromkeys([*self.settings.files, *map(Path, inherited)]), *self.settings.mapping_paths)


class Roles:
    """All that can be done with some settings, and with what is open."""

    def __init__(
        self,
        first: Prepared,
        store: Store,
        *,
        sender: Sender,
        rows: RowSource,
        oplog: Oplog,
        clock: Clock,
        observe: Observer,
        tracer: Tracer = UNTRACED,
    ) -> None:
        """`first`: what the program was started with."""
        self._tracer = tracer
        self._first = self._prepared = first
        self._store = store
        self._sender = sender
        self._rows = rows
        self._oplog = oplog
        self._clock = clock
        self._observe = observe
        self._dispatchers: dict[str, Dispatcher] = {}
        self._began = clock.monotonic()
        self._changed = asyncio.Event()
        """Set, and then another one, whenever the settings change."""

    def become(self, prepared: Prepared) -> None:
        """From now on these are the settings."""
        self._prepared = prepared
        for endpoint in prepared.settings.endpoints:
            if endpoint.name in self._dispatchers:
                self._dispatchers[endpoint.name].become(endpoint, window_bytes=self._window_bytes)
        self._changed.set()
        self._changed = asyncio.Event()

    async def play(self, tenure: Tenure) -> None:
        """Do what the lease is for, until its tenure is `ending`. Raises LeaseLost, and what that raises."""
        outbox = self._store.under(tenure.lease)
        if tenure.lease.name == CAPTURE:
            await self._read_changes(tenure, outbox)
        for endpoint in self._prepared.settings.endpoints:
            if tenure.lease.name == endpoint_lease(endpoint.name):
                await self._send_to(endpoint, tenure, outbox)

    @property
    def _window_bytes(self) -> int:
        """Of one endpoint. As if all were this replica's: they may come to be."""
        return window_of(len(self._prepared.settings.endpoints))

    @property
    def _is_at_work(self) -> bool:
        """Who has stood by for a while waits for rights that are gone; who starts without them is told so."""
        return self._clock.monotonic() - self._began > START.total_seconds()

    async def _send_to(self, endpoint: Endpoint, tenure: Tenure, outbox: Outbox) -> None:
        dispatcher = self._dispatchers[endpoint.name] = Dispatcher(
            endpoint,
            outbox=outbox,
            sender=self._sender,
            clock=self._clock,
            observe=self._observe,
            may_send=tenure.lasts,
            window_bytes=self._window_bytes,
            tracer=self._tracer,
        )
        try:
            await dispatcher.run(tenure.ending, grace=GRACE)
        finally:
            del self._dispatchers[endpoint.name]

    async def _read_changes(self, tenure: Tenure, outbox: Outbox) -> None:
        settings, clock, observe = self._first.settings, self._clock, self._observe
        room = Room(outbox, limit_bytes=settings.max_store_bytes, clock=clock, observe=observe)
        async with asyncio.TaskGroup() as tasks:
            keeping = [
                tasks.create_task(Headroom(self._oplog, outbox, clock=clock, observe=observe).watch()),
                tasks.create_task(
                    keep_house(
                        outbox,
                        self._store.figures,
                        delivered=settings.retention_delivered,
                        dead=settings.retention_dead,
                        clock=clock,
                        observe=observe,
                    )
                ),
            ]
            ending = tasks.create_task(tenure.ending.wait())
            while not tenure.ending.is_set():
                capturing = tasks.create_task(self._capture_by(self._prepared, outbox, room))
                changed = tasks.create_task(self._changed.wait())
                await asyncio.wait({changed, ending}, return_when=asyncio.FIRST_COMPLETED)
                # What it is storing is stored before it ends; from there the next one goes on.
                for task in (capturing, changed):
                    task.cancel()
                await asyncio.wait({capturing})
            for task in keeping:
                task.cancel()

    async def _capture_by(self, now: Prepared, outbox: Outbox, room: Room) -> None:
        """Capture, for ever, by these settings."""
        settings, clock, observe = self._first.settings, self._clock, self._observe
        outbox = self._tracer.watched(outbox)
        plan, always = now.plan, now.settings.memory == "always"
        memory = Memory(plan.remembered, outbox, always=always, clock=clock, observe=observe)

        def source(start_from: datetime | None, observe: Observer) -> MongoSource:
            return source_of(settings, plan, start_from=start_from, remembering=always, observe=observe)

        # A lost position goes on from now, whatever a first start was told.
        recoverer = Recoverer(
            source(None, observe),
            plan,
            outbox,
            memory,
            self._rows,
            until_room=room.until_room,
            on_position_lost=now.settings.on_position_lost,
            clock=clock,
            observe=observe,
        )

        async def capture_once(observe: Observer) -> None:
            stream = BoundedSource(source(settings.start_from, observe), room)
            await capture(stream, plan, outbox, memory, clock=clock, observe=observe)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                keep_capturing(
                    capture_once,
                    recoverer,
                    clock=clock,
                    observe=observe,
                    at_work=now is not self._first or self._is_at_work,
                )
            )
            tasks.create_task(memory.scan(self._rows))
