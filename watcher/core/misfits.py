"""Misfits: what of a filter's condition cannot be meant: no event that it judges has such a field or value.

    {isCreatedByUser: "false"}    a text, and the field is never one

The law: only what the events' schemas say for sure is told. A field that they leave open may be anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from watcher.core.conditions import LOGICAL
from watcher.core.endpoints import Endpoint, Filter
from watcher.core.events import EventType, subscribes
from watcher.core.matching import ARRAYS, ORDERS
from watcher.core.schemas import Field, Fields, Known, Schema, schemas_at

USER: Fields = {"userId": Field(schema={"type": ["string", "null"]})}
"""Filters find the body's `userId` beside the fields of `data`."""

NAMES = {
    "string": "a text",
    "time": "a time",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """One of them. Never tells a value: it may come from the environment."""

    pattern: str
    """The filter's `event`."""
    what: str
    cure: str


def misfits(endpoint: Endpoint, fields: Mapping[EventType, Fields]) -> tuple[Misfit, ...]:
    """Of all filters of an endpoint, each once."""
    found = (each for sieve in endpoint.filters for each in _misfits(sieve, endpoint, fields))
    return tuple(dict.fromkeys(found))


def _misfits(sieve: Filter, endpoint: Endpoint, fields: Mapping[EventType, Fields]) -> Iterator[Misfit]:
    judged = [
        {**each, **USER}
        for event, each in fields.items()
        if endpoint.subscribes(event) and subscribes(sieve.pattern, event)
    ]
    if judged:  # else an inherited one, about events of others
        for what, cure in _of(sieve.condition, judged, Known.of(*judged)):
            yield Misfit(pattern=sieve.pattern, what=what, cure=cure)


_Told = Iterator[tuple[str, str]]


def _of(condition: Mapping[str, Any], judged: Sequence[Fields], known: Known) -> _Told:
    for key, value in condition.items():
        if key in LOGICAL:
            for part in value:
                yield from _of(part, judged, known)
            continue
        names = [name for name in key.split(".") if not name.isdecimal()]
        if not known.leads(".".join(names)):
            close = get_close_matches(key, sorted(known.paths), n=1, cutoff=0.6)
            meant = (
                f"Did you mean {close[0]}?" if close else "`librechat-watcher events NAME` shows the fields."
            )
            yield f"no event that it judges has a field {key}", meant
            continue
        schemas = [schema for fields in judged for schema in schemas_at(fields, names)]
        if all(map(_is_described, schemas)):
            yield from _tests(key, value, schemas)


def _is_described(schema: Schema) -> bool:
    return bool(_kinds(schema))


def _tests(field: str, value: Any, schemas: Sequence[Schema]) -> _Told:
    """Of what a field must meet: operators, or a value that it equals."""
    if not (isinstance(value, Mapping) and any(key.startswith("$") for key in value)):
        yield from _equal(field, value, schemas)
        return
    for operator, argument in value.items():
        match operator:
            case "$eq" | "$ne":
                yield from _equal(field, argument, schemas)
            case "$in" | "$nin":
                if not argument and operator == "$in":
                    yield f"{field} is one of no values, which holds for none", "Put values into the list."
                for each in argument:
                    yield from _equal(field, each, schemas)
            case "$not":
                yield from _tests(field, argument, schemas)
            case "$regex":
                yield from _fitting(field, "", schemas)
            case _ if operator in ORDERS:
                if argument != argument:
                    yield (
                        f"{field} is compared with .nan, which no number is in order with",
                        "Write a number.",
                    )
                else:
                    yield from _fitting(field, argument, schemas)


def _equal(field: str, value: Any, schemas: Sequence[Schema]) -> _Told:
    told = list(_fitting(field, value, schemas))
    yield from told
    choices = [schema.get("enum", [schema["const"]] if "const" in schema else None) for schema in schemas]
    if told or not isinstance(value, str) or any(each is None for each in choices):
        return
    known = sorted({str(choice) for each in choices for choice in each or ()})
    if value not in known:
        yield f"{field} is never this text", f"It is one of {', '.join(known)}."


def _fitting(field: str, value: Any, schemas: Sequence[Schema]) -> _Told:
    """Is the value of a kind that the field may have?"""
    if value is None:
        return  # what is missing is equal to it, too
    there = {kind for schema in schemas for kind in _kinds(schema)} - {"null"}
    kind = _kind(value)
    if kind in there or (kind == "string" and there == {"time"} and value == ""):
        return
    kinds = ", or ".join(NAMES[each] for each in NAMES if each in there)
    yield f"{field} is compared with {NAMES[kind]}, and is never one: it is {kinds}", _cure(value, there)


def _cure(value: Any, there: set[str]) -> str:
    if isinstance(value, str) and "boolean" in there and value.lower() in ("true", "false"):
        return f"Write {value.lower()} without quotes."
    if isinstance(value, str) and "number" in there:
        return "Write a number, without quotes."
    if isinstance(value, str) and "boolean" in there:
        return "Write true or false, without quotes."
    if not isinstance(value, str) and "string" in there and not isinstance(value, (Mapping, *ARRAYS)):
        return "Put it in quotes."
    return "Compare it with such a value."


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case datetime():
            return "time"
        case Mapping():
            return "object"
        case list() | tuple():
            return "array"
        case _:
            return "string"


def _kinds(schema: Schema) -> set[str]:
    """Of the values that a schema describes; empty where that is not said."""
    if "type" not in schema:
        said = schema.get("enum", [schema["const"]] if "const" in schema else [])
        return {_kind(each) for each in said if each is not None}
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    found = {"number" if kind == "integer" else kind for kind in kinds}
    if schema.get("format") == "date-time":
        found.add("time")  # a date in the row is one here; elsewhere it is a text that tells one
    return found
