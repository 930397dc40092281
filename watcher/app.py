"""The composition root: settings → adapters → roles, under one TaskGroup.

Read top to bottom it is the order of the start; bottom to top, the order of the stop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import Any, TypeVar

from watcher import __version__, stores
from watcher.adapters.clock import SystemClock
from watcher.adapters.http.sender import HttpSender
from watcher.adapters.journal import open_journal
from watcher.adapters.mongo.oplog import MongoOplog
from watcher.adapters.mongo.rows import MongoRows
from watcher.adapters.prometheus import CONTENT_TYPE, Metrics
from watcher.admin.desk import Desk
from watcher.admin.glance import glance
from watcher.admin.history import History
from watcher.admin.managing import Managing
from watcher.admin.readiness import ReadinessObserver
from watcher.admin.server import serving
from watcher.admin.undertakings import Undertakings
from watcher.config.managed import definition_schema
from watcher.config.mappings import load_mappings
from watcher.config.settings import Settings, StateDatabase
from watcher.core.catalogue import catalogue
from watcher.core.endpoints import Endpoint
from watcher.core.facts import LOOKING, SettingsRefused, SettingsReloaded
from watcher.core.leases import CAPTURE, endpoint_lease
from watcher.core.managing import Registered
from watcher.core.trials import Trial
from watcher.errors import OutboxError
from watcher.managed import sealing_by
from watcher.observers import Observers
from watcher.pipeline.figures import Gathering
from watcher.pipeline.heartbeat import beat
from watcher.pipeline.patience import insist
from watcher.pipeline.sharing import Sharing
from watcher.ports import UNTRACED, Clock, Observer, Registry, Tracer
from watcher.reloading import LOOK_EVERY, Reloader
from watcher.roles import Prepared, Roles
from watcher.stores import Store

T = TypeVar("T")

TAKEN_UP = timedelta(seconds=5)
"""How long somebody who changed a managed endpoint waits for it to be in force."""

SOON = timedelta(milliseconds=20)


async def run(load: Callable[[], Settings], *, stopping: asyncio.Event, asked: asyncio.Event) -> None:
    """Watch, map, store, deliver and serve, until `stopping` is set; then drain.

    `load`: reads the settings; again, when their files change, or `asked` is set (SIGHUP).
    Raises what needs an operator: ConfigError, OutboxError, OutboxBroken, SourceRefused or PositionLost."""
    settings = load()
    first = prepared = Prepared.of(settings, Registered())
    shares = isinstance(settings.state, StateDatabase)
    clock, journal, metrics = SystemClock(), open_journal(settings.log, settings.log_level), Metrics()
    readiness = ReadinessObserver(clock=clock, shares=shares)
    history, undertakings = History(clock), Undertakings(clock)
    observe = Observers(journal, metrics, readiness, history, undertakings)

    async with AsyncExitStack() as stack:
        tracer: Tracer = UNTRACED
        if settings.traces:
            from watcher.adapters.traces import tracing  # its packages are an extra

            tracer = traces = await stack.enter_async_context(tracing(clock=clock, observe=observe))
            observe.add(traces)
        store = await stack.enter_async_context(stores.opened(settings))
        gathering, drained = Gathering(store.figures, clock=clock, observe=observe), asyncio.Event()
        observe.add(gathering)

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

        async def prepared_anew() -> Prepared:
            now, registered = await asyncio.to_thread(load), await store.registry.registered()
            return await asyncio.to_thread(Prepared.of, now, registered)

        async def managed_anew() -> Prepared | None:
            registered = await store.registry.registered()
            if registered.revision == prepared.revision:
                return None
            return await asyncio.to_thread(Prepared.of, prepared.written, registered)

        reloader = Reloader(
            prepared_anew,
            managed_anew,
            lambda prepared: prepared.files,
            first,
            asked=asked,
            clock=clock,
            observe=observe,
        )

        one_trial = asyncio.Lock()

        async def trial(endpoint: Endpoint, limit: int) -> Trial:
            from watcher.trying import recent  # only who manages endpoints tries them

            async with one_trial:  # each reads MongoDB's oplog
                return await recent(prepared.settings, endpoint, limit=limit, clock=clock)

        async def in_force(revision: int) -> bool:
            asked.set()
            ends = clock.monotonic() + TAKEN_UP.total_seconds()
            while prepared.revision < revision and clock.monotonic() < ends:
                await clock.sleep(SOON)
            return prepared.revision >= revision

        desk = Desk(
            token=settings.admin_token,
            shows_text=settings.shows_text,
            shares=shares,
            max_store_bytes=settings.max_store_bytes,
            outbox=store.outbox,
            log=store.log,
            figures=store.figures,
            registry=store.registry,
            managing=Managing(
                store.registry,
                sealing=lambda: sealing_by(prepared.settings),
                define=lambda definition: prepared.settings.define(definition),
                locked=lambda: _names(prepared.written),
                clock=clock,
            ),
            sender=await stack.enter_async_context(HttpSender()),
            endpoints=lambda: prepared.settings.endpoints,
            definitions=definition_schema,
            managed=lambda: prepared.settings.managed,
            trial=trial,
            in_force=in_force,
            catalogue=lambda: catalogue(load_mappings(prepared.settings.mapping_paths)),
            readiness=readiness,
            history=history,
            undertakings=undertakings,
            observe=observe,
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
        sender = await stack.enter_async_context(HttpSender())
        rows = await stack.enter_async_context(MongoRows.open(settings.mongo_uri, settings.database))
        oplog = await stack.enter_async_context(MongoOplog.open(settings.mongo_uri, settings.database))

        registered = await _unless(stopping, _registered(store, clock=clock, observe=observe))
        if registered is None:
            return
        first = prepared = Prepared.of(settings, registered)
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

        # What was made so far stays for good. Each full collection would look through it, and take 0.1 s.
        gc.freeze()

        journal.say("started", version=__version__, endpoints=_names(prepared.settings))
        async with asyncio.TaskGroup() as tasks:
            at_work = tasks.create_task(sharing.run(stopping))
            told = tasks.create_task(stopping.wait())
            aside = [
                tasks.create_task(beat(clock=clock, observe=observe)),
                tasks.create_task(_ask_when_changed(store.registry, lambda: prepared.revision, asked, clock)),
            ]
            tasks.create_task(gathering.keep(drained))
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
                if reloader.refused:  # managed endpoints are in force; the files still are not
                    observe(SettingsRefused(problems=reloader.refused))
            journal.say("stopping")
            reloading.cancel()
            await asyncio.wait({at_work})
            for task in aside:
                task.cancel()
            drained.set()
        journal.say("stopped")


async def _registered(store: Store, *, clock: Clock, observe: Observer) -> Registered:
    """Nothing is read or sent before it is known who is to be told."""

    async def read() -> Registered:
        await store.ready()
        return await store.registry.registered()

    return await insist(read, doing=LOOKING, clock=clock, observe=observe)


async def _ask_when_changed(
    registry: Registry, revision: Callable[[], int], asked: asyncio.Event, clock: Clock
) -> None:
    """Have the settings read again when managed endpoints change, here or on another replica."""
    seen = revision()
    while True:
        await clock.sleep(LOOK_EVERY)
        with suppress(OutboxError):  # readiness tells of it, by who has to write
            found = await registry.revision()
            if found not in (seen, revision()):
                asked.set()
            seen = found


async def _unless(stopping: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Its result; or None, should `stopping` be set before."""
    async with asyncio.TaskGroup() as tasks:
        told, working = tasks.create_task(stopping.wait()), tasks.create_task(work)
        await asyncio.wait({told, working}, return_when=asyncio.FIRST_COMPLETED)
        for task in (told, working):
            task.cancel()
    return working.result() if not working.cancelled() else None


def _names(settings: Settings) -> tuple[str, ...]:
    return tuple(endpoint.name for endpoint in settings.endpoints)
