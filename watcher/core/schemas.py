"""Schemas: what a receiver may rely on in the body of each event, as JSON Schema (2020-12).

The type and meaning of a field are said in one place: under `fields:` of the mapping file that sends it,
or here where a field means the same in every event. A field of which nothing is said may be anything.

The law: a schema describes what LibreChat writes. A row that something else damaged is sent as it is all the
same, rather than not at all, and may not fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, get_args

from watcher.core.events import EventType, Reason
from watcher.core.requests import BATCH

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What one field of `data` is."""

    schema: Schema
    """With its `description`: one line. Empty where nothing is known."""
    always: bool = False
    """In every event that may have it."""

    @property
    def meaning(self) -> str:
        return str(self.schema.get("description", ""))


Fields = Mapping[str, Field]

SHARED: Fields = {
    "tenantId": Field(schema={"type": "string", "description": "The tenant, where there are several."}),
    "changed": Field(
        schema={
            "type": "array",
            "items": {"type": "string"},
            "description": "LibreChat's names of what changed, sorted; left out where that cannot be known.",
        },
    ),
    "reason": Field(
        schema={
            "type": "string",
            "enum": list(get_args(Reason)),
            "description": "Why it is gone; left out where that cannot be known.",
        }
    ),
}
"""What means the same in the events of every collection."""

ADDED: Fields = {
    "truncated": Field(
        schema={
            "type": "array",
            "items": {"type": "string"},
            "description": "Paths of what was cut or left out because the body would be over 1 MB.",
        }
    ),
    "recovered": Field(
        schema={"const": True, "description": "Found after the stored position in MongoDB's stream was lost."}
    ),
}
"""What the program itself may add to the data of any event."""


@dataclass(frozen=True, slots=True)
class Known:
    """The fields that some events may have, by their paths from `data`. Lists take no step of their own."""

    paths: frozenset[str]
    """`feedback.*`: what is below is not described, and may be anything."""

    @classmethod
    def of(cls, *several: Fields) -> Self:
        return cls(frozenset(path for fields in several for path in _paths(fields)))

    @property
    def names(self) -> frozenset[str]:
        """The last names of the paths: what a field is called, wherever it is."""
        return frozenset(path.rpartition(".")[2] for path in self.paths) - {"*"}

    def has(self, name: str) -> bool:
        """A bare name: somewhere; a path: just there."""
        return self.leads(name) if "." in name else name in self.names

    def leads(self, path: str) -> bool:
        """Does the path from `data` lead to something?"""
        holders = (path[:place] for place, letter in enumerate(path) if letter == ".")
        return path in self.paths or any(f"{holder}.*" in self.paths for holder in holders)


def schemas_at(fields: Fields, names: Sequence[str]) -> Iterator[Schema]:
    """What a path from `data` may lead to. Lists take no step of their own; what is in them counts as well.

    Empty where nothing is said, and where the path leads nowhere there is none."""
    if names and names[0] in fields:
        yield from _within(fields[names[0]].schema, names[1:])


def nullable(field: Field) -> Field:
    """The field where its new value is told, which null may be: what was unset is told as well."""
    kinds = field.schema.get("type")
    if kinds is None or "null" in kinds:
        return field
    return replace(field, schema={**field.schema, "type": [*_listed(kinds), "null"]})


def either(one: Fields, other: Fields) -> Fields:
    """The fields of an event that comes with these or with those."""
    sometimes = {name: replace(field, always=False) for name, field in {**one, **other}.items()}
    return sometimes | {name: _either(one[name], other[name]) for name in one if name in other}


def body_schema(event: EventType, fields: Fields, *, summary: str) -> Schema:
    """The schema of an event's whole body."""
    return _envelope(event, _data(fields), summary, user={"type": ["string", "null"]})


