"""The ledger: what MongoDB committed by the majority, in order per entity, by the writers' own word."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NewType

Mark = NewType("Mark", tuple[str, str])
"""An event's type and what tells it from all others of that type, as a receiver can see it."""

TELLING = {
    "message.updated": "text",
    "message.feedback": "feedback",
    "conversation.updated": "title",
    "agent.updated": "name",
    "user.registered": "userId",
    "user.login": "sessionId",
    "user.logout": "sessionId",
}
"""Where that stands in `data`; for the others it is the id of the thing (`messageId` of a message)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One committed change that somebody is to be told of."""

    entity: str
    place: int
    """In the order of its entity's changes."""


class Ledger:
    """Kept by writers of whom no two write about the same entity."""

    def __init__(self) -> None:
        self.entries: dict[Mark, Entry] = {}
        self._places: dict[str, int] = defaultdict(int)

    def note(self, entity: str, event: str, what: str) -> Mark:
        mark = Mark((event, what))
        assert mark not in self.entries, f"{mark} does not tell one change from another"
        self.entries[mark] = Entry(entity=entity, place=self._places[entity])
        self._places[entity] += 1
        return mark

    @property
    def entities(self) -> int:
        return len(self._places)


def mark_of(event: str, data: Mapping[str, Any]) -> Mark:
    """The mark of an event that a receiver got."""
    name = TELLING.get(event, f"{event.partition('.')[0]}Id")
    value = data.get(name)
    return Mark((event, str(value.get("text") if isinstance(value, dict) else value)))


def events_of(body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The events of a request: one, or those of a batch."""
    if body.get("event") != "batch":
        return [body]
    events: Sequence[Mapping[str, Any]] = body["data"]["events"]
    return events
