"""A Trial: what an endpoint would have got of events that happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from watcher.core.events import EventId, EventType


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One event, and what the endpoint would have got of it."""

    id: EventId
    """Of the body: not the one that it would be sent under."""
    event: EventType
    at: datetime
    subscribed: bool
    misses: tuple[str, ...]
    """What its filters want and the event has not, in lines. Nothing of the event is in them."""
    body: bytes | None = field(repr=False)
    """As it would be sent; None: it is not."""
    whole: bytes = field(repr=False)
    """The documented body."""
    refused: str | None
    """Why nothing could be sent, though it is wanted: a template that fails, a URL that cannot be filled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The newest events, the newest first."""

    since: datetime | None
    """From when on all were looked at; None: nothing could be read."""
    tried: Sequence[Tried]
    caught_up: bool
    """False: time was over before the newest ones were reached."""
    trouble: str | None
    """Why it could not be looked further back."""
