"""An Endpoint: one receiver, with what it wants to hear and how it wants to be told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from watcher.core.changes import Document
from watcher.core.events import Event, EventType, subscribes
from watcher.core.forms import DOCUMENTED, Addressing, Form
from watcher.core.privacy import Privacy
from watcher.core.routes import DIRECT, Route

Predicate = Callable[[Document], bool]
"""A compiled condition (`core/conditions.py`)."""


Signing = Literal["librechat", "standard", "both", "none"]
"""`X-Webhook-Signature`, Standard Webhooks' headers, both of them, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A signing secret that cannot be printed."""

    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Among events matching `pattern`, only those whose data meet the condition pass."""

    pattern: str
    condition: dict[str, Any]
    """As the operator wrote it, for `explain` and the page."""
    predicate: Predicate = field(repr=False, compare=False)
    """Judges `subject_of` an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """How many requests in any window of one second, and how many events one request may carry."""

    max_per_second: float | None = None
    batch_size: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One receiver: parsed at the door, believed inside."""

    name: str
    url: str = field(repr=False)
    """May carry a token in its path or query: printed only by `display_url`."""
    secrets: tuple[Secret, ...]
    """The first signs; the others are of before or after a rotation. Empty: `signing: none`."""
    events: tuple[str, ...]
    """Subscriptions: `message.created`, `message.*`, `*`."""
    filters: tuple[Filter, ...] = ()
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    retry_delays: tuple[timedelta, ...] = (
        timedelta(seconds=5),
        timedelta(seconds=15),
        timedelta(seconds=60),
    )
    """Waits after the 1st, 2nd, … failed attempt; after the last failure the delivery is dead."""
    timeout: timedelta = timedelta(seconds=5)
    rate: RateLimit = RateLimit()
    signing: Signing = "librechat"
    ordered: bool = True
    """False (`ordering: none`): events about the same thing go in parallel."""
    privacy: Privacy | None = None
    """What it is not told; None: it is told everything."""
    form: Form = DOCUMENTED
    addressing: Addressing | None = None
    """Where `url` or `headers` are templates, what fills them. None: they are the same for every event."""
    max_in_flight: int = 64
    """Attempts at once to this endpoint. Raise it when its oldest-due age grows while it answers quickly."""
    route: Route = DIRECT

    def subscription(self, event: EventType) -> str | None:
        """The first pattern that asks for the event."""
        return next((pattern for pattern in self.events if subscribes(pattern, event)), None)

    def subscribes(self, event: EventType) -> bool:
        return self.subscription(event) is not None

    def filters_of(self, event: EventType) -> Sequence[Filter]:
        """The filters that must all let the event pass."""
        return [each for each in self.filters if subscribes(each.pattern, event)]

    def wants(self, event: Event) -> bool:
        """Subscribed, and no filter for this event says no."""
        if not self.subscribes(event.type):
            return False
        applying = self.filters_of(event.type)
        if not applying:
            return True
        subject = subject_of(event)
        return all(each.predicate(subject) for each in applying)


def subject_of(event: Event) -> Document:
    """What filters judge of an event."""
    return {**event.data, "userId": event.user_id}
