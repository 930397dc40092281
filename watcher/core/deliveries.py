"""A Delivery: one event owed to one endpoint. Its bytes are made once and never change.

held ──due──▶ pending ──claim──▶ in_flight ──2xx──▶ delivered
  │              ▲                   │
  │              ├──── retry_at ─────┤
  │              └──── release ──────┤   (our own shutdown costs no attempt)
  ▼                                  ▼
cancelled     pending ◀─replay── dead, delivered, cancelled
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from watcher.core.attempts import Attempt
from watcher.core.events import Entity, EventId, EventType
from watcher.core.swift import swift

State = Literal["held", "pending", "in_flight", "delivered", "dead", "cancelled"]
"""`in_flight` lives in the dispatching process only: after a crash the row is pending, and sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Not to be sent before `until`, unless a later change of the same row ends the wait sooner."""

    key: str
    """`<collection>:<_id>` of the row whose next change decides."""
    until: datetime
    """In stream time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lift:
    """A change ended the holds of a row: what was held is sent now, or never."""

    key: str
    """Of a row (`Hold.key`); or an entity, with all that is held of it."""
    to: Literal["pending", "cancelled"]
    reason: str
    by: Literal["row", "entity"] = "row"


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event owed to one endpoint, as capture makes it."""

    id: EventId
    endpoint: str
    event: EventType
    entity: Entity
    row: Entity
    """The row that changed (`<collection>:<_id>`); empty in what older versions stored."""
    at: datetime
    """When the change happened (the event's timestamp)."""
    body: bytes
    """The exact bytes of every attempt."""
    context: bytes | None = None
    """The event as its endpoint may know it, where the body does not tell it and the address needs it."""
    hold: Hold | None = None
    user: str | None = field(default=None, compare=False)
    """Whose event it is; for people who search, as is the conversation. Dispatch never reads them."""
    conversation: str | None = field(default=None, compare=False)
    refused: str | None = None
    """Why it can never be sent (it is stored dead, with this reason); None for all others."""

    size: int = field(init=False, repr=False, compare=False)
    """What it takes of memory, in bytes, but for a little."""

    def __post_init__(self) -> None:
        self.size = len(self.body) + len(self.context or b"")  # type: ignore[misc]

    @property
    def goes_at_once(self) -> bool:
        """Pending as soon as it is stored."""
        return self.hold is None and self.refused is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of a delivery so far. Never its body: this is for people to look at."""

    id: EventId
    endpoint: str
    event: EventType
    at: datetime
    """When the change happened."""
    state: State
    attempts: int
    """Attempts that ended in a failure of the receiver's."""
    status: int | None
    """Of the last answer; None where there was none."""
    reason: str | None
    """Why it is not delivered: the last failure, or what cancelled or refused it. Of a delivered one: what
    was wrong with the answer all the same."""
    due_at: datetime | None
    """Of a pending one that failed: when it is tried again."""
    held_until: datetime | None
    """In stream time; None when it was never held."""
    attempted_at: datetime | None
    """When the last attempt that counted began."""
    settled_at: datetime | None
    """When it became delivered, dead or cancelled."""
    user: str | None = None
    conversation: str | None = None

    @property
    def refused(self) -> bool:
        """It is dead, and no request was ever made of it: its bytes are not what its endpoint wants."""
        return self.state == "dead" and self.attempted_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """All that is kept of one delivery, for who asks for this one."""

    fate: Fate
    entity: Entity
    row: Entity
    body: bytes = field(repr=False)
    attempts: Sequence[Attempt]
    """The newest of those that counted, the oldest first."""


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A pending delivery with its place in the outbox: what dispatch works on."""

    seq: int
    """The place in the order of commits. Grows; says nothing else."""
    delivery: Delivery
    attempts: int
    """Attempts that ended in a failure of the receiver's."""
    due_at: datetime | None
    """Not before; None when never attempted."""
    batch: EventId | None
    """The batch it was first sent in; it is sent again in the same one."""
