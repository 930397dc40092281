"""The memory's rows in SQLite: a generation of rows per scan, so that forgetting a million is one statement.

A row is a checksum and a JSON array (`records.packed`)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from watcher.adapters.records import packed, unpacked
from watcher.adapters.sqlite.checks import crc, demand
from watcher.adapters.sqlite.statements import SQL
from watcher.adapters.times import from_ms, to_ms
from watcher.core.changes import Document
from watcher.core.events import Entity
from watcher.core.memory import Remembered, Scan

CRC_DIGITS = 8


def begin(db: sqlite3.Connection, wanted: Mapping[str, frozenset[str]]) -> Sequence[Scan]:
    """Go on with the scans that are wanted as they are; begin the others; end what is wanted no more."""
    for scan in scans(db):
        if frozenset(scan.names) != wanted.get(scan.collection):
            db.execute(SQL["end_scan"], {"collection": scan.collection})
    for collection, names in wanted.items():
        db.execute(SQL["begin_scan"], {"collection": collection, "names": json.dumps(sorted(names))})
    return scans(db)


def scans(db: sqlite3.Connection) -> Sequence[Scan]:
    return [
        Scan(collection=collection, names=tuple(json.loads(names)), after=after, rows=rows, done=bool(done))
        for collection, names, after, rows, done in db.execute(SQL["scans"])
    ]


def recall(db: sqlite3.Connection, rows: Iterable[Entity]) -> Mapping[Entity, Remembered]:
    known: dict[Entity, Remembered] = {}
    for collection, ids in _by_collection(rows).items():
        scan = _scan(db, collection)
        if scan is None:
            continue
        generation, names = scan
        given = {"generation": generation, "ids": json.dumps(ids)}
        known |= _found_rows(collection, names, db.execute(SQL["recall_rows"], given))
    return known


def page(
    db: sqlite3.Connection, collection: str, *, after: str | None, limit: int
) -> tuple[Mapping[Entity, Remembered], str | None]:
    scan = _scan(db, collection)
    if scan is None:
        return {}, None
    generation, names = scan
    given = {"generation": generation, "after": after or "", "limit": limit}
    rows = db.execute(SQL["remembered"], given).fetchall()
    return _found_rows(collection, names, rows), rows[-1][0] if len(rows) == limit else None


def learn(db: sqlite3.Connection, learned: Mapping[Entity, Remembered | None]) -> None:
    for collection, ids in _by_collection(learned).items():
        scan = _scan(db, collection)
        if scan is None:
            continue
        rows = [(identity, learned[Entity(f"{collection}:{identity}")]) for identity in ids]
        db.executemany(SQL["learn"], [_row(scan, identity, row) for identity, row in rows if row is not None])
        forgotten = [identity for identity, row in rows if row is None]
        db.execute(SQL["unlearn"], {"generation": scan[0], "ids": json.dumps(forgotten)})


def remember(db: sqlite3.Connection, rows: Mapping[Entity, Remembered], scan: Scan) -> None:
    found = _scan(db, scan.collection)
    if found is None or found[1] != scan.names:
        return  # begun anew, or wanted no more
    db.executemany(
        SQL["remember"], [_row(found, row.partition(":")[2], memory) for row, memory in rows.items()]
    )
    db.execute(
        SQL["keep_scan"],
        {"collection": scan.collection, "after": scan.after, "rows": scan.rows, "done": scan.done},
    )


_Found = tuple[int, tuple[str, ...]]
"""A scan's generation and names."""


def _scan(db: sqlite3.Connection, collection: str) -> _Found | None:
    row = db.execute(SQL["scan_of"], {"collection": collection}).fetchone()
    return (row[0], tuple(json.loads(row[1]))) if row else None


def _found_rows(
    collection: str, names: Sequence[str], rows: Iterable[tuple[str, int, str]]
) -> dict[Entity, Remembered]:
    return {
        Entity(f"{collection}:{identity}"): Remembered(
            fields=_unpacked(fields, names), exact_after=from_ms(exact_after)
        )
        for identity, exact_after, fields in rows
    }


def _row(scan: _Found, identity: str, memory: Remembered) -> Sequence[Any]:
    generation, names = scan
    return generation, identity, to_ms(memory.exact_after), _packed(memory.fields, names)


def _by_collection(rows: Iterable[Entity]) -> Mapping[str, list[str]]:
    ids: dict[str, list[str]] = {}
    for row in rows:
        collection, _, identity = row.partition(":")
        ids.setdefault(collection, []).append(identity)
    return ids


def _packed(fields: Document, names: Sequence[str]) -> str:
    text = packed(fields, names)
    return f"{crc(text):08x}{text}"


def _unpacked(text: str, names: Sequence[str]) -> Document:
    if text.startswith("["):
        return unpacked(text, names)  # a row of version 1 has no checksum
    demand(text[:CRC_DIGITS] == f"{crc(text[CRC_DIGITS:]):08x}", "what is remembered of a row")
    return unpacked(text[CRC_DIGITS:], names)
