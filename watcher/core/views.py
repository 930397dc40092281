"""A view of a change: the names that a mapping's conditions and data may use.

    operation    insert, update, replace or delete
    collection   the collection's name
    at           when the change happened (wallTime)
    id           the row's `_id` as text
    before       the row before the change: the pre-image
    after        the row after the change
    row          what is known of the row: `after`, else `before`, else the new values alone; always has `_id`
    updated      the update's new values, by (dotted) path as MongoDB wrote them
    removed      the (dotted) paths that the update removed
    touched      top-level names that the update wrote or removed, sorted
    changed      `touched` without noise; in a rule with `changed:` what that rule counts
    shape        of an insert: the row's names in stored order, with a blank between
    overdue      deadline fields of `before` whose date had come at the time of the change
    gone         kinds that left a moment ago: the row's own entity (`conversation`), or its `user`
    newborn      of a delete: true when the row itself arrived a moment ago
    newcomer     of a delete: the `_id` of another row of the same entity that arrived a moment ago
    outwaited    true when the row is older than the longest hold: what was held of it has been sent
    recovered    true when nobody watched the change: it was found after the position had been lost
    vague        of an update that was found: true when `updated` has all that may have changed

The law: a name is absent where nothing is known. `touched` and `changed` are absent for inserts and deletes,
and for a replace without a pre-image; those from `overdue` on when there is nothing to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from watcher.core.changes import Change, Document
from watcher.core.events import Entity
from watcher.core.marks import Mark, Taking

NAMES = (
    "operation",
    "collection",
    "at",
    "id",
    "before",
    "after",
    "row",
    "updated",
    "removed",
    "touched",
    "changed",
    "shape",
    "overdue",
    "gone",
    "newborn",
    "newcomer",
    "outwaited",
    "recovered",
    "vague",
)

View = dict[str, Any]

MARGIN = timedelta(seconds=1)
"""A row counts as outwaited this much (a tenth of a short hold) before its hold ends: `createdAt` is of
another clock. Taking a hold for open that was released just now would send the same message as created
twice; the other way round, it is created, then updated."""

_LONGEST_ID = 256  # characters; LibreChat's have 36. More is a damaged row, and no key to sort by


@dataclass(frozen=True, slots=True)
class Noise:
    """Top-level names whose change alone means nothing. `name*` stands for all names that begin so."""

    names: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Noise:
        listed = tuple(patterns)
        return cls(
            frozenset(name for name in listed if not name.endswith("*")),
            tuple(name[:-1] for name in listed if name.endswith("*")),
        )

    def __contains__(self, name: str) -> bool:
        return name in self.names or name.startswith(self.prefixes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewpoint:
    """How the rows of one collection are seen."""

    collection: str
    noise: Noise = Noise()
    deadlines: tuple[str, ...] = ()
    kind: str | None = None
    """What its events are about: `conversation`. None: the row itself."""
    identity: Callable[[View], Any] | None = None
    user: Callable[[View], Any] | None = None
    names: frozenset[str] = frozenset()
    """The top-level names of the row that `identity` and `user` take."""


@dataclass(slots=True)
class Seen:
    """A change, seen: its view, and what every event of it shares."""

    view: View
    entity: Entity
    known: bool
    """Is an image of the row there? If not, only its `_id` and what the update wrote are known."""
    user_id: str | None
    whole: Entity
    """What rows belong to that go with it: the entity, of its user. Two users may have conversations with the
    same id (LIBRECHAT.md §1.11)."""
    created: datetime | None
    """The row's `createdAt`, where it is a date."""
    newcomer: Mark | None = None
    """The arrival that explains this row's deletion, if one does."""


def see(change: Change, viewpoint: Viewpoint, marks: Taking, *, hold: timedelta) -> Seen:
    """The change as rules see it."""
    after, before = change.after, change.before
    row = after if after is not None else before if before is not None else _new_values(change)
    if "_id" not in row:
        row = {**row, "_id": change.document_id}
    created = _moment(row.get("createdAt"))
    view: View = {
        "operation": change.operation,
        "collection": change.collection,
        "at": change.at,
        "id": change.document_id,
        "row": row,
    }
    if before is not None:
        view["before"] = before
    if after is not None:
        view["after"] = after
    if change.recovered:
        view["recovered"] = True
    if change.vague:
        view["vague"] = True
    if change.operation == "update" or (change.operation == "replace" and before is not None):
        _tell_what_changed(view, change, viewpoint.noise)
        if created is not None and change.at - created >= hold - min(MARGIN, hold / 10):
            view["outwaited"] = True

    identity = _id(viewpoint.identity(view)) if viewpoint.identity else None
    entity = Entity(f"{viewpoint.kind}:{identity}") if identity else row_entity(change)
    user_id = _id(viewpoint.user(view)) if viewpoint.user else None
    if before is not None and viewpoint.deadlines:
        _tell(view, "overdue", [name for name in viewpoint.deadlines if _has_come(before, name, change.at)])
    if change.operation == "insert" and after is not None:
        view["shape"] = " ".join(after)
    whole = entity if viewpoint.kind == "user" else Entity(f"{entity} of {user_id}")
    newcomer: Mark | None = None
    if marks:
        gone = [viewpoint.kind] if identity and marks.is_gone(whole, change.at) else []
        if user_id and viewpoint.kind != "user" and marks.is_gone(user_entity(user_id), change.at):
            gone.append("user")
        _tell(view, "gone", gone)
        if change.operation == "delete":
            newcomer = _tell_what_arrived(view, entity, row_entity(change), marks)
    known = after is not None or before is not None
    return Seen(view, entity, known, user_id, whole, created, newcomer)


def row_entity(change: Change) -> Entity:
    """The row itself, where nothing better is known. Also the key of its holds."""
    return Entity(f"{change.collection}:{change.document_id}")


def user_entity(user_id: str) -> Entity:
    return Entity(f"user:{user_id}")


def top(path: str) -> str:
    """The top-level name of a (dotted) path."""
    return path.partition(".")[0]


def _tell_what_changed(view: View, change: Change, noise: Noise) -> None:
    touched = sorted({top(path) for path in change.written})
    view["updated"] = change.updated
    view["removed"] = change.removed
    view["touched"] = touched
    view["changed"] = [name for name in touched if name not in noise]


def _tell_what_arrived(view: View, entity: Entity, row: Entity, marks: Taking) -> Mark | None:
    if marks.own_arrival(entity, row, view["at"]) is not None:
        view["newborn"] = True
    newcomer = marks.newcomer(entity, row, view["at"])
    if newcomer is not None and newcomer.row is not None:
        view["newcomer"] = newcomer.row.partition(":")[2]
    return newcomer


def _tell(view: View, name: str, items: Sequence[Any]) -> None:
    if items:
        view[name] = items


def _new_values(change: Change) -> Document:
    return {path: value for path, value in change.updated.items() if "." not in path}


def _has_come(row: Document, deadline: str, at: datetime) -> bool:
    moment = _moment(row.get(deadline))
    return moment is not None and moment <= at


def _moment(value: Any) -> datetime | None:
    """A date, or None for what damaged rows have in its place."""
    return value if isinstance(value, datetime) and value.tzinfo is not None else None


def _id(value: Any) -> str | None:
    """An id that can name something; None for what damaged rows have in its place."""
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_ID else None
