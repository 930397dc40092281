"""Tailing: the events that would be sent, shown instead. Nothing is stored, and nothing leaves.

The law: capture is the one that `run` has, so holds, marks and filters judge alike. Only the outbox is
another: it lives in memory, keeps what is held, and hands over what would go out now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from watcher.adapters.clock import SystemClock
from watcher.adapters.mongo.rows import MongoRows
from watcher.adapters.mongo.source import MongoSource
from watcher.config.mappings import load_mappings
from watcher.config.settings import Settings
from watcher.core.facts import Fact
from watcher.core.planning import Plan, anybody
from watcher.pipeline.capture import capture
from watcher.pipeline.recovery import Recoverer
from watcher.pipeline.remembering import Memory
from watcher.pipeline.supervision import keep_capturing
from watcher.ports import Observer
from watcher.showing import NothingRemembered, ShowingOutbox, Shown
from watcher.sourcing import source_of


async def tail(
    settings: Settings,
    *,
    since: datetime | None,
    show: Callable[[Shown], None],
    observe: Callable[[Fact | NothingRemembered], None],
) -> None:
    """Show what would be sent of all that changes from `since` on (None: from now on), for ever.

    Raises ConfigError for bad mapping files, and SourceRefused for what needs an operator."""
    mappings = load_mappings(settings.mapping_paths)
    endpoints = settings.endpoints or (anybody(mappings),)
    plan = Plan.of(mappings, endpoints, unfinished_hold=settings.unfinished_hold, recover=False)
    clock, outbox = SystemClock(), ShowingOutbox(show, observe)
    memory = Memory(plan.remembered, outbox, clock=clock, observe=observe)

    def source(start_from: datetime | None, observe: Observer) -> MongoSource:
        return source_of(settings, plan, start_from=start_from, start_name="--since", observe=observe)

    async def capture_once(observe: Observer) -> None:
        await capture(source(since, observe), plan, outbox, memory, clock=clock, observe=observe)

    async with MongoRows.open(settings.mongo_uri, settings.database) as rows:
        recoverer = Recoverer(
            source(None, observe),
            plan,
            outbox,
            memory,
            rows,
            until_room=_always,
            on_position_lost="restart",
            clock=clock,
            observe=observe,
        )
        await keep_capturing(capture_once, recoverer, clock=clock, observe=observe)


async def _always() -> None:
    """There is room: nothing is kept."""
