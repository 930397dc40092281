"""Examples: the proof that each rule of a mapping carries. They run as tests; the catalogue shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from watcher.core.changes import Change, ChangeId
from watcher.core.events import Entity, EventType
from watcher.core.mapping import CollectionMapping, Example, Rule
from watcher.core.marks import Marks
from watcher.core.views import Seen, Viewpoint, row_entity, see, user_entity

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""When the changes of examples happen, unless they say otherwise."""

HOLD = timedelta(seconds=60)
"""The default of `watcher.unfinishedHold`, by which `outwaited` is told in examples."""

GIVEN = ("operation", "at", "id", "before", "after", "updated", "removed", "gone", "newborn", "newcomer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An example that its rule does not keep."""

    example: Example
    event: EventType | None
    expected: Any
    got: Any


def failures(mapping: CollectionMapping) -> Iterator[Failure]:
    """The examples of a mapping that do not hold."""
    for rule in mapping.rules:
        for example in rule.examples:
            expected, got = _expected(example), _outcome(rule, example, mapping.viewpoint)
            if expected != got:
                yield Failure(example=example, event=rule.event, expected=expected, got=got)


def seen_in(example: Example, viewpoint: Viewpoint) -> Seen:
    """The example's change as its rule sees it."""
    change = change_of(example.given, viewpoint.collection)
    given, at = example.given, change.at
    seen = see(change, viewpoint, Marks().taking(), hold=HOLD)
    marks = Marks().taking()
    for kind in given.get("gone", ()):
        marks.departs(user_entity(seen.user_id or "") if kind == "user" else seen.whole, at)
    if given.get("newborn"):
        marks.arrives(seen.entity, row_entity(change), at)
    if "newcomer" in given:
        marks.arrives(seen.entity, Entity(f"{change.collection}:{given['newcomer']}"), at)
    return see(change, viewpoint, marks, hold=HOLD)


def change_of(given: dict[str, Any], collection: str) -> Change:
    """The change that an example gives. Of an update, the row after it follows from the row before."""
    before, updated, removed = given.get("before"), given.get("updated", {}), tuple(given.get("removed", ()))
    after = given.get("after")
    if after is None and before is not None and given["operation"] == "update":
        kept = {name: value for name, value in before.items() if name not in removed}
        after = {**kept, **{name: value for name, value in updated.items() if "." not in name}}
    return Change(
        id=ChangeId("82" + "0" * 16),
        collection=collection,
        operation=given["operation"],
        at=dated(given.get("at", NOON)),
        document_id=given.get("id", "65a000000000000000000001"),
        before=dated(before),
        after=dated(after),
        updated=dated(updated),
        removed=removed,
    )


def dated(value: Any) -> Any:
    """The value with texts that are moments (`2026-01-01T12:00:00Z`) as what MongoDB has there: dates."""
    if isinstance(value, dict):
        return {name: dated(item) for name, item in value.items()}
    if isinstance(value, list):
        return [dated(item) for item in value]
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return datetime.fromisoformat(value)
    return value


_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")


def _outcome(rule: Rule, example: Example, viewpoint: Viewpoint) -> Any:
    """What a rule makes of an example, in the form in which examples say it."""
    if example.given["operation"] not in rule.operations:
        return "nothing" if rule.event else False
    seen = seen_in(example, viewpoint)
    view = rule.fire(seen.view, known=seen.known)
    if rule.event is None:
        return not isinstance(view, str)
    if isinstance(view, str):
        return view if view == "unknown" else "nothing"
    return {"data": rule.data_of(view), "holds": rule.holds is not None}


def _expected(example: Example) -> Any:
    if example.sends is None:
        return example.fires
    return (
        {"data": dated(example.sends), "holds": example.holds}
        if isinstance(example.sends, dict)
        else example.sends
    )
