"""Expressions: how a mapping says where a field's value comes from. Compiled once, to closures.

    row.title                            a path into the view; missing or null: the field is left out
    {first: [row.text, …]}               the first that is neither missing, null nor ""; else "" if one was ""
    {texts: row.content}                 the text parts of a message's content, joined as LibreChat joins them
    {pick: [rating, tag], of: row.x}     an object with just these names; null if the whole is missing or null
    {each: row.files, pick: [file_id]}   the same for each object of a list
    {literal: value}                     always this

The law: an expression takes whole values by name and never raises, whatever a document holds."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from watcher.core.views import NAMES, View

Expression = Callable[[View], Any]
"""The value for a view: None to leave the field out, `NULL` to send null."""

NULL: Final = object()
"""A null that is sent: what a person cleared."""


class RowField:
    """An expression for one top-level field of the row, as most of them are. Who asks for many may as well
    take `name` from the row itself."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, view: View) -> Any:
        return view["row"].get(self.name)


FORMS = ("first", "texts", "pick", "each", "literal")


class BadExpression(Exception):
    """An expression that means nothing: where inside it, what is wrong, and the cure."""

    def __init__(self, path: tuple[str | int, ...], what: str, cure: str) -> None:
        self.path, self.what, self.cure = path, what, cure
        super().__init__(what)


def compile_expression(raw: Any, at: tuple[str | int, ...] = ()) -> Expression:
    """The closure for an expression as YAML gives it. Raises BadExpression."""
    match raw:
        case str():
            return _path(raw, at)
        case {"first": list(choices), **rest} if not rest and choices:
            return _first([compile_expression(each, (*at, "first", i)) for i, each in enumerate(choices)])
        case {"texts": source, **rest} if not rest:
            return _texts(compile_expression(source, (*at, "texts")))
        case {"pick": names, "of": source, **rest} if not rest:
            return _pick(_names(names, at), compile_expression(source, (*at, "of")))
        case {"each": source, "pick": names, **rest} if not rest:
            return _each(compile_expression(source, (*at, "each")), _names(names, at))
        case {"literal": value, **rest} if not rest:
            return lambda view: NULL if value is None else value
        case _:
            raise BadExpression(at, "not an expression", f"write a path, or one of: {', '.join(FORMS)}")


def check_path(path: str, at: tuple[str | int, ...] = ()) -> None:
    """Raise BadExpression for a path that begins with no name of the view."""
    root, _, rest = path.partition(".")
    if root in NAMES and path.split(".").count("") == 0:
        return
    close = difflib.get_close_matches(root, NAMES, n=1, cutoff=0.75)
    meant = ".".join([close[0], rest] if rest else [close[0]]) if close else f"row.{path}"
    cure = f"a change has: {', '.join(NAMES)} — did you mean `{meant}`?"
    raise BadExpression(at, f"unknown field `{path}`", cure)


def paths_in(raw: Any) -> Iterator[str]:
    """Every path whose value an expression can send."""
    match raw:
        case str():
            yield raw
        case {"pick": list(names), "of": source} | {"pick": list(names), "each": source}:
            yield from (f"{path}.{name}" for path in paths_in(source) for name in names)
        case {"first": list(choices)}:
            for choice in choices:
                yield from paths_in(choice)
        case {"texts": source}:
            yield from paths_in(source)
        case _:
            return


def _names(raw: Any, at: tuple[str | int, ...]) -> tuple[str, ...]:
    if isinstance(raw, list) and raw and all(isinstance(name, str) for name in raw):
        return tuple(raw)
    raise BadExpression((*at, "pick"), "must be a list of names", "write `pick: [name, name]`")


def _path(path: str, at: tuple[str | int, ...]) -> Expression:
    check_path(path, at)
    root, *names = path.split(".")
    match names:
        case []:
            return lambda view: view.get(root)
        case [name] if root == "row":
            return RowField(name)
        case _:
            return lambda view: _walk(view.get(root), names)


def _walk(value: Any, names: Sequence[str]) -> Any:
    for index, name in enumerate(names):
        if isinstance(value, dict):
            # MongoDB writes `tags.0` as one key of an update.
            whole = ".".join(names[index:])
            if whole in value:
                return value[whole]
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def _first(choices: Sequence[Expression]) -> Expression:
    def first(view: View) -> Any:
        best = None
        for choice in choices:
            value = choice(view)
            if value is None or value is NULL:
                continue
            if not isinstance(value, str) or value:
                return value
            best = ""
        return best

    return first


def _texts(source: Expression) -> Expression:
    def texts(view: View) -> str | None:
        parts = source(view)
        if not isinstance(parts, list):
            return None
        joined = ""
        for text in filter(None, map(_text_of, parts)):
            gap = " " if joined and joined[-1] != " " and text[0] != " " else ""
            joined += gap + text
        return joined

    return texts


def _text_of(part: Any) -> str:
    """The text of a content part, as LibreChat's `parseTextParts` reads it: `text`, or `text.value`."""
    if not isinstance(part, dict) or part.get("type") != "text":
        return ""
    text = part.get("text")
    value = text.get("value") if isinstance(text, dict) else text
    return value if isinstance(value, str) else ""


def _pick(names: Sequence[str], source: Expression) -> Expression:
    def pick(view: View) -> Any:
        whole = source(view)
        if whole is None:
            return NULL
        return _only(names, whole) if isinstance(whole, dict) else None

    return pick


def _each(source: Expression, names: Sequence[str]) -> Expression:
    def each(view: View) -> Any:
        items = source(view)
        if not isinstance(items, list):
            return None
        return [_only(names, item) for item in items if isinstance(item, dict)]

    return each


def _only(names: Sequence[str], whole: dict[str, Any]) -> dict[str, Any]:
    return {name: whole[name] for name in names if name in whole}
