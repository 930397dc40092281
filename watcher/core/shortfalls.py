"""Shortfalls: what of a condition does not hold for a document, part by part, as it was written.

The law: there is one exactly where the condition says no, since what compiles the whole compiles the parts.
What stands in the document is told by its kind only: it may be anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from watcher.core.changes import Document
from watcher.core.conditions import compile_condition
from watcher.core.encoding import encode
from watcher.core.matching import ARRAYS, MISSING, finder


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """One part that does not hold."""

    part: Mapping[str, Any]
    """As written: `{model: {$in: [gpt-4o]}}`. Of `$nor`, only those that hold and should not."""
    found: str | None = None
    """What kind of value stands at its field; None for `$or` and `$nor`."""
    alternatives: tuple[tuple[Shortfall, ...], ...] = ()
    """Of `$or`: what is missing in each."""


def shortfalls(condition: Mapping[str, Any], document: Document) -> tuple[Shortfall, ...]:
    """Everything of a condition that compiles that does not hold for the document.

    >>> shortfalls({"model": "o1", "text": {"$exists": True}}, {"text": "hi"})
    (Shortfall(part={'model': 'o1'}, found='missing', alternatives=()),)
    """
    return tuple(each for key, value in condition.items() for each in _of(key, value, document))


def in_lines(shortfall: Shortfall) -> Iterator[str]:
    """In words. Nothing of the document is in them."""
    if shortfall.found is not None:
        yield f"✗ {_part(shortfall.part)}   (it is {shortfall.found})"
    elif "$nor" in shortfall.part:
        yield "✗ $nor: these hold, and must not"
        for part in shortfall.part["$nor"]:
            yield f"    {_part(part)}"
    else:
        yield "✗ $or: none of these holds"
        for number, alternative in enumerate(shortfall.alternatives, start=1):
            lines = list(chain.from_iterable(map(in_lines, alternative)))
            yield f"    {number}. {lines[0]}"
            yield from (f"       {line}" for line in lines[1:])


def _part(part: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {encode(value).decode()}" for name, value in part.items())


def _of(key: str, value: Any, document: Document) -> Iterator[Shortfall]:
    if _holds({key: value}, document):
        return
    match key:
        case "$and":
            for part in value:
                yield from shortfalls(part, document)
        case "$or":
            alternatives = tuple(shortfalls(part, document) for part in value)
            yield Shortfall(part={key: value}, alternatives=alternatives)
        case "$nor":
            yield Shortfall(part={key: [part for part in value if _holds(part, document)]})
        case _:
            found = _kind(finder(key)(document))
            for test in _tests(value):
                if not _holds({key: test}, document):
                    yield Shortfall(part={key: test}, found=found)


def _holds(condition: Mapping[str, Any], document: Document) -> bool:
    return compile_condition(condition)(document)


def _tests(value: Any) -> Sequence[Any]:
    """What a field must meet, each alone."""
    if not isinstance(value, Mapping) or not any(key.startswith("$") for key in value):
        return [value]
    beside = {"$options": value["$options"]} if "$options" in value else {}
    return [
        {key: argument} | (beside if key == "$regex" else {})
        for key, argument in value.items()
        if key != "$options"
    ]


def _kind(found: Sequence[Any]) -> str:
    """What a path led to, in a word: the first of its ends that is there (of an array, the whole)."""
    there = next((each for each in found if each is not MISSING), MISSING)
    match there:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text" if there else "an empty text"
        case datetime():
            return "a date"
        case Mapping():
            return "an object"
        case _:
            return "a list" if isinstance(there, ARRAYS) else "missing"
