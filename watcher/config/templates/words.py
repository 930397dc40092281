"""The words of templates: filters, tests and methods, as Jinja has them, over plain values, within a budget.

Each takes the budget and the value, then what is written in its brackets. Before it makes something large, it
asks the budget."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import cmp_to_key
from typing import Any
from urllib.parse import quote

from watcher.config.templates import escapes
from watcher.config.templates.budget import Budget, CannotFill
from watcher.config.templates.plain import (
    Missing,
    alike,
    in_order,
    is_number,
    items_of,
    json_of,
    key_of,
    kind_of,
    need,
    number,
    text_of,
)

Word = Callable[..., Any]

_LONGEST_NUMBER = 400
"""Letters of a text that may be a number: the largest one has 309 digits."""

# ---------------------------------------------------------------- filters


def default(budget: Budget, value: Any, fallback: Any = "", boolean: bool = False) -> Any:
    """The one filter to which something missing may be given."""
    return fallback if isinstance(value, Missing) or (boolean and not value) else value


def length(budget: Budget, value: Any) -> int:
    return len(_sized(value, "length"))


def upper(budget: Budget, value: Any) -> str:
    return _made(str.upper, value, budget)


def lower(budget: Budget, value: Any) -> str:
    return _made(str.lower, value, budget)


def capitalize(budget: Budget, value: Any) -> str:
    return _made(str.capitalize, value, budget)


def title(budget: Budget, value: Any) -> str:
    budget.step(len(text_of(value, budget)) // 20)
    return _made(_titled, value, budget)


def trim(budget: Budget, value: Any, chars: str | None = None) -> str:
    return _text(value, budget).strip(None if chars is None else _text(chars, budget))


def truncate(
    budget: Budget,
    value: Any,
    length: int = 255,
    killwords: bool = False,
    end: str = "...",
    leeway: int = 5,
) -> str:
    text, end = _text(value, budget), _text(end, budget)
    length, leeway = whole(length, "truncate"), whole(leeway, "truncate")
    if length < len(end) or leeway < 0:
        raise CannotFill("`truncate` to less than its own end")
    if len(text) <= length + leeway:
        return text
    budget.make(length)
    start = text[: length - len(end)]
    return (start if killwords else start.rsplit(" ", 1)[0]) + end


def replace(budget: Budget, value: Any, old: Any, new: Any, count: int | None = None) -> str:
    text, old, new = _text(value, budget), _text(old, budget), _text(new, budget)
    found = text.count(old)
    times = found if count is None else min(found, max(0, whole(count, "replace")))
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
    found = _parsed(value)
    return default if found is None else number(int(found))


def float_(budget: Budget, value: Any, default: float = 0.0) -> int | float:
    found = _parsed(value)
    return default if found is None else number(float(found))


def round_(budget: Budget, value: Any, precision: int = 0, method: str = "common") -> int | float:
    found, digits = _number(value, "round"), whole(precision, "round")
    if method not in ("common", "ceil", "floor") or not -20 <= digits <= 20:
        raise CannotFill("`round` knows common, ceil and floor, and 20 digits")
    if method == "common":
        return number(round(float(found), digits))
    shifted = found * 10.0**digits
    settled = shifted // 1 if method == "floor" else -(-shifted // 1)
    return number(settled / 10.0**digits)


def abs_(budget: Budget, value: Any) -> int | float:
    found: int | float = abs(_number(value, "abs"))
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
    keys = [_folded(_part(item, attribute), case_sensitive, budget) for item in items]

    def compared(one: int, other: int) -> int:
        return in_order(keys[one], keys[other], budget)

    order = sorted(range(len(items)), key=cmp_to_key(compared), reverse=bool(reverse))
    return [items[place] for place in order]


def unique(budget: Budget, value: Any, case_sensitive: bool = False, attribute: Any = None) -> list[Any]:
    seen: dict[bytes, Any] = {}
    for item in items_of(value, budget):
        seen.setdefault(key_of(_folded(_part(item, attribute), case_sensitive, budget), budget), item)
    return list(seen.values())


def min_(budget: Budget, value: Any, case_sensitive: bool = False, attribute: Any = None) -> Any:
    return _at(sort(budget, value, False, case_sensitive, attribute), 0, "min")


def max_(budget: Budget, value: Any, case_sensitive: bool = False, attribute: Any = None) -> Any:
    return _at(sort(budget, value, True, case_sensitive, attribute), 0, "max")


def sum_(budget: Budget, value: Any, attribute: Any = None, start: float = 0) -> int | float:
    total: int | float = _number(start, "sum")
    for each in _each(value, attribute, budget):
        total = number(total + _number(each, "sum"))
    return total


def groupby(budget: Budget, value: Any, attribute: Any, default: Any = None) -> list[Any]:
    """Pairs of what is alike, and those that are: `{% for what, those in … | groupby("type") %}`."""
    groups: dict[bytes, list[Any]] = {}
    for item in sort(budget, value, False, True, attribute):
        key = _part(item, attribute)
        groups.setdefault(key_of(key, budget), [key, []])[1].append(item)
    return list(groups.values())


def dictsort(
    budget: Budget, value: Any, case_sensitive: bool = False, by: str = "key", reverse: bool = False
) -> list[Any]:
    if by not in ("key", "value"):
        raise CannotFill("`dictsort` is by key or by value")
    return sort(budget, items(budget, value), reverse, case_sensitive, 0 if by == "key" else 1)


def items(budget: Budget, value: Any) -> list[Any]:
    mapping = _mapping(value, "items")
    budget.step(1 + len(mapping))
    return [[name, item] for name, item in mapping.items()]


def tojson(budget: Budget, value: Any) -> str:
    return json_of(value, budget)


def string(budget: Budget, value: Any) -> str:
    return text_of(value, budget)


def striptags(budget: Budget, value: Any) -> str:
    budget.step(len(text_of(value, budget)) // 50)
    return _made(lambda text: " ".join(re.sub(r"<[^<>]*>", "", text).split()), value, budget)


def wordcount(budget: Budget, value: Any) -> int:
    text = _text(value, budget)
    budget.step(len(text) // 100)
    return len(text.split())


def urlencode(budget: Budget, value: Any) -> str:
    text = _text(value, budget)
    budget.make(12 * len(text))  # the longest: four bytes of three letters each
    return quote(text, safe="")


def split(budget: Budget, value: Any, sep: Any = None, maxsplit: int = -1) -> list[str]:
    text = _text(value, budget)
    if sep == "":
        raise CannotFill("`split` at nothing")
    between = None if sep is None else _text(sep, budget)
    budget.step(1 + (len(text) // 2 if between is None else text.count(between)) // 20)
    budget.make(len(text))
    return text.split(between, whole(maxsplit, "split"))


def slack(budget: Budget, value: Any) -> str:
    return _made(escapes.slack, value, budget)


def discord(budget: Budget, value: Any) -> str:
    return _made(escapes.discord, value, budget)


def markdown(budget: Budget, value: Any) -> str:
    return _made(escapes.markdown, value, budget)


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
    return [apply(budget, item) for item in items_of(value, budget)]


def picked(budget: Budget, value: Any, holds: Applied, attribute: Any, wanted: bool) -> list[Any]:
    return [
        item
        for item in items_of(value, budget)
        if bool(holds(budget, item if attribute is None else part(item, attribute))) is wanted
    ]


def part(item: Any, attribute: Any) -> Any:
    """What is at the path (`a.b`, or a place in a list) inside an item; Missing where nothing is."""
    steps = attribute.split(".") if isinstance(attribute, str) else [attribute]
    for step in steps:
        place = int(step) if isinstance(step, str) and step.isdecimal() and len(step) < 9 else step
        if isinstance(item, dict) and isinstance(step, str) and step in item:
            item = item[step]
        elif isinstance(item, list) and isinstance(place, int) and -len(item) <= place < len(item):
            item = item[place]
        else:
            return Missing("a part of an item")  # the name of which may be a document's own
    return item


# ---------------------------------------------------------------- tests


def defined(budget: Budget, value: Any) -> bool:
    return not isinstance(value, Missing)


def undefined(budget: Budget, value: Any) -> bool:
    return isinstance(value, Missing)


def equal(budget: Budget, value: Any, other: Any) -> bool:
    return alike(value, other, budget)


def unequal(budget: Budget, value: Any, other: Any) -> bool:
    return not alike(value, other, budget)


def less(budget: Budget, value: Any, other: Any) -> bool:
    return in_order(value, other, budget) < 0


def less_or_equal(budget: Budget, value: Any, other: Any) -> bool:
    return in_order(value, other, budget) <= 0


def greater(budget: Budget, value: Any, other: Any) -> bool:
    return in_order(value, other, budget) > 0


def greater_or_equal(budget: Budget, value: Any, other: Any) -> bool:
    return in_order(value, other, budget) >= 0


def within(budget: Budget, value: Any, holder: Any) -> bool:
    if isinstance(holder, str):
        if not isinstance(value, str):
            raise CannotFill(f"{kind_of(value)} cannot be looked for in text")
        budget.look(len(holder))
        return value in holder
    if isinstance(holder, dict):
        budget.step()
        return isinstance(value, str) and value in holder
    return any(alike(value, item, budget) for item in items_of(holder, budget))


def without(budget: Budget, value: Any, holder: Any) -> bool:
    return not within(budget, value, holder)


def divisibleby(budget: Budget, value: Any, by: Any) -> bool:
    return bool(_number(value, "divisibleby") % _nonzero(by) == 0)


TESTS: Mapping[str, Word] = {
    "defined": defined,
    "undefined": undefined,
    "none": lambda budget, value: value is None,
    "string": lambda budget, value: isinstance(value, str),
    "number": lambda budget, value: is_number(value),
    "integer": lambda budget, value: is_number(value) and isinstance(value, int),
    "float": lambda budget, value: isinstance(value, float),
    "boolean": lambda budget, value: isinstance(value, bool),
    "true": lambda budget, value: value is True,
    "false": lambda budget, value: value is False,
    "mapping": lambda budget, value: isinstance(value, dict),
    "sequence": lambda budget, value: isinstance(value, list | str | dict),
    "iterable": lambda budget, value: isinstance(value, list | str | dict),
    "odd": lambda budget, value: _number(value, "odd") % 2 == 1,
    "even": lambda budget, value: _number(value, "even") % 2 == 0,
    "divisibleby": divisibleby,
    "in": within,
    **dict.fromkeys(("eq", "equalto", "=="), equal),
    **dict.fromkeys(("ne", "!="), unequal),
    **dict.fromkeys(("lt", "lessthan", "<"), less),
    **dict.fromkeys(("le", "<="), less_or_equal),
    **dict.fromkeys(("gt", "greaterthan", ">"), greater),
    **dict.fromkeys(("ge", ">="), greater_or_equal),
}

COMPARISONS: Mapping[str, Word] = {
    "eq": equal,
    "ne": unequal,
    "lt": less,
    "lteq": less_or_equal,
    "gt": greater,
    "gteq": greater_or_equal,
    "in": within,
    "notin": without,
}
"""By Jinja's names of the operators."""

