"""The log of deliveries: searched page by page, over millions of them, without reading what is not asked for.

Spots lead to those of a user or a conversation (spots.py). All else is a range of the
index `in_the_log` for each endpoint and state, which tells of the event, too; or where there are many, and
few may be of the event, of `of_event`. The ranges are read side by side, and joined by their ids."""

from __future__ import annotations

import heapq
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any

from watcher.adapters.records import attempt_of
from watcher.adapters.sqlite import spots
from watcher.adapters.sqlite.fates import fate_of
from watcher.adapters.sqlite.statements import SQL
from watcher.core.deliveries import Dossier, Fate, State
from watcher.core.events import Entity, EventId, EventType
from watcher.core.searching import STORED, Wanted, by_event


def page(
    db: sqlite3.Connection, wanted: Wanted, *, after: EventId | None, limit: int, oldest_first: bool
) -> Sequence[Fate]:
    with _standing_still(db):
        ids = list(islice(_found(db, wanted, after, limit, oldest_first=oldest_first), limit))
        rows = db.execute(SQL["of_ids"], {"ids": json.dumps(ids)}).fetchall()
    fates = {row[0]: fate_of(*row) for row in rows}
    return [fates[identity] for identity in ids if identity in fates]


def number(db: sqlite3.Connection, wanted: Wanted) -> Mapping[State, int]:
    with _standing_still(db):
        return _number(db, wanted)


