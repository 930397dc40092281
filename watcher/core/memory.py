"""The memory: what is known of each row by its `_id`, for collections that keep no pre-images.

    insert ──▶ remembered ──update──▶ kept up to date ──delete──▶ told (`before`), and forgotten
                   ▲
    first scan ────┘   (rows that were there before the memory began)

The law: only the names that rules need of a row before it changes are kept; of secrets, and of what points
to a file or signs a URL, no more than that it was there. Replayed changes leave the memory as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from watcher.core.changes import Change, Document
from watcher.core.events import Entity
from watcher.core.secrets import is_veiled
from watcher.core.views import row_entity, top

Names = Mapping[str, frozenset[str]]
"""By collection, the top-level names that are remembered."""

PRESENT = "…"
"""Remembered in place of a value that is to be kept nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What is known of one row."""

    fields: Document
    exact_after: datetime
    """The row was seen at this time. For changes before it the memory may be ahead of the stream: good enough
    to tell whose row was deleted, not to tell what an update changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """How far the first scan of one collection has come. With other names the memory begins anew."""

    collection: str
    names: tuple[str, ...]
    after: str | None = None
    """The last row's `_id`, as the source writes it; None before the first page."""
    rows: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """Changes with what the memory knew, and what it learned of them."""

    changes: Sequence[Change]
    learned: Mapping[Entity, Remembered | None]
    """None: forgotten."""


def completed(changes: Sequence[Change], known: Mapping[Entity, Remembered], names: Names) -> Completed:
    """The changes, in order, with `before` filled in from what is known of their rows."""
    told: list[Change] = []
    learned: dict[Entity, Remembered | None] = {}
    for change in changes:
        wanted = names.get(change.collection)
        if wanted is None:
            told.append(change)
            continue
        row = row_entity(change)
        memory = learned[row] if row in learned else known.get(row)
        told.append(_told(change, memory))
        if change.operation == "delete":
            learned[row] = None
        elif (news := _after(change, memory, wanted)) is not None:
            learned[row] = news
    return Completed(changes=told, learned=learned)


def remembered(collection: str, row: Document, names: frozenset[str]) -> Document:
    """What is kept of a row."""
    return {name: _veiled(collection, name, row[name]) for name in sorted(names) if name in row}


def _told(change: Change, memory: Remembered | None) -> Change:
    if memory is None or change.before is not None:
        return change
    match change.operation:
        case "delete":
            return replace(change, before=memory.fields)
        case "update":
            exact = change.at > memory.exact_after
            after = change.after if change.after is not None else _updated(change, memory.fields)
            return replace(change, before=memory.fields if exact else None, after=after)
        case _:
            return change  # a replace compares whole rows, and a part of one is known


def _after(change: Change, memory: Remembered | None, wanted: frozenset[str]) -> Remembered | None:
    """What is known of the row after the change; None where that is nothing new."""
    if change.operation in ("insert", "replace") and change.after is not None:
        fields = remembered(change.collection, change.after, wanted)
        return Remembered(fields=fields, exact_after=change.at)
    if memory is None:
        return None  # not scanned yet: the scan will see it as it is then
    touched = wanted & {top(path) for path in change.written}
    if not touched:
        return None
    row = _updated(change, memory.fields)
    if change.after is not None:
        # Of an update below a name (`feedback.tag`) the row as it is now knows the whole.
        below = {top(path) for path in change.written if "." in path}
        row |= {name: change.after[name] for name in below & wanted if name in change.after}
    return replace(memory, fields=remembered(change.collection, row, wanted))


def _updated(change: Change, fields: Document) -> dict[str, Any]:
    gone = {*change.removed, *change.untold}
    kept = {name: value for name, value in fields.items() if name not in gone}
    return kept | {name: value for name, value in change.updated.items() if "." not in name}


def _veiled(collection: str, name: str, value: Any) -> Any:
    return PRESENT if value and is_veiled(collection, name) else value
