"""The position in SQLite, with the repair of a gap that is under way, and what a repair asks of the store."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from watcher.adapters.records import recovery_of, recovery_text
from watcher.adapters.sqlite import memory
from watcher.adapters.sqlite.checks import crc, demand
from watcher.adapters.sqlite.statements import SQL
from watcher.adapters.times import from_ms, maybe_from_ms, to_ms
from watcher.core.changes import Checkpoint
from watcher.core.events import Entity
from watcher.core.recovery import Known, Position


def checkpoint(db: sqlite3.Connection) -> Checkpoint | None:
    """What a state of any version has of it."""
    row = db.execute(SQL["checkpoint"]).fetchone()
    return Checkpoint(token=row[0], at=maybe_from_ms(row[1])) if row else None


def position(db: sqlite3.Connection) -> Position | None:
    row = db.execute(SQL["position"]).fetchone()
    if row is None:
        return None
    token, at, through, began, recovery, stored_crc = row
    # One of version 1 has none.
    demand(stored_crc in (None, crc(token, at, through, recovery)), "the position")
    return Position(
        checkpoint=Checkpoint(token=token, at=maybe_from_ms(at)),
        through=from_ms(through),
        began=maybe_from_ms(began),
        recovery=recovery_of(recovery) if recovery else None,
    )


def keep_position(db: sqlite3.Connection, position: Position) -> None:
    """Store it. A checkpoint without a time keeps that of the one before."""
    at = position.checkpoint.at
    if at is None and (before := checkpoint(db)) is not None:
        at = before.at
    given = {
        "token": position.checkpoint.token,
        "at": to_ms(at),
        "through": to_ms(position.through),
        "recovery": recovery_text(position.recovery) if position.recovery else None,
    }
    db.execute(SQL["keep_position"], {**given, "crc": crc(*given.values())})


def known(db: sqlite3.Connection, rows: Sequence[Entity]) -> Mapping[Entity, Known]:
    memories = memory.recall(db, rows)
    told = {
        row: (from_ms(at), bool(held))
        for row, at, held in db.execute(SQL["told"], {"rows": json.dumps(rows)})
    }
    return {
        row: Known(memory=memories.get(row), told=told[row][0], held=told[row][1])
        if row in told
        else Known(memory=memories[row])
        for row in rows
        if row in told or row in memories
    }
