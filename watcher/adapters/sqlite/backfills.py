"""Backfills in SQLite: how far each has come, under the name of what was asked for."""

from __future__ import annotations

import json
import sqlite3

from watcher.adapters.sqlite.statements import SQL
from watcher.adapters.sqlite.times import from_ms, to_ms
from watcher.core.backfill import Backfill
from watcher.core.events import EventType


def kept(db: sqlite3.Connection, name: str) -> Backfill | None:
    row = db.execute(SQL["backfill"], {"name": name}).fetchone()
    if row is None:
        return None
    written = json.loads(row[0])
    return Backfill(
        name=name,
        since=from_ms(written.pop("since")),
        until=from_ms(written.pop("until")),
        events=tuple(EventType(event) for event in written.pop("events")),
        **written,
    )


def keep(db: sqlite3.Connection, backfill: Backfill) -> None:
    written = {
        "since": to_ms(backfill.since),
        "until": to_ms(backfill.until),
        "events": backfill.events,
        "collection": backfill.collection,
        "after": backfill.after,
        "rows": backfill.rows,
        "stored": backfill.stored,
        "done": backfill.done,
    }
    db.execute(SQL["keep_backfill"], {"name": backfill.name, "state": json.dumps(written)})
