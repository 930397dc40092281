"""The composition root: settings → adapters → loops, under one TaskGroup. The only file that knows all parts.

Read top to bottom it is the order of the start; bottom to top, the order of the stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from watcher import __version__
from watcher.adapters.clock import SystemClock
from watcher.adapters.http import AiohttpSender
from watcher.adapters.journal import open_journal
from watcher.adapters.mongo.oplog import MongoOplog
from watcher.adapters.mongo.rows import MongoRows
from watcher.adapters.mongo.source import MongoSource
from watcher.adapters.prometheus import CONTENT_TYPE, Metrics
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.admin.readiness import ReadinessObserver
from watcher.admin.server import serving
from watcher.config.mappings import load_mappings
from watcher.config.settings import Settings
from watcher.core.endpoints import Endpoint
from watcher.core.facts import SettingsReloaded
from watcher.core.planning import Plan
from watcher.errors import OutboxError
from watcher.observers import Observers
from watcher.pipeline.capture import capture
from watcher.pipeline.dispatch import Dispatcher
from watcher.pipeline.dispatchers import Dispatchers
from watcher.pipeline.headroom import Headroom
from watcher.pipeline.housekeeping import keep_house
from watcher.pipeline.recovery import Recoverer
from watcher.pipeline.remembering import Memory
from watcher.pipeline.room import BoundedSource, Store
from watcher.pipeline.supervision import keep_capturing
from watcher.ports import Observer
from watcher.reloading import Reloader

GRACE = timedelta(seconds=8)
"""How long attempts in flight may take to end after SIGTERM: below the 10 s after which a container engine
kills unless told otherwise (our compose override and manifests give it longer)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Settings, and the plan that they and the mapping files come to."""

    settings: Settings
    plan: Plan

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises ConfigError."""
        plan = Plan.of(
            load_mappings(settings.mapping_paths),
            settings.endpoints,
            unfinished_hold=settings.unfinished_hold,
            recover=settings.on_position_lost == "recover",
        )
        return cls(settings=settings, plan=plan)

    @property
    def files(self) -> tuple[Path, ...]:
        """What it was read from."""
        return (*self.settings.files, *self.settings.mapping_paths)


async def run(load: Callable[[], Settings], *, stopping: asyncio.Event, asked: asyncio.Event) -> None:
    """Watch, map, store, deliver and serve, until `stopping` is set; then drain.

    `load`: reads the settings; again, when their files change, or `asked` is set (SIGHUP).
    Raises what needs an operator: ConfigError, OutboxError, OutboxBroken, SourceRefused or PositionLost."""
    first = prepared = Prepared.of(load())
    settings = prepared.settings
    clock, journal, metrics = SystemClock(), open_journal(settings.log), Metrics()
    readiness = ReadinessObserver(clock=clock)
    observe = Observers(journal, metrics, readiness)

    reloader = Reloader(
        lambda: Prepared.of(load()),
        lambda prepared: prepared.files,
        first,
        asked=asked,
        clock=clock,
        observe=observe,
    )

    async with AsyncExitStack() as stack:
        outbox = await stack.enter_async_context(SqliteOutbox.open(settings.state_path))

        async def scrape() -> tuple[bytes, str]:
            try:
                sizes, used = await outbox.counts(), await outbox.used_bytes()
            except OutboxError:
                # Of a state that cannot be read; the other metrics are wanted then most of all.
                sizes, used = {}, None
            body = metrics.exposition(sizes, used_bytes=used, observer_failures=observe.failures)
            return body, CONTENT_TYPE

        await stack.enter_async_context(
            serving(settings.http_host, settings.http_port, readiness=readiness.judge, metrics=scrape)
        )
        sender = await stack.enter_async_context(AiohttpSender())
        rows = await stack.enter_async_context(MongoRows.open(settings.mongo_uri, settings.database))
        oplog = await stack.enter_async_context(MongoOplog.open(settings.mongo_uri, settings.database))
        headroom = Headroom(oplog, outbox, clock=clock, observe=observe)
        store = Store(outbox, limit_bytes=settings.max_store_bytes, clock=clock, observe=observe)

        async def capture_by(now: Prepared) -> None:
            """Capture, for ever, by these settings."""
            at_work = now is not first
            plan, always = now.plan, now.settings.memory == "always"
            memory = Memory(plan.remembered, outbox, always=always, clock=clock, observe=observe)

            def source(start_from: datetime | None, observe: Observer) -> MongoSource:
                return MongoSource(
                    settings.mongo_uri,
                    settings.database,
                    noise=plan.noise,
                    noise_to_memory=plan.noise_to_memory,
                    remembering=always,
                    observe=observe,
                    start_from=start_from,
                )

            # A lost position goes on from now, whatever a first start was told.
            recoverer = Recoverer(
                source(None, observe),
                plan,
                outbox,
                memory,
                rows,
                until_room=store.until_room,
                on_position_lost=now.settings.on_position_lost,
                clock=clock,
                observe=observe,
            )

            async def capture_once(observe: Observer) -> None:
                stream = BoundedSource(source(settings.start_from, observe), store)
                await capture(stream, plan, outbox, memory, clock=clock, observe=observe)

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(
                    keep_capturing(capture_once, recoverer, clock=clock, observe=observe, at_work=at_work)
                )
                tasks.create_task(memory.scan(rows))

        def employ(endpoint: Endpoint) -> Dispatcher:
            return Dispatcher(endpoint, outbox=outbox, sender=sender, clock=clock, observe=observe)

        journal.say("started", version=__version__, endpoints=_names(settings))
        async with asyncio.TaskGroup() as tasks:
            keeping = [
                tasks.create_task(headroom.watch()),
                tasks.create_task(
                    keep_house(
                        outbox,
                        delivered=settings.retention_delivered,
                        dead=settings.retention_dead,
                        clock=clock,
                        observe=observe,
                    )
                ),
            ]
            dispatchers = Dispatchers(employ, tasks, grace=GRACE)

            while True:
                dispatchers.become(prepared.settings.endpoints)
                capturing = tasks.create_task(capture_by(prepared))
                reloading = tasks.create_task(reloader.next(prepared))
                told = tasks.create_task(stopping.wait())
                await asyncio.wait({reloading, told}, return_when=asyncio.FIRST_COMPLETED)
                if stopping.is_set():
                    break
                told.cancel()
                # What it is storing is stored before it ends; from there the next one goes on.
                capturing.cancel()
                await asyncio.wait({capturing})
                prepared = reloading.result()
                observe(
                    SettingsReloaded(
                        endpoints=_names(prepared.settings),
                        needs_restart=settings.needing_restart(prepared.settings),
                    )
                )

            journal.say("stopping")
            for task in (capturing, reloading, *keeping):
                task.cancel()
            dispatchers.stop()
        journal.say("stopped")


def _names(settings: Settings) -> tuple[str, ...]:
    return tuple(endpoint.name for endpoint in settings.endpoints)