# ---------------------------------------------------------------- methods


def startswith(budget: Budget, value: Any, prefix: Any) -> bool:
    return _own_text(value, "startswith").startswith(_text(prefix, budget))


def endswith(budget: Budget, value: Any, suffix: Any) -> bool:
    return _own_text(value, "endswith").endswith(_text(suffix, budget))


def get(budget: Budget, value: Any, name: Any, fallback: Any = None) -> Any:
    mapping = _mapping(value, "get")
    return mapping.get(name, fallback) if isinstance(name, str) else fallback


def keys(budget: Budget, value: Any) -> list[Any]:
    return items_of(_mapping(value, "keys"), budget)


def values(budget: Budget, value: Any) -> list[Any]:
    return [pair[1] for pair in items(budget, value)]


METHODS: Mapping[str, Word] = {
    "upper": upper,
    "lower": lower,
    "capitalize": capitalize,
    "title": title,
    "strip": trim,
    "replace": replace,
    "split": split,
    "startswith": startswith,
    "endswith": endswith,
    "get": get,
    "items": items,
    "keys": keys,
    "values": values,
}
"""What may be called on a value, as `data.title.upper()`."""

# ---------------------------------------------------------------- operators


def add(budget: Budget, one: Any, other: Any) -> Any:
    if is_number(one) and is_number(other):
        return number(one + other)
    if isinstance(one, str) and isinstance(other, str):
        budget.make(len(one) + len(other))
        return one + other
    if isinstance(one, list) and isinstance(other, list):
        budget.step(len(one) + len(other))
        return one + other
    raise CannotFill(f"`+` of {kind_of(one)} and {kind_of(other)} (`~` puts texts together)")


