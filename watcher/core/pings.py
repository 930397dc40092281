"""A ping: a sample event as its endpoint gets it, to be sent now and told nobody else."""

from __future__ import annotations

from datetime import datetime

from watcher.core.catalogue import CatalogueEntry
from watcher.core.changes import ChangeId
from watcher.core.deliveries import Stored
from watcher.core.endpoints import Endpoint
from watcher.core.events import EventId
from watcher.core.outcomes import Unsendable
from watcher.core.planning import owed
from watcher.core.requests import Parcel, Request, compose
from watcher.core.samples import sample_event


def a_ping(
    entry: CatalogueEntry, endpoint: Endpoint, *, now: datetime, chance: str
) -> tuple[EventId, Request | Unsendable]:
    """Its id, and the signed request, or why none can be made.

    `chance`: 24 hex digits, others each time, so that a receiver that drops repeats takes this one."""
    change = ChangeId(f"82{int(now.timestamp()):08X}{chance.upper()}")
    delivery = owed(sample_event(entry, change=change, at=now), endpoint)
    if delivery.refused is not None:
        return delivery.id, Unsendable(reason=delivery.refused)
    stored = Stored(seq=0, delivery=delivery, attempts=0, due_at=None, batch=None)
    return delivery.id, compose(Parcel(members=(stored,)), endpoint, now=now)
