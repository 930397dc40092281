"""The memory: what is known of each row by its `_id`, for collections that keep no pre-images.

    insert ──▶ remembered ──update──▶ kept up to date ──delete──▶ told (`before`), and forgotten
                   ▲
    first scan ────┘   (rows that were there before the memory began)

The law: only the names that rules need of a row before it changes are kept, and prints of those whose change
is an event; of secrets, and of what points to a file or signs a URL, no more than that it was there. Replayed
changes leave the memory as it was."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
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

PRINT = "#"
"""`#title`: of this name only a print of its value is kept, to tell whether it changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What is known of one row."""

    fields: Document
    exact_after: datetime
    """The row was seen at this time. For changes before it the memory may be ahead of the stream: good enough
    to tell whose row was deleted, not to tell what an update changed."""

    @property
    def row(self) -> Document:
        """The row as far as it is known, without the prints."""
        return {name: value for name, value in self.fields.items() if not name.startswith(PRINT)}


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
    kept = {}
    for name in sorted(names):
        own = name.removeprefix(PRINT)
        if own in row:
            kept[name] = _veiled(collection, name, row[name]) if own == name else _print(row[own])
    return kept


def plain_names(names: Iterable[str]) -> frozenset[str]:
    """The row's own names among what is remembered of it.

    >>> sorted(plain_names({"#title", "user"}))
    ['title', 'user']
    """
    return frozenset(name.removeprefix(PRINT) for name in names)


def differing(collection: str, row: Document, memory: Remembered, names: frozenset[str]) -> Sequence[str]:
    """The names of a row whose values are not as they were remembered, sorted."""
    now = remembered(collection, row, names)
    return sorted(plain_names(name for name in names if now.get(name) != memory.fields.get(name)))


def _told(change: Change, memory: Remembered | None) -> Change:
    if memory is None or change.before is not None:
        return change
    match change.operation:
        case "delete":
            return replace(change, before=memory.row)
        case "update":
            exact = change.at > memory.exact_after
            after = change.after if change.after is not None else _updated(change, memory.row)
            if exact:
                after = {**after, **_left_alone(change, memory.row)}
            return replace(change, before=memory.row if exact else None, after=after)
        case _:
            return change  # a replace compares whole rows, and a part of one is known


def _after(change: Change, memory: Remembered | None, wanted: frozenset[str]) -> Remembered | None:
    """What is known of the row after the change; None where that is nothing new."""
    if change.operation in ("insert", "replace") and change.after is not None:
        fields = remembered(change.collection, change.after, wanted)
        return Remembered(fields=fields, exact_after=change.at)
    if memory is None:
        return None  # not scanned yet: the scan will see it as it is then
    touched = {top(path) for path in change.written}
    stale = {name for name in wanted if name.removeprefix(PRINT) in touched}
    if not stale:
        return None
    row = _updated(change, {})
    if change.after is not None:
        # Of an update below a name (`feedback.tag`) the row as it is now knows the whole.
        below = {top(path) for path in change.written if "." in path or path in change.untold}
        row |= {name: change.after[name] for name in below if name in change.after}
    kept = {name: value for name, value in memory.fields.items() if name not in stale}
    return replace(memory, fields={**kept, **remembered(change.collection, row, frozenset(stale))})


def _updated(change: Change, fields: Document) -> dict[str, Any]:
    gone = {*change.removed, *change.untold}
    kept = {name: value for name, value in fields.items() if name not in gone}
    return kept | {name: value for name, value in change.updated.items() if "." not in name}


def _print(value: Any) -> str:
    """Six characters: two values have the same once in four thousand million times."""
    text = json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=4).digest()
    return base64.b64encode(digest)[:6].decode()


def _left_alone(change: Change, fields: Document) -> Document:
    """What the update did not touch is as it was, whatever became of it before the row was looked up."""
    touched = {top(path) for path in change.written}
    return {
        name: value
        for name, value in fields.items()
        if name not in touched and not is_veiled(change.collection, name)
    }


def _veiled(collection: str, name: str, value: Any) -> Any:
    return PRESENT if value and is_veiled(collection, name) else value
