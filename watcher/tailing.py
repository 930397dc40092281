"""Tailing: the events that would be sent, shown instead. Nothing is stored, and nothing leaves.

The law: capture is the one that `run` has, so holds, marks and filters judge alike. Only the outbox is
another: it lives in memory, keeps what is held, and hands over what would go out now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from watcher.adapters.clock import SystemClock
from watcher.adapters.mongo.rows import MongoRows
from watcher.adapters.mongo.source import MongoSource
from watcher.config.mappings import load_mappings
from watcher.config.settings import Settings
from watcher.core.changes import Checkpoint
from watcher.core.deliveries import Delivery, Lift
from watcher.core.events import Entity
from watcher.core.facts import Fact
from watcher.core.marks import REMEMBERED, Mark
from watcher.core.memory import Remembered, Scan
from watcher.core.planning import Plan, anybody
from watcher.core.recovery import Recovery
from watcher.pipeline.capture import capture
from watcher.pipeline.recovery import Recoverer
from watcher.pipeline.remembering import Memory
from watcher.pipeline.supervision import keep_capturing
from watcher.ports import NOTHING_LEARNED, Observer
from watcher.testing import MemoryOutbox

ROWS_REMEMBERED = 10_000
"""Without pre-images: rows seen last, so that their deletions can be told. Some 10 MB at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One event, as those get it who want it."""

    endpoints: tuple[str, ...]
    delivery: Delivery
    """The first one's; another's differs in its id only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingRemembered:
    """These collections keep no pre-images: of rows that were there before nothing is known."""

    collections: tuple[str, ...]


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
        return MongoSource(
            settings.mongo_uri,
            settings.database,
            noise=plan.noise,
            noise_to_memory=plan.noise_to_memory,
            observe=observe,
            start_from=start_from,
            start_name="--since",
        )

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


class ShowingOutbox(MemoryOutbox):
    """Hands over what would go out, and remembers no more than what is still to be decided."""

    def __init__(
        self, show: Callable[[Shown], None], observe: Callable[[Fact | NothingRemembered], None]
    ) -> None:
        super().__init__()
        self._show = show
        self._observe = observe

    async def append(
        self,
        entries: Sequence[Delivery | Lift],
        *,
        checkpoint: Checkpoint,
        through: datetime,
        marks: Sequence[Mark] = (),
        learned: Mapping[Entity, Remembered | None] = NOTHING_LEARNED,
        recovery: Recovery | None = None,
    ) -> int:
        new = await super().append(
            entries,
            checkpoint=checkpoint,
            through=through,
            marks=marks,
            learned=learned,
            recovery=recovery,
        )
        for shown in together(self.take()):
            self._show(shown)
        await self.forget(
            delivered_before=through, dead_before=through, marks_before=through - REMEMBERED, limit=0
        )
        for row in list(islice(self._memory, max(0, len(self._memory) - ROWS_REMEMBERED))):
            del self._memory[row]
        return new

    async def memories(self, wanted: Mapping[str, frozenset[str]]) -> Sequence[Scan]:
        if wanted:
            self._observe(NothingRemembered(collections=tuple(sorted(wanted))))
        return await super().memories(wanted)


def together(deliveries: Iterable[Delivery]) -> Iterable[Shown]:
    """Each event once: deliveries that follow each other and differ in endpoint and id only are one."""
    group: list[Delivery] = []
    for delivery in deliveries:
        if group and not (
            _same(group[0], delivery) and all(one.endpoint != delivery.endpoint for one in group)
        ):
            yield _shown(group)
            group = []
        group.append(delivery)
    if group:
        yield _shown(group)


def _same(one: Delivery, other: Delivery) -> bool:
    told = (one.row, one.event, one.at) == (other.row, other.event, other.at)
    return told and _without_id(one) == _without_id(other)


def _without_id(delivery: Delivery) -> bytes:
    return delivery.body.replace(delivery.id.encode(), b"")


def _shown(group: Sequence[Delivery]) -> Shown:
    return Shown(endpoints=tuple(each.endpoint for each in group), delivery=group[0])
