"""Fates: what became of a row's deliveries, for people who ask; the bodies stay where they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from watcher.adapters.sqlite.statements import SQL
from watcher.adapters.times import from_ms, maybe_from_ms
from watcher.core.deliveries import Fate
from watcher.core.events import Entity, EventId, EventType


def fates(db: sqlite3.Connection, row: Entity, *, limit: int) -> Sequence[Fate]:
    found = db.execute(SQL["of_row"], {"row": row, "limit": limit}).fetchall()
    return [fate_of(*columns) for columns in reversed(found)]


def fate_of(
    identity: str,
    endpoint: str,
    event: str,
    at: int,
    state: Any,
    attempts: int,
    status: int | None,
    reason: str | None,
    due_at: int | None,
    held_until: int | None,
    attempted_at: int | None,
    settled_at: int | None,
    user: str | None,
    conversation: str | None,
) -> Fate:
    return Fate(
        id=EventId(identity),
        endpoint=endpoint,
        event=EventType(event),
        at=from_ms(at),
        state=state,
        attempts=attempts,
        status=status,
        reason=reason,
        due_at=maybe_from_ms(due_at),
        held_until=maybe_from_ms(held_until),
        attempted_at=maybe_from_ms(attempted_at),
        settled_at=maybe_from_ms(settled_at),
        user=user,
        conversation=conversation,
    )
