"""Searching: which deliveries somebody asks for, and in which order they are told.

The law: the order is that of their ids. An id begins with its change's time (`event_id`), and never changes:
a page is the same page whatever is sent, retried or replayed meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from watcher.core.deliveries import State
from watcher.core.events import EventId, EventType

STORED: tuple[State, ...] = ("held", "pending", "delivered", "dead", "cancelled")
"""The states that a store knows."""

PREFIX = "webhook_"

LAST_SECOND = 0xFFFF_FFFF
"""That an id can tell, in 2106."""

MANY = 20_000
"""Among more than so many deliveries those of one event are not found by looking at each one's event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Deliveries that meet all of it; what is empty or None asks for nothing."""

    ids: tuple[EventId, ...] = ()
    endpoints: tuple[str, ...] = ()
    states: tuple[State, ...] = ()
    events: tuple[EventType, ...] = ()
    user: str | None = None
    conversation: str | None = None
    since: datetime | None = None
    """Of the change; whole seconds count, as in ids."""
    until: datetime | None = None
    """Before it."""

    @property
    def first(self) -> str:
        """No id that is asked for is smaller. To be compared as text."""
        return _id_at(self.since) if self.since else ""

    @property
    def beyond(self) -> str:
        """Every id that is asked for is smaller."""
        return _id_at(self.until) if self.until else PREFIX + "g"

    def takes(self, delivery: Any, state: State) -> bool:
        """Is this one asked for? `delivery`: anything with a delivery's fields."""
        return (
            (not self.ids or delivery.id in self.ids)
            and (not self.endpoints or delivery.endpoint in self.endpoints)
            and (not self.states or state in self.states)
            and (not self.events or delivery.event in self.events)
            and self.user in (None, delivery.user)
            and self.conversation in (None, delivery.conversation)
            and self.first <= delivery.id < self.beyond
        )


def by_event(wanted: Wanted, *, found: int, all_there: int) -> bool:
    """Is a page to be looked for among all of the wanted events, rather than among all in the wanted states?
    `found`: how many are in these states. `all_there`: in whatever state.

    Not where these states are the rarer: of each that is of the event, the state is to be looked at."""
    return bool(wanted.events) and found > MANY and 2 * found > all_there


def change_part(identity: EventId) -> str:
    """What ids of one change share."""
    return identity[: len(PREFIX) + 16]


def second_of(identity: EventId) -> datetime:
    """When the change of an id happened, in whole seconds.

    >>> second_of(EventId("webhook_695661c0000000070000000000000000000000aa")).isoformat()
    '2026-01-01T12:00:00+00:00'
    """
    return datetime.fromtimestamp(int(identity[len(PREFIX) : len(PREFIX) + 8], 16), UTC)


def _id_at(at: datetime) -> str:
    """The smallest id of changes of this second.

    >>> from datetime import UTC
    >>> _id_at(datetime(2026, 1, 1, 12, tzinfo=UTC))
    'webhook_695661c0'
    """
    return f"{PREFIX}{min(max(0, int(at.timestamp())), LAST_SECOND):08x}"


def in_a_line(wanted: Wanted) -> str:
    """What is asked for, for people.

    >>> in_a_line(Wanted(endpoints=("crm",), states=("dead",)))
    'endpoint=crm state=dead'
    """
    listed = {"endpoint": wanted.endpoints, "state": wanted.states, "event": wanted.events}
    told = [f"{name}={','.join(values)}" for name, values in listed.items() if values]
    if wanted.ids:
        told.append(wanted.ids[0] if len(wanted.ids) == 1 else f"{len(wanted.ids)} by id")
    for name, value in (("user", wanted.user), ("conversation", wanted.conversation)):
        told += [f"{name}={value}"] if value is not None else []
    for name, time in (("since", wanted.since), ("until", wanted.until)):
        told += [f"{name}={time.isoformat()}"] if time is not None else []
    return " ".join(told) or "all"
