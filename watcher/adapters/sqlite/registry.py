"""Managed endpoints and the audit list in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from watcher.adapters.sqlite.statements import SQL
from watcher.adapters.times import from_ms, to_ms
from watcher.core.managing import AUDITED, AuditEntry, Origin, Registered, Sealed

NEWER_THAN_ALL = 2**62


def revision(db: sqlite3.Connection) -> int:
    (number,) = db.execute(SQL["revision"]).fetchone()
    return int(number)


def registered(db: sqlite3.Connection) -> Registered:
    """Also of a file of a version that had none."""
    if not db.execute("PRAGMA table_info (registered)").fetchall():
        return Registered()
    return Registered(
        revision=revision(db),
        endpoints=tuple(
            Sealed(
                name=name,
                revision=number,
                created_at=from_ms(created_at),
                changed_at=from_ms(changed_at),
                sealed=sealed,
            )
            for name, number, created_at, changed_at, sealed in db.execute(SQL["registered"])
        ),
    )


def register(
    db: sqlite3.Connection, endpoint: Sealed, replacing: int | None, entry: AuditEntry
) -> int | None:
    if _revision_of(db, endpoint.name) != replacing:
        return None
    number = _next_revision(db)
    given = {
        "key": endpoint.name.lower(),
        "name": endpoint.name,
        "revision": number,
        "created_at": to_ms(endpoint.created_at),
        "changed_at": to_ms(endpoint.changed_at),
        "sealed": endpoint.sealed,
    }
    db.execute(SQL["register"], given)
    note(db, entry)
    return number


def deregister(db: sqlite3.Connection, name: str, replacing: int, entry: AuditEntry) -> bool:
    if _revision_of(db, name) != replacing:
        return False
    _next_revision(db)
    db.execute(SQL["deregister"], {"key": name.lower()})
    note(db, entry)
    return True


def note(db: sqlite3.Connection, entry: AuditEntry) -> None:
    given = {
        "at": to_ms(entry.at),
        "act": entry.act,
        "subject": entry.subject,
        "way": entry.origin.way,
        "address": entry.origin.address,
        "forwarded": entry.origin.forwarded,
        "details": json.dumps(dict(entry.details)),
    }
    (number,) = db.execute(SQL["note"], given).fetchone()
    db.execute(SQL["forget_audit"], {"last": number - AUDITED})


def audit(db: sqlite3.Connection, before: int | None, limit: int) -> Sequence[tuple[int, AuditEntry]]:
    given = {"before": NEWER_THAN_ALL if before is None else before, "limit": limit}
    return [_entry(*row) for row in db.execute(SQL["audit"], given)]


def _entry(
    number: int, at: int, act: Any, subject: str, way: Any, address: str, forwarded: str | None, details: str
) -> tuple[int, AuditEntry]:
    return number, AuditEntry(
        at=from_ms(at),
        act=act,
        subject=subject,
        origin=Origin(way=way, address=address, forwarded=forwarded),
        details=json.loads(details),
    )


def _revision_of(db: sqlite3.Connection, name: str) -> int | None:
    found = db.execute(SQL["revision_of"], {"key": name.lower()}).fetchone()
    return None if found is None else int(found[0])


def _next_revision(db: sqlite3.Connection) -> int:
    (number,) = db.execute(SQL["next_revision"]).fetchone()
    return int(number)