@contextmanager
def _standing_still(db: sqlite3.Connection) -> Iterator[None]:
    """What goes from one state to another between two queries would be told twice, or not at all."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        if db.in_transaction:  # a disk that fails ends it by itself
            db.execute("ROLLBACK")


def _number(db: sqlite3.Connection, wanted: Wanted) -> Mapping[State, int]:
    numbers: Counter[State] = Counter()
    if wanted.ids:
        text, given = _of_ids("state, count(*)", wanted, None, oldest_first=False)
        numbers.update(dict(db.execute(f"{text} GROUP BY state", given).fetchall()))
    elif _is_spotted(wanted):
        numbers.update(spots.number(db, wanted, *_conditions(wanted, None, oldest_first=False)))
    else:
        for endpoint, state, _ in _ranges(db, wanted):
            text, given = _range("count(*)", wanted, endpoint, state, None, oldest_first=False)
            numbers[state] += db.execute(text, given).fetchone()[0]
    return {state: numbers[state] for state in STORED if numbers[state]}


def dossier(db: sqlite3.Connection, identity: EventId) -> Dossier | None:
    found = db.execute(SQL["dossier"], {"id": identity}).fetchone()
    if found is None:
        return None
    *columns, entity, row, body, log = found
    return Dossier(
        fate=fate_of(*columns),
        entity=Entity(entity),
        row=Entity(row),
        body=body,
        attempts=[attempt_of(each) for each in json.loads(log or "[]")],
    )


def _found(
    db: sqlite3.Connection, wanted: Wanted, after: EventId | None, limit: int, *, oldest_first: bool
) -> Iterator[EventId]:
    """The ids, in order."""
    order = f" ORDER BY id {'ASC' if oldest_first else 'DESC'} LIMIT :limit"
    if wanted.ids:
        text, given = _of_ids("id", wanted, after, oldest_first=oldest_first)
        yield from _ids(db, text + order, {**given, "limit": limit})
        return
    if _is_spotted(wanted):
        clauses, given = _conditions(wanted, after, oldest_first=oldest_first)
        yield from spots.page(db, wanted, clauses, given, limit=limit, oldest_first=oldest_first)
        return
    found = list(_ranges(db, wanted))
    there = sum(count for _, _, count in _ranges(db, replace(wanted, states=())))
    if by_event(wanted, found=sum(count for _, _, count in found), all_there=there):
        ranges = [
            _of_event(wanted, endpoint, event, after, oldest_first=oldest_first)
            for endpoint in {endpoint for endpoint, _, _ in found}
            for event in set(wanted.events)
        ]
    else:
        ranges = [
            _range("id", wanted, endpoint, state, after, oldest_first=oldest_first)
            for endpoint, state, _ in found
        ]
    runs = [list(_ids(db, text + order, {**given, "limit": limit})) for text, given in ranges]
    yield from heapq.merge(*runs, reverse=not oldest_first)


def _ids(db: sqlite3.Connection, text: str, given: Mapping[str, Any]) -> Iterator[EventId]:
    return (EventId(identity) for (identity,) in db.execute(text, given))


def _is_spotted(wanted: Wanted) -> bool:
    return wanted.user is not None or wanted.conversation is not None


def _ranges(db: sqlite3.Connection, wanted: Wanted) -> Iterable[tuple[str, State, int]]:
    """Every endpoint and state of which there is something, and something is wanted; and how many."""
    for endpoint, state, count in db.execute(SQL["counts"]).fetchall():
        if count and endpoint in (wanted.endpoints or (endpoint,)) and state in (wanted.states or (state,)):
            yield endpoint, state, count


def _range(
    what: str, wanted: Wanted, endpoint: str, state: State, after: EventId | None, *, oldest_first: bool
) -> tuple[str, dict[str, Any]]:
    clauses, given = _bounds(wanted, after, oldest_first=oldest_first)
    text = (
        f"SELECT {what} FROM deliveries INDEXED BY in_the_log WHERE endpoint = :endpoint AND state = :state"  # noqa: S608
    )
    return text + clauses, {**given, "endpoint": endpoint, "state": state}


def _of_event(
    wanted: Wanted, endpoint: str, event: EventType, after: EventId | None, *, oldest_first: bool
) -> tuple[str, dict[str, Any]]:
    clauses, given = _bounds(replace(wanted, events=()), after, oldest_first=oldest_first)
    if wanted.states:
        clauses += " AND state IN (SELECT value FROM json_each(:states))"
        given["states"] = json.dumps(wanted.states)
    text = "SELECT id FROM deliveries INDEXED BY of_event WHERE event = :event AND endpoint = :endpoint"
    return text + clauses, {**given, "endpoint": endpoint, "event": event}


def _of_ids(
    what: str, wanted: Wanted, after: EventId | None, *, oldest_first: bool
) -> tuple[str, dict[str, Any]]:
    clauses, given = _conditions(wanted, after, oldest_first=oldest_first)
    return f"SELECT {what} FROM deliveries WHERE TRUE{clauses}", given  # noqa: S608 (constants and parameters)


def _conditions(wanted: Wanted, after: EventId | None, *, oldest_first: bool) -> tuple[str, dict[str, Any]]:
    """All that is asked for, to be looked at row by row."""
    clauses, given = _bounds(wanted, after, oldest_first=oldest_first)
    for column, value in (("user", wanted.user), ("conversation", wanted.conversation)):
        if value is not None:
            clauses += f" AND {column} = :{column}"
            given[column] = value
    for column, values in (("id", wanted.ids), ("endpoint", wanted.endpoints), ("state", wanted.states)):
        if values:
            clauses += f" AND {column} IN (SELECT value FROM json_each(:{column}s))"  # noqa: S608 (constants)
            given[f"{column}s"] = json.dumps(values)
    return clauses, given


def _bounds(wanted: Wanted, after: EventId | None, *, oldest_first: bool) -> tuple[str, dict[str, Any]]:
    clauses, given = "", dict[str, Any]()
    for clause, name, value in (
        ("id >= :first", "first", wanted.first if wanted.since else None),
        ("id < :beyond", "beyond", wanted.beyond if wanted.until else None),
        ("id > :after" if oldest_first else "id < :after", "after", after),
    ):
        if value is not None:
            clauses += f" AND {clause}"
            given[name] = value
    if wanted.events:
        clauses += " AND event IN (SELECT value FROM json_each(:events))"
        given["events"] = json.dumps(wanted.events)
    return clauses, given
