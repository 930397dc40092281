"""Filters, as Jinja has them, over plain values, within a budget."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Mapping
from functools import cmp_to_key
from typing import Any

from watcher.config.templates import escapes
from watcher.config.templates.arguments import Word, a_mapping, a_number, a_sized, a_whole, as_text, made
from watcher.config.templates.budget import Budget, CannotFill
from watcher.config.templates.operators import add
from watcher.config.templates.plain import (
    Group,
    Missing,
    in_order,
    inside,
    is_number,
    items_of,
    json_of,
    key_of,
    need,
    number,
    text_of,
)

_LONGEST_NUMBER = 400
"""Letters of a text that may be a number: the largest one has 309 digits."""


def default(budget: Budget, value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    """The one filter to which something missing may be given."""
    return default_value if isinstance(value, Missing) or (boolean and not value) else value


def length(budget: Budget, value: Any) -> int:
    return len(a_sized(value, "length"))


def upper(budget: Budget, value: Any) -> str:
    return made(str.upper, value, budget)


def lower(budget: Budget, value: Any) -> str:
    return made(str.lower, value, budget)


def capitalize(budget: Budget, value: Any) -> str:
    return made(str.capitalize, value, budget)


def title(budget: Budget, value: Any) -> str:
    budget.step(len(text_of(value, budget)) // 20)
    return made(_titled, value, budget)


def trim(budget: Budget, value: Any, chars: str | None = None) -> str:
    text = as_text(value, budget)
    budget.make(len(text))
    if chars is None:
        return text.strip()
    given = as_text(chars, budget)
    budget.step(len(given) // 20)
    marks = "".join(dict.fromkeys(given))
    budget.step(len(text) * len(marks) // 10_000)  # each letter is looked for among them
    return text.strip(marks)


def truncate(
    budget: Budget,
    value: Any,
    length: int = 255,
    killwords: bool = False,
    end: str = "...",
    leeway: int | None = None,
) -> str:
    text, end = as_text(value, budget), as_text(end, budget)
    length, leeway = a_whole(length, "truncate"), a_whole(5 if leeway is None else leeway, "truncate")
    if length < len(end) or leeway < 0:
        raise CannotFill("`truncate` to less than its own end")
    if len(text) <= length + leeway:
        return text
    budget.make(length)
    start = text[: length - len(end)]
    return (start if killwords else start.rsplit(" ", 1)[0]) + end


def replace(budget: Budget, value: Any, old: Any, new: Any, count: int | None = None) -> str:
    text, old, new = as_text(value, budget), as_text(old, budget), as_text(new, budget)
    found = text.count(old)
    times = a_whole(-1 if count is None else count, "replace")
    times = found if times < 0 else min(found, times)
    budget.make(len(text) + times * len(new))
    return text.replace(old, new, times)


def join(budget: Budget, value: Any, d: Any = "", attribute: Any = None) -> str:
    between = text_of(d, budget)
    texts = [text_of(each, budget) for each in _each(value, attribute, budget)]
    budget.make(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


def first(budget: Budget, value: Any) -> Any:
    return _at(value, 0, "first")


def last(budget: Budget, value: Any) -> Any:
    return _at(value, -1, "last")


def int_(budget: Budget, value: Any, default: int = 0) -> int | float:
    found = _parsed(value, budget)
    return default if found is None else number(int(found))


def float_(budget: Budget, value: Any, default: float = 0.0) -> int | float:
    found = _parsed(value, budget)
    return default if found is None else number(float(found))


def round_(budget: Budget, value: Any, precision: int = 0, method: str = "common") -> int | float:
    found, digits = a_number(value, "round"), a_whole(precision, "round")
    if method not in ("common", "ceil", "floor") or not -20 <= digits <= 20:
        raise CannotFill("`round` knows common, ceil and floor, and 20 digits")
    if digits >= 0 and abs(found) >= 2**53:
        return number(found)  # whole already
    if method == "common":
        return number(round(float(found), digits))
    shifted = found * 10.0**digits
    settled = shifted // 1 if method == "floor" else -(-shifted // 1)
    return number(settled / 10.0**digits)


def abs_(budget: Budget, value: Any) -> int | float:
    found: int | float = abs(a_number(value, "abs"))
    return found


def list_(budget: Budget, value: Any) -> list[Any]:
    return items_of(value, budget)


def reverse(budget: Budget, value: Any) -> Any:
    if isinstance(value, str):
        budget.make(len(value))
        return value[::-1]
    return items_of(value, budget)[::-1]


def sort(
    budget: Budget, value: Any, reverse: bool = False, case_sensitive: bool = False, attribute: Any = None
) -> list[Any]:
    items = items_of(value, budget)
    names = split(budget, attribute, ",") if isinstance(attribute, str) else [attribute]
    paths = [_path(name, budget) for name in names]
    budget.step(len(items) * len(paths))
    parts = [[_folded(_part(item, path, budget), case_sensitive, budget) for path in paths] for item in items]
    keys = parts if len(paths) > 1 else [part for (part,) in parts]

    def compared(one: int, other: int) -> int:
        return in_order(keys[one], keys[other], budget)

    order = sorted(range(len(items)), key=cmp_to_key(compared), reverse=bool(reverse))
    return [items[place] for place in order]


def unique(budget: Budget, value: Any, case_sensitive: bool = False, attribute: Any = None) -> list[Any]:
    seen: dict[Hashable, Any] = {}
    path = _path(attribute, budget)
    for item in items_of(value, budget):
        seen.setdefault(key_of(_folded(_part(item, path, budget), case_sensitive, budget), budget), item)
    return list(seen.values())


def min_(budget: Budget, value: Any, case_sensitive: bool = False, attribute: Any = None) -> Any:
    return _at(sort(budget, value, False, case_sensitive, attribute), 0, "min")


def max_(budget: Budget, value: Any, case_sensitive: bool = False, attribute: Any = None) -> Any:
    return _at(sort(budget, value, True, case_sensitive, attribute), 0, "max")


def sum_(budget: Budget, value: Any, attribute: Any = None, start: Any = 0) -> Any:
    """Of numbers; or of lists, with `start=[]`."""
    total = start if isinstance(start, list) else a_number(start, "sum")
    for each in _each(value, attribute, budget):
        total = add(budget, total, each)
    return total


def groupby(
    budget: Budget, value: Any, attribute: Any, default: Any = None, case_sensitive: bool = False
) -> list[Any]:
    """`{% for what, those in … | groupby("type") %}`."""

    path = _path(attribute, budget)
    pairs = [[_part(item, path, budget, default), item] for item in items_of(value, budget)]
    groups: dict[Hashable, Group] = {}
    for pair in sort(budget, pairs, False, case_sensitive, 0):
        same = key_of(_folded(pair[0], case_sensitive, budget), budget)
        groups.setdefault(same, Group([pair[0], []]))[1].append(pair[1])
    return list(groups.values())


def dictsort(
    budget: Budget, value: Any, case_sensitive: bool = False, by: str = "key", reverse: bool = False
) -> list[Any]:
    if by not in ("key", "value"):
        raise CannotFill("`dictsort` is by key or by value")
    return sort(budget, items(budget, value), reverse, case_sensitive, 0 if by == "key" else 1)


def items(budget: Budget, value: Any) -> list[Any]:
    mapping = a_mapping(value, "items")
    budget.step(1 + len(mapping))
    return [[name, item] for name, item in mapping.items()]


def tojson(budget: Budget, value: Any) -> str:
    return json_of(value, budget)


def string(budget: Budget, value: Any) -> str:
    return text_of(value, budget)


def striptags(budget: Budget, value: Any) -> str:
    text = text_of(value, budget)
    budget.step(len(text) // 16 + text.count("<") // 4 + 2 * text.count("&"))
    try:
        return made(escapes.untagged, value, budget)
    except ValueError:  # of Python's own, for `&#` and thousands of digits
        raise CannotFill("`striptags` meets a number that is too large") from None


def wordcount(budget: Budget, value: Any) -> int:
    text = as_text(value, budget)
    budget.step(len(text) // 30)
    return sum(1 for _ in _WORD.finditer(text))


_WORD = re.compile(r"\w+")


def urlencode(budget: Budget, value: Any) -> str:
    """A text's letters, or what stands behind the `?` of a URL: a mapping's pairs."""
    if not isinstance(value, dict | list):
        return _percent(value, budget)
    pairs = items(budget, value) if isinstance(value, dict) else items_of(value, budget)
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise CannotFill("`urlencode` of a list takes pairs")
    written = ["=".join(_percent(each, budget).replace("%20", "+") for each in pair) for pair in pairs]
    return join(budget, written, "&")


def _percent(value: Any, budget: Budget) -> str:
    text = as_text(value, budget)
    budget.make(escapes.LONGEST_PERCENT * len(text))
    return escapes.percent(text)


def split(budget: Budget, value: Any, sep: Any = None, maxsplit: int = -1) -> list[str]:
    text = as_text(value, budget)
    if sep == "":
        raise CannotFill("`split` at nothing")
    between = None if sep is None else as_text(sep, budget)
    budget.step(1 + (len(text) // 2 if between is None else text.count(between)) // 6)
    budget.make(len(text))
    return text.split(between, a_whole(maxsplit, "split"))


def slack(budget: Budget, value: Any) -> str:
    return made(escapes.slack, value, budget)


def discord(budget: Budget, value: Any) -> str:
    return made(escapes.discord, value, budget)


def markdown(budget: Budget, value: Any) -> str:
    return made(escapes.markdown, value, budget)


FILTERS: Mapping[str, Word] = {
    "default": default,
    "d": default,
    "length": length,
    "count": length,
    "upper": upper,
    "lower": lower,
    "capitalize": capitalize,
    "title": title,
    "trim": trim,
    "truncate": truncate,
    "replace": replace,
    "join": join,
    "first": first,
    "last": last,
    "int": int_,
    "float": float_,
    "round": round_,
    "abs": abs_,
    "list": list_,
    "reverse": reverse,
    "sort": sort,
    "unique": unique,
    "min": min_,
    "max": max_,
    "sum": sum_,
    "groupby": groupby,
    "dictsort": dictsort,
    "items": items,
    "tojson": tojson,
    "string": string,
    "striptags": striptags,
    "wordcount": wordcount,
    "urlencode": urlencode,
    "split": split,
    "slack": slack,
    "discord": discord,
    "teams": markdown,
    "markdown": markdown,
}

# ---------------------------------------------------------------- filters that take a filter or a test

Applied = Callable[[Budget, Any], Any]


def mapped(budget: Budget, value: Any, apply: Applied) -> list[Any]:
    return [need(apply(budget, item)) for item in _any_items(value, budget)]


def map_of_parts(budget: Budget, value: Any, *, attribute: Any, default: Any = None) -> list[Any]:
    path = _path(attribute, budget)
    return [_part(item, path, budget, default) for item in _any_items(value, budget)]


def picked(budget: Budget, value: Any, holds: Applied, attribute: Any, wanted: bool) -> list[Any]:
    path = _path(attribute, budget)
    return [
        item
        for item in _any_items(value, budget)
        if bool(holds(budget, _inside(item, path, budget))) is wanted
    ]


def _any_items(value: Any, budget: Budget) -> list[Any]:
    """As Jinja has it for these: null has no items."""
    return items_of(value or [], budget)


# ---------------------------------------------------------------- what they are made of


def _titled(text: str) -> str:
    parts = re.split(r"([-\s({\[<]+)", text)
    return "".join(part[:1].upper() + part[1:].lower() for part in parts)


def _parsed(value: Any, budget: Budget) -> float | None:
    """The number that a value is, or that a text is to read."""
    if isinstance(value, bool):
        return int(value)
    if is_number(value):
        return float(value) if isinstance(value, float) else int(value)
    text = value.strip() if isinstance(value, str) and len(value) <= _LONGEST_NUMBER else ""
    budget.step(len(text) // 20)
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII):
        return None
    if math.isinf(float(text)):
        return None
    return int(text) if text.lstrip("+-").isdecimal() else float(text)


def _at(value: Any, place: int, word: str) -> Any:
    sized = a_sized(value, word)
    if not sized:
        return Missing(f"the {word} of nothing")
    if isinstance(sized, dict):
        return next(iter(sized)) if place == 0 else next(reversed(sized))
    return sized[place]


def _path(attribute: Any, budget: Budget) -> list[Any]:
    """The steps to a part of an item: `a.b`, or a place in a list. None is the item itself."""
    if not isinstance(attribute, str):
        return [] if attribute is None else [attribute]
    budget.look(len(attribute))
    budget.step(attribute.count("."))
    return attribute.split(".")


def _inside(item: Any, path: list[Any], budget: Budget) -> Any:
    """What is at the end of the path; Missing where nothing is."""
    budget.step(len(path))
    for step in path:
        # The name of a part may be a document's own: it is not told.
        item = inside(item, _place(step) if isinstance(item, list | str) else step, "a part of an item")
    return item


def _place(step: Any) -> Any:
    return int(step) if isinstance(step, str) and step.isdecimal() and len(step) < 9 else step


def _part(item: Any, path: list[Any], budget: Budget, default: Any = None) -> Any:
    found = _inside(item, path, budget)
    return default if isinstance(found, Missing) and default is not None else need(found)


def _each(value: Any, attribute: Any, budget: Budget) -> list[Any]:
    path = _path(attribute, budget)
    return [_part(item, path, budget) for item in items_of(value, budget)]


def _folded(value: Any, case_sensitive: Any, budget: Budget) -> Any:
    return value if case_sensitive or not isinstance(value, str) else lower(budget, value)
