"""The catalogue: every event that can be sent, its fields and samples. The `events` command, its OpenAPI
document, `ping` and docs/EVENTS.md are made from it, and it from the mapping files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from watcher.core.events import DOCUMENTED, EventType
from watcher.core.examples import dated, seen_in
from watcher.core.mapping import CollectionMapping, Rule
from watcher.core.schemas import ADDED, SHARED, Field, Fields, either, nullable


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What an event may look like."""

    user_id: str | None
    data: dict[str, Any]
    place: str = ""
    """The example that it is: `messages.yaml:31`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """One event as receivers get to know it."""

    event: EventType
    summary: str
    samples: tuple[Sample, ...]
    """What its examples send; at least one."""
    fields: Fields
    """Every name that `data` may have, but for what may be added to any event."""

    @property
    def documented(self) -> bool:
        """One of the sixteen; others are sent only when subscribed by name."""
        return self.event in DOCUMENTED


GAP = CatalogueEntry(
    event=EventType("watcher.gap"),
    summary="The position in MongoDB's stream was lost; what came then was found again, or may be missing.",
    samples=(
        Sample(
            user_id=None,
            data={
                "from": "2026-01-01T11:00:00.000Z",
                "to": "2026-01-01T12:00:00.000Z",
                "reason": "the oplog no longer reaches back to the stored position",
                "repaired": True,
                "counts": {"message.created": 12, "conversation.deleted": 1},
            },
        ),
    ),
    fields={
        "from": Field(
            schema={
                "type": ["string", "null"],
                "format": "date-time",
                "description": "When the last change before the gap happened; null where that is not known.",
            },
            always=True,
        ),
        "to": Field(
            schema={
                "type": "string",
                "format": "date-time",
                "description": "From when on the stream is whole again.",
            },
            always=True,
        ),
        "reason": Field(
            schema={"type": "string", "description": "Why the position was lost, in words."}, always=True
        ),
        "repaired": Field(
            schema={
                "type": "boolean",
                "description": "true: what changed in the gap was looked for and sent.",
            },
            always=True,
        ),
        "counts": Field(
            schema={
                "type": "object",
                "additionalProperties": {"type": "integer"},
                "description": "Per event, how many of the gap were sent.",
            },
            always=True,
        ),
    },
)
"""The one event that is about the program, and so in no mapping file."""


def catalogue(mappings: Iterable[CollectionMapping]) -> Sequence[CatalogueEntry]:
    """Every event that can be sent, the documented ones first, in their documented order."""
    entries: dict[EventType, CatalogueEntry] = {}
    for mapping in mappings:
        for rule in mapping.rules:
            if rule.event is not None:
                entries[rule.event] = _with_rule(entries.get(rule.event), rule, mapping)
    entries[GAP.event] = GAP
    order = {event: place for place, event in enumerate(dict.fromkeys((*DOCUMENTED, *entries)))}
    distinct = [replace(entry, samples=_distinct(entry.samples)) for entry in entries.values()]
    return sorted(distinct, key=lambda entry: order[entry.event])


def fields_of(mappings: Iterable[CollectionMapping]) -> dict[EventType, Fields]:
    """Of every event that can be sent, each name that its data may have, what is added to any event too."""
    found: dict[EventType, Fields] = {}
    for mapping in mappings:
        for rule in mapping.rules:
            if rule.event is not None:
                fields = _fields(rule, mapping)
                found[rule.event] = either(found[rule.event], fields) if rule.event in found else fields
    return {event: {**ADDED, **fields} for event, fields in {**found, GAP.event: GAP.fields}.items()}


def _with_rule(entry: CatalogueEntry | None, rule: Rule, mapping: CollectionMapping) -> CatalogueEntry:
    """The entry with one more way in which its event happens; of several the first gives the summary."""
    assert rule.event is not None
    fields, samples = _fields(rule, mapping), tuple(_samples(rule, mapping))
    if entry is None:
        return CatalogueEntry(event=rule.event, summary=rule.summary, samples=samples, fields=fields)
    return replace(entry, samples=(*entry.samples, *samples), fields=either(entry.fields, fields))


def _fields(rule: Rule, mapping: CollectionMapping) -> Fields:
    known = {**SHARED, **mapping.fields}
    fields = {name: known.get(name, Field(schema={})) for name, _ in rule.data}
    for name in sorted(rule.values):
        told = fields.get(name) or replace(known.get(name, Field(schema={})), always=False)
        fields[name] = nullable(told)
    if rule.reasons:
        fields["reason"] = known["reason"]
    return fields


def _samples(rule: Rule, mapping: CollectionMapping) -> Iterator[Sample]:
    """What the rule's examples send."""
    for example in rule.examples:
        if isinstance(example.sends, dict):
            user_id = seen_in(example, mapping.viewpoint).user_id
            yield Sample(user_id=user_id, data=dated(example.sends), place=example.place)


def _distinct(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Each data once, and at least one sample, be it an empty one: a rule need not have examples."""
    kept: list[Sample] = []
    for sample in samples or [Sample(user_id=None, data={})]:
        if all(sample.data != other.data for other in kept):
            kept.append(sample)
    return tuple(kept)
