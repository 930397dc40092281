"""Wrong shapes in plain words: what stands there, what should, and how to write it."""

from __future__ import annotations

import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from watcher.config.report import Report
from watcher.config.shapes import EndpointShape, FileShape, Shape, WatcherShape, WebhooksShape
from watcher.config.values import did_you_mean
from watcher.config.yaml_positions import Path


def shape_of(tree: Mapping[str, Any], report: Report, *, own_events: Collection[str]) -> FileShape:
    """The tree as a shape. What does not fit is reported, spoiled, and left out of the shape.

    `own_events`: names that may be subscribed to because the operator's mapping files send them."""
    try:
        return FileShape.model_validate(tree, context=own_events)
    except ValidationError as error:
        details = error.errors(include_url=False)

    for detail in details:
        path = _path_of(detail)
        if not report.told(path):
            report.add(path, *_told(detail, path))
    fitting = dict(tree)
    for whole in {_setting(_path_of(detail)) for detail in details}:
        report.spoil(whole)
        fitting = _without(fitting, whole, leaving=ANY_EVENT if _is_filter(whole) else {})
    return FileShape.model_validate(fitting, context=own_events)


def _setting(path: Path) -> Path:
    """The whole setting that a wrong place inside it spoils: `webhooks.endpoints[0].filters`."""
    for length in (3, 5):
        if _is_filter(path[:length]):
            return path[:length]
    return path[:4] if path[:2] == ("webhooks", "endpoints") else path[:2]


ANY_EVENT = {"event": "*", "condition": {}}
"""Stands for a wrong filter, so that what is wrong in the conditions of others is told as well."""


def _is_filter(path: Path) -> bool:
    return path[0] == "webhooks" and len(path) in (3, 5) and path[-2] == "filters"


def _without(tree: Any, path: Path, *, leaving: Mapping[str, Any]) -> Any:
    """The tree without one value; a list's item becomes another, so that the others keep their place."""
    step, *deeper = path
    if isinstance(tree, list):
        return [
            (_without(item, tuple(deeper), leaving=leaving) if deeper else leaving) if index == step else item
            for index, item in enumerate(tree)
        ]
    if not deeper:
        return {key: value for key, value in tree.items() if key != step}
    if step not in tree:
        return tree
    return {**tree, step: _without(tree[step], tuple(deeper), leaving=leaving)}


# --- words ------------------------------------------------------------------------------------------------


def _path_of(detail: ErrorDetails) -> Path:
    return tuple(detail["loc"])


def _told(detail: ErrorDetails, path: Path) -> tuple[str, str]:
    """What is wrong, and the cure."""
    context, value = detail.get("ctx", {}), detail["input"]
    kind = detail["type"]
    if kind == "extra_forbidden":
        return "unknown key", _known_instead(path)
    if kind == "missing":
        return "is missing", "write it; docs/OPERATING.md shows an example"
    if value is None:
        return "is empty", "give it a value, or remove the key"
    match kind:
        case "watcher":
            return context["what"], context["cure"]
        case "literal_error":
            return _not_a_choice(context["expected"], value)
        case "string_type" if isinstance(value, bool):
            return (
                "must be text, not true or false",
                "put it in quotes: without them YAML reads yes, no, on, off, true and false as true or false",
            )
        case "string_type" if isinstance(value, int | float):
            return "must be text, not a number", "put it in quotes"
        case "string_type":
            return f"must be text, not {_kind(value)}", "write one word or text behind the colon"
        case "int_type":
            return f"must be a whole number, not {_kind(value)}", "write digits only, without quotes"
        case "float_type":
            return f"must be a number, not {_kind(value)}", "write digits, without quotes"
        case "bool_type":
            return f"must be true or false, not {_kind(value)}", "write true or false, without quotes"
        case "list_type":
            return f"must be a list, not {_kind(value)}", "write [one, two], or one line with `- ` for each"
        case "model_type" | "dict_type":
            return f"must be a mapping, not {_kind(value)}", "write `key: value` lines, indented below it"
        case "too_short":
            return "the list is empty", "name at least one, or remove the key"
        case "too_long":
            return f"has more than {context['max_length']} items", "write fewer"
        case "greater_than":
            return f"must be greater than {context['gt']:.15g}", "correct the number"
        case "greater_than_equal":
            return f"must be at least {context['ge']:.15g}", "correct the number"
        case "less_than_equal":
            return f"must be at most {context['le']:.15g}", "correct the number"
        case _:
            return "has a value of the wrong kind", "docs/OPERATING.md shows what it may be"


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "this number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _not_a_choice(expected: str, value: Any) -> tuple[str, str]:
    choices = [word for word in expected.split("'") if word not in ("", ", ", " or ")]
    meant = did_you_mean(value, choices) if isinstance(value, str) else None
    cure = f"did you mean `{meant}`?" if meant else "write one of these words"
    return f"must be {expected.replace(chr(39), '')}", cure


def _known_instead(path: Path) -> str:
    key, holders = str(path[-1]), path[:-1]
    known = list(_keys(_shape_at(holders)))
    for section, shape in (("webhooks", WebhooksShape), ("watcher", WatcherShape)):
        if section not in holders and key in _keys(shape):
            return f"it belongs under `{section}:`"
    if _shape_at(holders) is EndpointShape and key in _keys(WebhooksShape):
        return "it belongs to the top of `webhooks:`, not to one endpoint"
    if meant := did_you_mean(key, known):
        return f"did you mean `{meant}`?"
    return f"remove it; known here: {', '.join(known)}"


def _keys(shape: type[Shape]) -> Iterator[str]:
    return (str(field.alias) for field in shape.model_fields.values())


def _shape_at(path: Path) -> type[Shape]:
    """The shape whose keys stand below a path."""
    shape: type[Shape] = FileShape
    for step in path:
        for field in shape.model_fields.values():
            if field.alias == step:
                shape = _shape_in(field.annotation)
    return shape


def _shape_in(annotation: Any) -> type[Shape]:
    inner: type[Shape] = next(iter(typing.get_args(annotation)), annotation)
    return inner
