"""The position in SQLite, with the repair of a gap that is under way, and what a repair asks of the store."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from watcher.adapters.sqlite import memory
from watcher.adapters.sqlite.statements import SQL
from watcher.adapters.sqlite.times import from_ms, maybe_from_ms, to_ms
from watcher.core.changes import Checkpoint
from watcher.core.events import Entity
from watcher.core.recovery import Gap, Known, Position, Recovery


def position(db: sqlite3.Connection) -> Position | None:
    row = db.execute(SQL["position"]).fetchone()
    if row is None:
        return None
    token, at, through, began, recovery = row
    return Position(
        checkpoint=Checkpoint(token=token, at=maybe_from_ms(at)),
        through=from_ms(through),
        began=maybe_from_ms(began),
        recovery=_recovery(json.loads(recovery)) if recovery else None,
    )


def keep_position(db: sqlite3.Connection, position: Position) -> None:
    recovery = position.recovery
    given = {
        "token": position.checkpoint.token,
        "at": to_ms(position.checkpoint.at),
        "through": to_ms(position.through),
        "recovery": json.dumps(_written(recovery)) if recovery else None,
    }
    db.execute(SQL["keep_position"], given)


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


def _written(recovery: Recovery) -> dict[str, Any]:
    gap = recovery.gap
    return {
        "since": to_ms(gap.since),
        "until": to_ms(gap.until),
        "earliest": to_ms(gap.earliest),
        "reason": gap.reason,
        "stage": recovery.stage,
        "after": recovery.after,
        "rows": recovery.rows,
        "counts": dict(recovery.counts),
    }


def _recovery(written: dict[str, Any]) -> Recovery:
    gap = Gap(
        since=from_ms(written["since"]),
        until=from_ms(written["until"]),
        earliest=from_ms(written["earliest"]),
        reason=written["reason"],
    )
    stage = written["stage"]
    return Recovery(
        gap=gap,
        stage=(stage[0], stage[1]) if stage else None,
        after=written["after"],
        rows=written["rows"],
        counts=written["counts"],
    )
