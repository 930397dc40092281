"""Backfills in SQLite: how far each has come, under the name of what was asked for."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from watcher.adapters.records import backfill_of, backfill_text
from watcher.adapters.sqlite.statements import SQL
from watcher.core.backfill import Backfill


def kept(db: sqlite3.Connection, name: str) -> Backfill | None:
    row = db.execute(SQL["backfill"], {"name": name}).fetchone()
    return backfill_of(name, row[0]) if row else None


def unfinished(db: sqlite3.Connection) -> Sequence[Backfill]:
    return [backfill_of(name, state) for name, state in db.execute(SQL["unfinished_backfills"])]


def keep(db: sqlite3.Connection, backfill: Backfill) -> None:
    db.execute(SQL["keep_backfill"], {"name": backfill.name, "state": backfill_text(backfill)})
