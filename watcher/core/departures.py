"""Departures: conversations and accounts that went a moment ago. What is deleted next went with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from watcher.core.events import Entity

REMEMBERED = timedelta(minutes=10)
"""In stream time. LibreChat deletes a conversation's messages within seconds, an account's rows within
minutes; remembering for longer would call a person's own later delete a cascade."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A remembered departure: rows deleted later that belonged to this entity went by cascade."""

    entity: Entity
    at: datetime


@dataclass(frozen=True, slots=True)
class Departures:
    """The marks that still count. Each batch makes new departures of the old ones."""

    _at: Mapping[Entity, datetime] = field(default_factory=dict)
    _recent: Mapping[Entity, datetime] = field(default_factory=dict)

    @classmethod
    def of(cls, pairs: Iterable[tuple[Entity, datetime]]) -> Self:
        return cls(dict(pairs))

    def __bool__(self) -> bool:
        return bool(self._at or self._recent)

    def includes(self, entity: Entity, at: datetime) -> bool:
        """Did it go near this time? Both ways, since a primary's clock may step back after an election."""
        gone_at = self._recent.get(entity) or self._at.get(entity)
        return gone_at is not None and abs(at - gone_at) <= REMEMBERED

    def followed_by(self, recent: Mapping[Entity, datetime]) -> Departures:
        """These and those of the batch at hand, whose mapping grows as it is planned."""
        return Departures(self._at, recent)

    def joined(self, marks: Iterable[Mark], *, through: datetime) -> Departures:
        """With these marks, and without those that are too old by stream time."""
        new = {mark.entity: mark.at for mark in marks}
        kept = {entity: at for entity, at in self._at.items() if through - at <= REMEMBERED}
        if not new and len(kept) == len(self._at):
            return self
        return Departures({**kept, **new})
