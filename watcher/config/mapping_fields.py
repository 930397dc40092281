"""The `fields:` of a mapping file: what the fields are that its rules send, as JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watcher.config.mapping_words import Words
from watcher.config.yaml_positions import Path
from watcher.core.schemas import Field

KEYWORDS = (
    "type",
    "description",
    "enum",
    "const",
    "format",
    "pattern",
    "items",
    "properties",
    "required",
    "additionalProperties",
)
"""Enough to say what a value is. Other keywords are taken for slips of the pen."""

TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")


def read_fields(top: Mapping[str, Any], words: Words) -> dict[str, Field]:
    """The fields that a file describes."""
    raw = top.get("fields", {})
    if not isinstance(raw, dict):
        cure = "write `fields:` and below it `title: {type: string, description: …}`"
        words.report.add(("fields",), "must be a mapping", cure)
        return {}
    return {name: _field(each, ("fields", name), words) for name, each in raw.items()}


def _field(raw: Any, path: Path, words: Words) -> Field:
    _check(raw, path, words, keywords=("always", *KEYWORDS))
    if not isinstance(raw, dict):
        return Field(schema={})
    schema = {keyword: value for keyword, value in raw.items() if keyword != "always"}
    return Field(schema=schema, always=words.flag(raw, path, "always"))


def _check(raw: Any, path: Path, words: Words, *, keywords: tuple[str, ...] = KEYWORDS) -> None:
    """Tell what is no schema, in it and in the schemas that it is made of."""
    schema = words.keys(raw, path, keywords)
    if schema is None:
        return
    words.text(schema, path, "description")
    kinds = schema.get("type", [])
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if kind is None:
            words.report.add((*path, "type"), "null without quotes is no word", 'write "null", in quotes')
        else:
            words.choice({"type": kind}, path, "type", TYPES)
    for keyword in ("enum", "required"):
        if not isinstance(schema.get(keyword, []), list):
            words.report.add((*path, keyword), "must be a list", f"write `{keyword}: [one, another]`")
    if "items" in schema:
        _check(schema["items"], (*path, "items"), words)
    if isinstance(schema.get("additionalProperties"), dict):
        _check(schema["additionalProperties"], (*path, "additionalProperties"), words)
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        words.report.add((*path, "properties"), "must be a mapping", "write `properties: {name: {…}}`")
        return
    for name, each in properties.items():
        _check(each, (*path, "properties", name), words)
