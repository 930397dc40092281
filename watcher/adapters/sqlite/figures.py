"""Figures in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from watcher.adapters.sqlite.statements import SQL
from watcher.adapters.times import from_ms, to_ms
from watcher.core.events import EventType
from watcher.core.figures import Figure


def tally(db: sqlite3.Connection, figures: Sequence[Figure]) -> None:
    for figure in figures:
        key = {"endpoint": figure.endpoint, "hour": to_ms(figure.hour), "event": figure.event}
        stored = db.execute(SQL["durations"], key).fetchone()
        durations = Counter(figure.durations) + Counter(_durations(stored[0]) if stored else {})
        added = {
            "delivered": figure.delivered,
            "failed": figure.failed,
            "durations": json.dumps(durations),
        }
        db.execute(SQL["tally"], key | added)


def figures(
    db: sqlite3.Connection, since: datetime, until: datetime, endpoint: str | None
) -> Sequence[Figure]:
    given = {"since": to_ms(since), "until": to_ms(until), "endpoint": endpoint}
    return [
        Figure(
            endpoint=name,
            event=EventType(event),
            hour=from_ms(hour),
            delivered=delivered,
            failed=failed,
            durations=_durations(durations),
        )
        for name, hour, event, delivered, failed, durations in db.execute(
            SQL["figures" if endpoint is None else "figures_of"], given
        )
    ]


def forget(db: sqlite3.Connection, before: datetime, limit: int) -> int:
    return db.execute(SQL["forget_figures"], {"before": to_ms(before), "limit": limit}).rowcount


def _durations(text: str) -> Mapping[int, int]:
    return {int(number): count for number, count in json.loads(text).items()}
