"""An Event: what a change means to people outside. Its id follows from the change alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NewType

from watcher.core.changes import ChangeId
from watcher.core.swift import swift

EventType = NewType("EventType", str)
EventId = NewType("EventId", str)
"""`webhook_…`: what receivers drop repeats by. One per change, event and endpoint."""

Entity = NewType("Entity", str)
"""What events are kept in order by: `conversation:<id>`, `user:<id>`, `agent:<id>`, `file:<id>`."""

DOCUMENTED = tuple(
    EventType(name)
    for name in (
        "conversation.created",
        "conversation.updated",
        "conversation.deleted",
        "conversation.archived",
        "message.created",
        "message.updated",
        "message.deleted",
        "message.feedback",
        "user.registered",
        "user.login",
        "user.logout",
        "agent.created",
        "agent.updated",
        "agent.deleted",
        "file.uploaded",
        "file.deleted",
    )
)
"""The sixteen that LibreChat's documentation names; `*` and `user.*` mean these only."""

BEYOND = tuple(
    EventType(name) for name in ("user.deleted", "user.verified", "user.session.expired", "watcher.gap")
)
"""Ours beyond them, sent only when subscribed by name."""


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What one change means: a type, a time, and the data that an allow-list let through."""

    type: EventType
    change: ChangeId
    at: datetime
    entity: Entity
    user_id: str | None
    data: dict[str, Any]
    """Plain values, JSON-ready after `encoding.encode`; only fields that a mapping names."""


def subscribes(pattern: str, event: EventType) -> bool:
    """Does a subscription (`message.created`, `message.*`, `*`) ask for this event?

    >>> subscribes("user.*", EventType("user.login")), subscribes("user.*", EventType("user.deleted"))
    (True, False)
    """
    if pattern == event:
        return True
    if event not in DOCUMENTED:
        return False
    return pattern == "*" or (pattern.endswith(".*") and event.startswith(pattern[:-1]))


def event_id(change: ChangeId, event: EventType, endpoint: str) -> EventId:
    """The id of an event at an endpoint, computed so that a crash, a retry or a replay repeats it.

    It starts with the change's cluster time (hex digits 3 to 18 of a resume token), so that ids sort
    by time and a store's index grows at its end instead of everywhere."""
    digest = hashlib.blake2b(f"{change}\n{event}\n{endpoint}".encode(), digest_size=12).hexdigest()
    return EventId(f"webhook_{change[2:18].lower()}{digest}")


def batch_id(members: tuple[EventId, ...]) -> EventId:
    """The id of a batch: follows from its members, so a batch sent again is the same batch."""
    digest = hashlib.blake2b("\n".join(members).encode(), digest_size=12).hexdigest()
    return EventId(f"{members[0][:24]}{digest}")


Reason = Literal["user", "cascade", "ttl", "retention"]
"""Why a row was deleted: by a person, with its conversation or account, by expiry, by a retention sweep."""
