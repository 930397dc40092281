"""A Rehearsal: does what an operator wrote of an endpoint's bodies and address fit the events that it gets?

Asked by `check`, of the catalogue's samples: before the first real event finds out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from watcher.core.catalogue import CatalogueEntry, Sample
from watcher.core.endpoints import Endpoint
from watcher.core.events import Event, EventType
from watcher.core.forms import Failed, Transform
from watcher.core.planning import owed
from watcher.core.privacy import TEXT, TEXT_LENGTH
from watcher.core.requests import address_of
from watcher.core.samples import sample_event
from watcher.core.schemas import Field, Fields, Known, Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A field that a template reads, and that no event of the endpoint has."""

    path: str
    """From `data`."""
    hidden: bool
    """There is one, but the endpoint is not told it."""
    meant: str | None
    """What it may have been meant to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What would go wrong."""

    unknown: tuple[Unknown, ...]
    failing: Mapping[str, tuple[EventType, ...]]
    """Why no request can be made of a sample, and of which events' samples: not of one of them."""
    missing: Mapping[str, tuple[EventType, ...]]
    """Paths from `data` that may be missing from these events, of which no request can be made then."""
    mute: bool
    """There is no event of which it can be told anything."""


def rehearse(
    endpoint: Endpoint, entries: Sequence[CatalogueEntry], fields: Mapping[EventType, Fields]
) -> Rehearsal | None:
    """Try the endpoint's templates; None where it has none."""
    reads = list(endpoint.form.reads) if isinstance(endpoint.form, Transform) else []
    reads += endpoint.addressing.reads if endpoint.addressing is not None else ()
    if not reads and not isinstance(endpoint.form, Transform) and endpoint.addressing is None:
        return None
    heard = [entry for entry in entries if endpoint.subscribes(entry.event)]
    there = Known.of(*(fields[entry.event] for entry in heard))
    told = there if endpoint.privacy is None else Known(endpoint.privacy.shown(there.paths))
    ready = isinstance(endpoint.form, Transform) and endpoint.form.name != "transform"
    # A ready-made one asks for whatever any event has, and does without it.
    asked = [] if ready else [path for path in dict.fromkeys(reads) if not told.leads(path)]

    failing: dict[str, tuple[EventType, ...]] = {}
    missing: dict[str, tuple[EventType, ...]] = {}
    unsure = False
    rehearsed = _heard(endpoint, heard, fields)
    for entry, events in rehearsed:
        reasons = [failure(each, endpoint) for each in events]
        if None not in reasons:
            reason = next(filter(None, reasons))
            failing[reason] = (*failing.get(reason, ()), entry.event)
            unsure = unsure or not _is_described(reads, fields[entry.event])
        elif not ready:
            good = events[reasons.index(None)]
            for path in dict.fromkeys(reads):
                if not told.leads(path):
                    continue
                if any(
                    _fails(each, endpoint) for each in _without(good, path, fields[entry.event], endpoint)
                ):
                    missing[path] = (*missing.get(path, ()), entry.event)
    return Rehearsal(
        unknown=tuple(
            _unknown(path, told, there)
            for path in asked
            if not any(path.startswith(f"{holder}.") for holder in asked)
        ),
        failing=failing,
        missing={
            path: events
            for path, events in missing.items()
            if not any(longer.startswith(f"{path}.") for longer in missing)
        },
        mute=bool(rehearsed) and len(rehearsed) == sum(map(len, failing.values())) and not unsure,
    )


def failure(event: Event, endpoint: Endpoint) -> str | None:
    """Why no request can be made of the event; None: it can."""
    delivery = owed(event, endpoint)
    if delivery.refused is not None:
        return delivery.refused.removesuffix(f" (event {event.type})")
    address = address_of(delivery, endpoint)
    return address.reason if isinstance(address, Failed) else None


def _fails(event: Event, endpoint: Endpoint) -> bool:
    return endpoint.wants(event) and failure(event, endpoint) is not None


def _unknown(path: str, told: Known, there: Known) -> Unknown:
    close = get_close_matches(path, sorted(told.paths), n=1, cutoff=0.6)
    return Unknown(path=path, hidden=there.leads(path), meant=close[0] if close else None)


