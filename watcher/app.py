"""The composition root: settings → adapters → roles, under one TaskGroup.

Read top to bottom it is the order of the start; bottom to top, the order of the stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from watcher import __version__, stores
from watcher.adapters.clock import SystemClock
from watcher.adapters.http import AiohttpSender
from watcher.adapters.journal import open_journal
from watcher.adapters.mongo.oplog import MongoOplog
from watcher.adapters.mongo.rows import MongoRows
from watcher.adapters.prometheus import CONTENT_TYPE, Metrics
from watcher.admin.desk import Desk
from watcher.admin.glance import glance
from watcher.admin.history import History
from watcher.admin.readiness import ReadinessObserver
from watcher.admin.server import serving
from watcher.admin.undertakings import Undertakings
from watcher.config.mappings import load_mappings
from watcher.config.settings import Settings, StateDatabase
from watcher.core.catalogue import catalogue
from watcher.core.facts import SettingsReloaded
from watcher.core.leases import CAPTURE, endpoint_lease
from watcher.observers import Observers
from watcher.pipeline.heartbeat import beat
from watcher.pipeline.sharing import Sharing
from watcher.ports import UNTRACED, Tracer
from watcher.reloading import Reloader
from watcher.roles import Prepared, Roles


async def run(load: Callable[[], Settings], *, stopping: asyncio.Event, asked: asyncio.Event) -> None:
    """Watch, map, store, deliver and serve, until `stopping` is set; then drain.

    `load`: reads the settings; again, when their files change, or `asked` is set (SIGHUP).
    Raises what needs an operator: ConfigError, OutboxError, OutboxBroken, SourceRefused or PositionLost."""
    first = prepared = Prepared.of(load())
    settings = prepared.settings
    shares = isinstance(settings.state, StateDatabase)
    clock, journal, metrics = SystemClock(), open_journal(settings.log, settings.log_level), Metrics()
    readiness = ReadinessObserver(clock=clock, shares=shares)
    history, undertakings = History(clock), Undertakings(clock)
    observe = Observers(journal, metrics, readiness, history, undertakings)

    reloader = Reloader(
        lambda: Prepared.of(load()),
        lambda prepared: prepared.files,
        first,
        asked=asked,
        clock=clock,
        observe=observe,
    )

    async with AsyncExitStack() as stack:
        tracer: Tracer = UNTRACED
        if settings.traces:
            from watcher.adapters.traces import tracing  # its packages are an extra

            tracer = traces = await stack.enter_async_context(tracing(clock=clock, observe=observe))
            observe.add(traces)
        store = await stack.enter_async_context(stores.opened(settings))

        async def scrape() -> tuple[bytes, str]:
            seen = await glance(store.outbox)
            now = clock.now()
            body = metrics.exposition(
                seen.counts if seen else {},
                ages={endpoint: now - at for endpoint, at in seen.oldest.items()} if seen else {},
                used_bytes=seen.used_bytes if seen else None,
                backfills=[each for each in seen.backfills if each.is_under_way(now)] if seen else (),
                observer_failures=observe.failures,
            )
            return body, CONTENT_TYPE

        desk = Desk(
            token=settings.admin_token,
            shows_text=settings.shows_text,
            shares=shares,
            max_store_bytes=settings.max_store_bytes,
            outbox=store.outbox,
            log=store.log,
            sender=await stack.enter_async_context(AiohttpSender()),
            endpoints=lambda: prepared.settings.endpoints,
            catalogue=lambda: catalogue(load_mappings(prepared.settings.mapping_paths)),
            readiness=readiness,
            history=history,
            undertakings=undertakings,
            clock=clock,
            version=__version__,
        )
        await stack.enter_async_context(
            serving(
                settings.http_host,
                settings.http_port,
                readiness=readiness.judge,
                metrics=scrape,
                desk=desk,
            )
        )
        sender = await stack.enter_async_context(AiohttpSender())
        rows = await stack.enter_async_context(MongoRows.open(settings.mongo_uri, settings.database))
        oplog = await stack.enter_async_context(MongoOplog.open(settings.mongo_uri, settings.database))

        roles = Roles(
            first,
            store,
            sender=sender,
            rows=rows,
            oplog=oplog,
            clock=clock,
            observe=observe,
            tracer=tracer,
        )
        sharing = Sharing(store.leases, roles.play, clock=clock, observe=observe if shares else Observers())

        journal.say("started", version=__version__, endpoints=_names(settings))
        async with asyncio.TaskGroup() as tasks:
            at_work = tasks.create_task(sharing.run(stopping))
            told = tasks.create_task(stopping.wait())
            beating = tasks.create_task(beat(clock=clock, observe=observe))
            while True:
                metrics.expect(_names(prepared.settings), prepared.plan.collections)
                roles.become(prepared)
                sharing.become({CAPTURE, *map(endpoint_lease, _names(prepared.settings))})
                reloading = tasks.create_task(reloader.next(prepared))
                await asyncio.wait({reloading, told}, return_when=asyncio.FIRST_COMPLETED)
                if stopping.is_set():
                    break
                prepared = reloading.result()
                journal.become(prepared.settings.log_level)
                observe(
                    SettingsReloaded(
                        endpoints=_names(prepared.settings),
                        needs_restart=settings.needing_restart(prepared.settings),
                    )
                )
            journal.say("stopping")
            reloading.cancel()
            await asyncio.wait({at_work})
            beating.cancel()
        journal.say("stopped")


def _names(settings: Settings) -> tuple[str, ...]:
    return tuple(endpoint.name for endpoint in settings.endpoints)
