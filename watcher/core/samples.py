"""Samples: a whole body of an event, as receivers would get it, from the catalogue."""

from __future__ import annotations

from datetime import UTC, datetime

from watcher.core.catalogue import CatalogueEntry, Sample
from watcher.core.changes import ChangeId
from watcher.core.deliveries import Delivery
from watcher.core.encoding import close_body, open_body
from watcher.core.events import Entity, Event, event_id

SAMPLE_AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
SAMPLE_CHANGE = ChangeId("826956630000000001")


def sample(
    entry: CatalogueEntry,
    *,
    endpoint: str,
    told: Sample | None = None,
    change: ChangeId = SAMPLE_CHANGE,
    at: datetime = SAMPLE_AT,
) -> Delivery:
    """A sample event (the entry's first) with the documented body. Another change, another id."""
    event = sample_event(entry, told=told, change=change, at=at)
    identity = event_id(change, event.type, endpoint)
    return Delivery(
        id=identity,
        endpoint=endpoint,
        event=event.type,
        entity=event.entity,
        row=event.entity,
        at=at,
        body=close_body(open_body(event), identity),
    )


def sample_event(
    entry: CatalogueEntry,
    *,
    told: Sample | None = None,
    change: ChangeId = SAMPLE_CHANGE,
    at: datetime = SAMPLE_AT,
) -> Event:
    """A sample event (the entry's first), to be owed to whoever wants it."""
    told = told or entry.samples[0]
    return Event(
        type=entry.event,
        change=change,
        at=at,
        entity=Entity("sample:sample"),
        user_id=told.user_id,
        data=told.data,
    )
