"""Marks: what happened a moment ago, and tells what the next change means.

    departure    a conversation or an account went: rows deleted after it went with it
    arrival      a row came: deleted at once, it never was; and it may have come in another's place

The law: marks are made and judged by stream time, and stored with the checkpoint: a replay sees the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self

from watcher.core.events import Entity

REMEMBERED = timedelta(minutes=10)
"""Departures. LibreChat deletes a conversation's messages within seconds, an account's rows within
minutes; remembering for longer would call a person's own later delete a cascade."""

MOMENT = timedelta(seconds=2)
"""Arrivals, and the holds that wait for what comes after them. LibreChat rotates a session and rolls a
registration back within milliseconds (LIBRECHAT.md §4.5, §5); each more second delays every login."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A departure of an entity; or, with `row`, the arrival of one of its rows (`<collection>:<_id>`)."""

    entity: Entity
    at: datetime
    row: Entity | None = None
    spent: bool = False
    """An arrival that has explained a deletion explains no other."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks that still count. Each batch makes new ones of the old ones."""

    _gone: Mapping[Entity, Mark] = field(default_factory=dict)
    _came: Mapping[Entity, tuple[Mark, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, marks: Iterable[Mark]) -> Self:
        gone: dict[Entity, Mark] = {}
        came: dict[Entity, tuple[Mark, ...]] = {}
        for mark in marks:
            _note(mark, gone, came)
        return cls(gone, came)

    def joined(self, marks: Iterable[Mark], *, through: datetime) -> Marks:
        """With these marks, and without those that are too old by stream time."""
        new = tuple(marks)
        gone = {entity: mark for entity, mark in self._gone.items() if through - mark.at <= REMEMBERED}
        came = {
            entity: young
            for entity, arrivals in self._came.items()
            if (young := tuple(mark for mark in arrivals if through - mark.at <= MOMENT))
        }
        if not new and len(gone) == len(self._gone) and came == self._came:
            return self
        for mark in new:
            _note(mark, gone, came)
        return Marks(gone, came)

    def taking(self, *, any_time: bool = False) -> Taking:
        """These, and those that the batch at hand will make.

        `any_time`: what happened in a gap was found, not seen, and nobody knows how long before what."""
        return Taking(self, any_time=any_time)


class Taking:
    """The marks as they are in the middle of a batch: the old ones, and those made so far."""

    def __init__(self, old: Marks, *, any_time: bool) -> None:
        self._old = old
        self._any_time = any_time
        self._gone: dict[Entity, Mark] = {}
        self._came: dict[Entity, tuple[Mark, ...]] = {}
        self._any = bool(old._gone or old._came)

    def __bool__(self) -> bool:
        return self._any

    @property
    def made(self) -> tuple[Mark, ...]:
        """What this batch adds and changes."""
        return (*self._gone.values(), *(mark for marks in self._came.values() for mark in marks))

    def departs(self, entity: Entity, at: datetime) -> None:
        _note(Mark(entity=entity, at=at), self._gone, self._came)
        self._any = True

    def arrives(self, entity: Entity, row: Entity, at: datetime) -> None:
        self._came[entity] = (*self._arrivals(entity), Mark(entity=entity, at=at, row=row))
        self._any = True

    def spend(self, arrival: Mark) -> None:
        self._came[arrival.entity] = tuple(
            replace(mark, spent=True) if mark.row == arrival.row else mark
            for mark in self._arrivals(arrival.entity)
        )

    def is_gone(self, entity: Entity, at: datetime) -> bool:
        """Did it go near this time? Both ways, since a primary's clock may step back after an election."""
        mark = self._gone.get(entity) or self._old._gone.get(entity)
        return mark is not None and self._is_near(mark, at, REMEMBERED)

    def own_arrival(self, entity: Entity, row: Entity, at: datetime) -> Mark | None:
        """The arrival of this very row, if that was a moment ago."""
        return next((mark for mark in self._open(entity, at) if mark.row == row), None)

    def newcomer(self, entity: Entity, row: Entity, at: datetime) -> Mark | None:
        """Another row of the entity, in the same collection, that came a moment ago: the oldest of them."""
        collection = row.partition(":")[0]
        return next(
            (
                mark
                for mark in self._open(entity, at)
                if mark.row is not None and mark.row != row and mark.row.partition(":")[0] == collection
            ),
            None,
        )

    def _open(self, entity: Entity, at: datetime) -> Iterable[Mark]:
        return (mark for mark in self._arrivals(entity) if not mark.spent and self._is_near(mark, at, MOMENT))

    def _is_near(self, mark: Mark, at: datetime, span: timedelta) -> bool:
        return self._any_time or abs(at - mark.at) <= span

    def _arrivals(self, entity: Entity) -> tuple[Mark, ...]:
        return self._came.get(entity) or self._old._came.get(entity) or ()


def _note(mark: Mark, gone: dict[Entity, Mark], came: dict[Entity, tuple[Mark, ...]]) -> None:
    if mark.row is None:
        gone[mark.entity] = mark
    else:
        others = tuple(other for other in came.get(mark.entity, ()) if other.row != mark.row)
        came[mark.entity] = (*others, mark)