# --- what is tried ----------------------------------------------------------------------------------------


def _heard(
    endpoint: Endpoint, entries: Sequence[CatalogueEntry], fields: Mapping[EventType, Fields]
) -> Sequence[tuple[CatalogueEntry, Sequence[Event]]]:
    """The events that its filters let pass; all, where they may be meant for what no sample has."""
    heard = [(entry, list(_events(entry, fields[entry.event], endpoint))) for entry in entries]
    passing = [(entry, [each for each in events if endpoint.wants(each)]) for entry, events in heard]
    return [each for each in passing if each[1]] or heard


def _events(entry: CatalogueEntry, fields: Fields, endpoint: Endpoint) -> Iterator[Event]:
    """With every field that it may have, as simple filters want them; and as its examples have it."""
    data = {name: stand_in(field.schema) for name, field in fields.items()}
    for each in reversed(entry.samples):
        data |= {name: value for name, value in each.data.items() if value is not None}
    for sieve in endpoint.filters_of(entry.event):
        data |= {name: value for name, value in _wanted(sieve.condition) if name in data}
    user_id = next((each.user_id for each in entry.samples if each.user_id is not None), None)
    for told in (Sample(user_id=user_id, data=data), *entry.samples):
        yield sample_event(entry, told=told)


def _wanted(condition: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Values that fields must have."""
    for name, value in condition.items():
        match value:
            case str() | int() | float():
                yield name, value
            case {"$eq": wanted} | {"$in": [wanted, *_]}:
                yield name, wanted


def stand_in(schema: Schema) -> Any:
    """A value that fits the schema.

    >>> stand_in({"type": "object", "properties": {"bytes": {"type": "integer"}}}), stand_in({})
    ({'bytes': 1}, 'text')
    """
    if "anyOf" in schema:
        return stand_in(schema["anyOf"][0])
    if "const" in schema or "enum" in schema:
        return schema.get("const", next(iter(schema.get("enum", [None]))))
    kinds = schema.get("type", "string")
    match kinds if isinstance(kinds, str) else next(kind for kind in kinds if kind != "null"):
        case "object":
            return {name: stand_in(each) for name, each in schema.get("properties", {}).items()}
        case "array":
            return [stand_in(schema.get("items", {}))]
        case "number" | "integer":
            return 1
        case "boolean":
            return True
        case _:
            return "2026-01-01T12:00:00.000Z" if schema.get("format") == "date-time" else "text"


def _is_described(reads: Sequence[str], fields: Fields) -> bool:
    """Is it known of all that the templates read what it is?"""
    return all(fields[name].schema for path in reads if (name := path.partition(".")[0]) in fields)


def _without(event: Event, path: str, fields: Fields, endpoint: Endpoint) -> Iterator[Event]:
    """The event without what may be missing of the path, and with null where that may be."""
    names = path.split(".")
    if endpoint.privacy is not None and endpoint.privacy.text_length and names[-1] == TEXT_LENGTH:
        names[-1] = TEXT
    field: Field | None = fields.get(names[0])
    for place in range(1, len(names) + 1):
        if field is None:
            return
        if not field.always:
            yield replace(event, data=_cut(event.data, names[:place]))
        if place < len(names):
            if "null" in field.schema.get("type", ()):
                yield replace(event, data=_cut(event.data, names[:place], by={names[place - 1]: None}))
            field = _inner(field.schema, names[place])


def _inner(schema: Schema, name: str) -> Field | None:
    """A field inside of an object. Of what is in lists nothing is told: they may as well be empty."""
    inner = schema.get("properties", {}).get(name)
    return None if inner is None else Field(schema=inner, always=name in schema.get("required", ()))


def _cut(data: Any, names: Sequence[str], *, by: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """The data without what a path leads to, or with something else there."""
    name, *deeper = names
    if not isinstance(data, Mapping) or name not in data:
        return data
    if deeper:
        return {**data, name: _cut(data[name], deeper, by=by)}
    return {other: value for other, value in data.items() if other != name} | dict(by)
