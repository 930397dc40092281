"""How values of the core are written down where a store keeps them as one piece: the same in every store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from watcher.adapters.times import MILLISECOND, from_ms, maybe_from_ms, to_ms
from watcher.core.attempts import Attempt
from watcher.core.backfill import Backfill
from watcher.core.changes import Document
from watcher.core.events import EventType
from watcher.core.recovery import Gap, Recovery

DATE = "$date"


def packed(fields: Document, names: Sequence[str]) -> str:
    """What is remembered of a row, as a JSON array: a bit per name (in order of the names) that says which
    values follow."""
    which = sum(1 << place for place, name in enumerate(names) if name in fields)
    values = [fields[name] for name in names if name in fields]
    return json.dumps([which, *values], default=_dated, ensure_ascii=False, separators=(",", ":"))


def unpacked(text: str, names: Sequence[str]) -> Document:
    which, *values = json.loads(text, object_hook=_undated)
    return dict(zip((name for place, name in enumerate(names) if which >> place & 1), values, strict=True))


def recovery_text(recovery: Recovery) -> str:
    gap = recovery.gap
    return json.dumps(
        {
            "since": to_ms(gap.since),
            "until": to_ms(gap.until),
            "earliest": to_ms(gap.earliest),
            "reason": gap.reason,
            "stage": recovery.stage,
            "after": recovery.after,
            "rows": recovery.rows,
            "counts": dict(recovery.counts),
        }
    )


def recovery_of(text: str) -> Recovery:
    written = json.loads(text)
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


UNFINISHED = '"done": false'
"""What the text of a backfill has that has not come to its end."""


def backfill_text(backfill: Backfill) -> str:
    return json.dumps(
        {
            "since": to_ms(backfill.since),
            "until": to_ms(backfill.until),
            "events": backfill.events,
            "collection": backfill.collection,
            "after": backfill.after,
            "rows": backfill.rows,
            "stored": backfill.stored,
            "done": backfill.done,
            "total": backfill.total,
            "began_at": to_ms(backfill.began_at) if backfill.began_at else None,
            "page_at": to_ms(backfill.page_at) if backfill.page_at else None,
        }
    )


def backfill_of(name: str, text: str) -> Backfill:
    written = json.loads(text)
    return Backfill(
        name=name,
        since=from_ms(written.pop("since")),
        until=from_ms(written.pop("until")),
        events=tuple(EventType(event) for event in written.pop("events")),
        began_at=maybe_from_ms(written.pop("began_at", None)),
        page_at=maybe_from_ms(written.pop("page_at", None)),
        **written,
    )


def attempt_text(attempt: Attempt) -> str:
    """What says nothing is left out: there is one of it for each delivery."""
    told: dict[str, Any] = {"at": to_ms(attempt.at), "took": attempt.took // MILLISECOND}
    if attempt.status is not None:
        told["status"] = attempt.status
    if attempt.reason is not None:
        told["reason"] = attempt.reason
    if attempt.headers:
        told["headers"] = attempt.headers
    if attempt.answer:
        told["answer"] = attempt.answer
    return orjson.dumps(told).decode()


def attempt_of(written: Mapping[str, Any]) -> Attempt:
    """What `attempt_text` wrote, read as JSON."""
    return Attempt(
        at=from_ms(written["at"]),
        took=written["took"] * MILLISECOND,
        status=written.get("status"),
        reason=written.get("reason"),
        headers=tuple((name, value) for name, value in written.get("headers", ())),
        answer=written.get("answer", ""),
    )


def _dated(value: Any) -> Any:
    return {DATE: to_ms(value)} if isinstance(value, datetime) else str(value)


def _undated(value: dict[str, Any]) -> Any:
    if value.keys() == {DATE} and isinstance(value[DATE], int):
        return from_ms(value[DATE])
    return value