def subtract(budget: Budget, one: Any, other: Any) -> Any:
    return number(_number(one, "-") - _number(other, "-"))


def multiply(budget: Budget, one: Any, other: Any) -> Any:
    return number(_number(one, "*") * _number(other, "*"))


def divide(budget: Budget, one: Any, other: Any) -> Any:
    return number(_number(one, "/") / _nonzero(other))


def divide_whole(budget: Budget, one: Any, other: Any) -> Any:
    return number(_number(one, "//") // _nonzero(other))


def remainder(budget: Budget, one: Any, other: Any) -> Any:
    return number(_number(one, "%") % _nonzero(other))


def together(budget: Budget, texts: list[str]) -> str:
    budget.make(sum(map(len, texts)))
    return "".join(texts)


OPERATORS: Mapping[str, Word] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "//": divide_whole,
    "%": remainder,
}

# ---------------------------------------------------------------- what they are made of


def _text(value: Any, budget: Budget) -> str:
    text = text_of(value, budget)
    budget.look(len(text))
    return text


def _made(make: Callable[[str], str], value: Any, budget: Budget) -> str:
    """A text made letter by letter: three for one at most, as the longest capital and escape have it."""
    text = _text(value, budget)
    budget.make(len(text))
    made = make(text)
    budget.make(len(made) - min(len(made), len(text)))
    return made