def batch_schema(members: Iterable[Schema]) -> Schema:
    """The schema of the body that carries others, given theirs (or references to them)."""
    events = {"type": "array", "minItems": 1, "items": {"oneOf": list(members)}}
    data = {
        "type": "object",
        "properties": {"events": {**events, "description": "The bodies, each as it would go alone."}},
        "required": ["events"],
        "additionalProperties": False,
    }
    return _envelope(BATCH, data, BATCH_SUMMARY, user={"type": "null"})


BATCH_SUMMARY = "Several waiting events in one request, where an endpoint's `batchSize` is over 1."


def kind_of(schema: Schema) -> str:
    """The kind of value in words.

    >>> kind_of({"type": ["array", "null"], "items": {"type": "string"}}), kind_of({})
    ('array of string, or null', 'anything')
    """
    if "anyOf" in schema:
        return ", or ".join(dict.fromkeys(kind_of(choice) for choice in schema["anyOf"]))
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if "const" in schema:
        return str(schema["const"]).lower()
    kinds = [_kind(kind, schema) for kind in _listed(schema.get("type", []))]
    return ", or ".join(kinds) or "anything"


def _kind(kind: str, schema: Schema) -> str:
    if kind == "array" and "items" in schema:
        return f"array of {kind_of(schema['items'])}"
    if kind == "object" and "properties" in schema:
        return f"object with {', '.join(schema['properties'])}"
    return "time" if kind == "string" and schema.get("format") == "date-time" else kind


def _paths(fields: Fields) -> Iterator[str]:
    for name, field in fields.items():
        yield name
        yield from (f"{name}.{below}" for below in _below(field.schema))


def _below(schema: Schema) -> Iterator[str]:
    for choice in schema.get("anyOf", ()):
        yield from _below(choice)
    kinds = _listed(schema.get("type", ["object", "array"]))
    if "object" in kinds and "anyOf" not in schema:
        for name, each in schema.get("properties", {}).items():
            yield name
            yield from (f"{name}.{below}" for below in _below(each))
        if schema.get("additionalProperties", "properties" not in schema):
            yield "*"
    if "array" in kinds and isinstance(schema.get("items"), dict):
        yield from _below(schema["items"])


def _within(schema: Schema, names: Sequence[str]) -> Iterator[Schema]:
    if "anyOf" in schema:
        for choice in schema["anyOf"]:
            yield from _within(choice, names)
        return
    kinds = _listed(schema.get("type", ["object", "array"]))
    if not names:
        yield schema
    elif "object" in kinds:
        if names[0] in schema.get("properties", {}):
            yield from _within(schema["properties"][names[0]], names[1:])
        elif schema.get("additionalProperties", "properties" not in schema):
            yield {}
    if "array" in kinds and ("type" in schema or "items" in schema):
        items = schema.get("items", {})
        yield from _within(items if isinstance(items, dict) else {}, names)


def _listed(kinds: Any) -> list[str]:
    return kinds if isinstance(kinds, list) else [kinds]


def _either(one: Field, other: Field) -> Field:
    always = one.always and other.always
    if one.schema == other.schema:
        return replace(one, always=always)
    return Field(schema={"anyOf": [one.schema, other.schema], "description": one.meaning}, always=always)


def _data(fields: Fields) -> Schema:
    return {
        "type": "object",
        "properties": {name: field.schema for name, field in {**fields, **ADDED, **fields}.items()},
        "required": [name for name, field in fields.items() if field.always],
        "additionalProperties": False,
    }


def _envelope(event: EventType, data: Schema, summary: str, *, user: Schema) -> Schema:
    properties = {
        "event": {"const": event},
        "timestamp": {
            "type": "string",
            "format": "date-time",
            "description": "When it happened: UTC, with milliseconds.",
        },
        "data": data,
        "userId": {**user, "description": "Who it is about; null where nobody is known."},
        "webhookId": {
            "type": "string",
            "pattern": "^webhook_",
            "description": "The same whenever this event is sent again: repeats can be dropped by it.",
        },
    }
    return {
        "title": event,
        "description": summary,
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
