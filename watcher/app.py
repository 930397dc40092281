"""The composition root: settings → adapters → loops, under one TaskGroup. The only file that knows all parts.

Read top to bottom it is the order of the start; bottom to top, the order of the stop."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

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
from watcher.core.planning import Plan
from watcher.errors import OutboxError
from watcher.observers import Observers
from watcher.pipeline.capture import capture
from watcher.pipeline.dispatch import Dispatcher
from watcher.pipeline.headroom import Headroom
from watcher.pipeline.housekeeping import keep_house
from watcher.pipeline.recovery import Recoverer
from watcher.pipeline.remembering import Memory
from watcher.pipeline.room import BoundedSource, Store
from watcher.pipeline.supervision import keep_capturing
from watcher.ports import Observer

GRACE = timedelta(seconds=8)
"""How long attempts in flight may take to end after SIGTERM: below the 10 s after which a container engine
kills unless told otherwise (our compose override and manifests give it longer)."""


async def run(settings: Settings, *, stopping: asyncio.Event) -> None:
    """Watch, map, store, deliver and serve, until `stopping` is set; then drain.

    Raises what needs an operator: ConfigError, OutboxError, OutboxBroken, SourceRefused or PositionLost."""
    mappings = load_mappings(settings.mapping_paths)
    plan = Plan.of(
        mappings,
        settings.endpoints,
        unfinished_hold=settings.unfinished_hold,
        recover=settings.on_position_lost == "recover",
    )
    clock, journal, metrics = SystemClock(), open_journal(settings.log), Metrics()
    readiness = ReadinessObserver(clock=clock)
    observe = Observers(journal, metrics, readiness)

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
        memory = Memory(
            plan.remembered, outbox, always=settings.memory == "always", clock=clock, observe=observe
        )
        oplog = await stack.enter_async_context(MongoOplog.open(settings.mongo_uri, settings.database))
        headroom = Headroom(oplog, outbox, clock=clock, observe=observe)
        store = Store(outbox, limit_bytes=settings.max_store_bytes, clock=clock, observe=observe)

        def source(start_from: datetime | None, observe: Observer) -> MongoSource:
            return MongoSource(
                settings.mongo_uri,
                settings.database,
                noise=plan.noise,
                noise_to_memory=plan.noise_to_memory,
                remembering=settings.memory == "always",
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
            on_position_lost=settings.on_position_lost,
            clock=clock,
            observe=observe,
        )

        async def capture_once(observe: Observer) -> None:
            stream = BoundedSource(source(settings.start_from, observe), store)
            await capture(stream, plan, outbox, memory, clock=clock, observe=observe)

        journal.say(
            "started", version=__version__, endpoints=[endpoint.name for endpoint in settings.endpoints]
        )
        async with asyncio.TaskGroup() as tasks:
            capturing = tasks.create_task(
                keep_capturing(capture_once, recoverer, clock=clock, observe=observe)
            )
            scanning = tasks.create_task(memory.scan(rows))
            measuring = tasks.create_task(headroom.watch())
            housekeeping = tasks.create_task(
                keep_house(
                    outbox,
                    delivered=settings.retention_delivered,
                    dead=settings.retention_dead,
                    clock=clock,
                    observe=observe,
                )
            )
            for endpoint in settings.endpoints:
                dispatcher = Dispatcher(endpoint, outbox=outbox, sender=sender, clock=clock, observe=observe)
                tasks.create_task(dispatcher.run(stopping, grace=GRACE))

            await stopping.wait()
            journal.say("stopping")
            capturing.cancel()
            scanning.cancel()
            measuring.cancel()
            housekeeping.cancel()
        journal.say("stopped")
