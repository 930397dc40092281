"""A backfill: created-type events for documents that were there before anybody listened.

The law: an event's id follows from its document alone. A second backfill sends nothing that the store still
has, and what it has forgotten under the same id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from watcher.core.changes import Change
from watcher.core.deliveries import Delivery, Lift
from watcher.core.events import EventType
from watcher.core.mapping import CollectionMapping
from watcher.core.recovery import Row, came

CREATED = tuple(
    EventType(name)
    for name in (
        "user.registered",
        "conversation.created",
        "message.created",
        "agent.created",
        "file.uploaded",
    )
)
"""Sent unless others are asked for. A session that exists is no login of today."""

STILL = timedelta(minutes=2)
"""Without a page for so long it was stopped, or waits for room in the store: a page takes a second or so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """What is asked for, and how far it has come."""

    name: str
    """The same for the same request: by it a backfill that was stopped is found again."""
    since: datetime
    until: datetime
    """Documents that came from `since` on, and before `until`."""
    events: tuple[EventType, ...]
    collection: str | None = None
    """Under way; None before the first."""
    after: str | None = None
    """Where its next page begins, as the source writes it."""
    rows: int = 0
    """Looked at so far."""
    stored: int = 0
    """Deliveries that were new."""
    done: bool = False
    total: int | None = None
    """About how many there are to look at; None where nobody counted."""
    began_at: datetime | None = None
    page_at: datetime | None = None
    """When its last page was stored."""

    def is_under_way(self, now: datetime) -> bool:
        """It has not come to its end, and stands still not for long."""
        return not self.done and self.page_at is not None and now - self.page_at < STILL


def fillable(mappings: Iterable[CollectionMapping]) -> Sequence[EventType]:
    """The events that a document can have by being there: those of inserts."""
    events = [
        rule.event
        for mapping in mappings
        for rule in mapping.rules
        if rule.event is not None and "insert" in rule.operations
    ]
    return tuple(dict.fromkeys(events))


def changes_of(rows: Iterable[Row], backfill: Backfill) -> Sequence[Change]:
    """The rows of the asked-for time, as the inserts that they once were."""
    changes = (came(row) for row in rows)
    return [each for each in changes if each is not None and backfill.since <= each.at < backfill.until]


def deliveries_of(entries: Iterable[Delivery | Lift], backfill: Backfill) -> Sequence[Delivery]:
    """What of a plan's entries is asked for. Nothing is held: what a row was to become, it is."""
    return [
        replace(entry, hold=None)
        for entry in entries
        if isinstance(entry, Delivery) and entry.event in backfill.events
    ]
