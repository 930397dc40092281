"""Endpoints in SQLite: which of them are not simply sent what there is, and what each has in which state."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping

from watcher.adapters.sqlite.statements import SQL
from watcher.adapters.times import from_ms, maybe_from_ms, to_ms
from watcher.core.circuits import Standing
from watcher.ports import ANYTHING, Counts


def kept(db: sqlite3.Connection) -> Mapping[str, Standing]:
    return {
        endpoint: Standing(state=state, reason=reason, since=from_ms(since), until=maybe_from_ms(until))
        for endpoint, state, reason, since, until in db.execute(SQL["standings"])
    }


def counts(db: sqlite3.Connection) -> dict[str, Counts]:
    numbers: dict[str, dict[str, int]] = defaultdict(dict)
    for endpoint, state, number in db.execute(SQL["counts"]):
        numbers[endpoint][state] = number
    return {endpoint: Counts(**states) for endpoint, states in numbers.items()}


def keep(db: sqlite3.Connection, endpoint: str, standing: Standing | None, replacing: str | None) -> bool:
    before = kept(db).get(endpoint)
    if replacing not in (ANYTHING, before.state if before is not None else None):
        return False
    if standing is None:
        db.execute(SQL["forget_standing"], {"endpoint": endpoint})
        return True
    given = {
        "endpoint": endpoint,
        "state": standing.state,
        "reason": standing.reason,
        "since": to_ms(standing.since),
        "until": to_ms(standing.until),
    }
    db.execute(SQL["keep_standing"], given)
    return True