def _titled(text: str) -> str:
    parts = re.split(r"([-\s({\[<]+)", text)
    return "".join(part[:1].upper() + part[1:].lower() for part in parts)


def _number(value: Any, word: str) -> Any:
    if not is_number(value):
        raise CannotFill(f"`{word}` works on numbers, and this is {kind_of(value)}")
    return value


def _nonzero(value: Any) -> Any:
    if _number(value, "/") == 0:
        raise CannotFill("division by zero")
    return value


def whole(value: Any, word: str) -> int:
    if not is_number(value) or value != int(value):
        raise CannotFill(f"`{word}` takes a whole number, and this is {kind_of(value)}")
    return int(value)


def _parsed(value: Any) -> float | None:
    """The number that a value is, or that a text is to read."""
    if isinstance(value, bool):
        return int(value)
    if is_number(value):
        return float(value) if isinstance(value, float) else int(value)
    text = value.strip() if isinstance(value, str) and len(value) <= _LONGEST_NUMBER else ""
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII):
        return None
    if math.isinf(float(text)):
        return None
    return int(text) if text.lstrip("+-").isdecimal() else float(text)


def _mapping(value: Any, word: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CannotFill(f"`{word}` works on mappings, and this is {kind_of(value)}")
    return value


def _own_text(value: Any, word: str) -> str:
    if not isinstance(value, str):
        raise CannotFill(f"`{word}` works on text, and this is {kind_of(value)}")
    return value


def _sized(value: Any, word: str) -> Any:
    if not isinstance(value, str | list | dict):
        raise CannotFill(f"`{word}` of {kind_of(value)}")
    return value


def _at(value: Any, place: int, word: str) -> Any:
    sized = _sized(value, word)
    if not sized:
        return Missing(f"the {word} of nothing")
    if isinstance(sized, dict):
        return next(iter(sized)) if place == 0 else next(reversed(sized))
    return sized[place]


def _part(item: Any, attribute: Any) -> Any:
    return item if attribute is None else need(part(item, attribute))


def _each(value: Any, attribute: Any, budget: Budget) -> list[Any]:
    return [_part(item, attribute) for item in items_of(value, budget)]


def _folded(value: Any, case_sensitive: Any, budget: Budget) -> Any:
    return value if case_sensitive or not isinstance(value, str) else lower(budget, value)
