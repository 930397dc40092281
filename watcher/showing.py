"""Showing: an outbox that hands over what would go out now. What is held it keeps, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from watcher.core.changes import Checkpoint
from watcher.core.deliveries import Delivery, Lift
from watcher.core.events import Entity
from watcher.core.facts import Fact
from watcher.core.marks import REMEMBERED, Mark
from watcher.core.memory import Remembered, Scan
from watcher.core.recovery import Recovery
from watcher.ports import NOTHING_LEARNED
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
