"""Plain values, and what templates need of them: as text, alike or not, in order.

The laws: a value as text is what JavaScript writes; and however values are put together, none is walked
through beyond the budget (a list that holds itself twice, thirty times over, is a thousand million items)."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

from watcher.config.templates.budget import Budget, CannotFill
from watcher.core.encoding import MAX_DEPTH, encode

_SAFE_INTEGER = 2**53 - 1

TOO_DEEP = f"nests more than {MAX_DEPTH} levels"


class Missing:
    """What is not there. Whoever uses it fails, but for `default` and `is defined`."""

    __slots__ = ("what",)

    def __init__(self, what: str) -> None:
        self.what = what


class Unsaid(Missing):
    """What an `if` in an expression gives where it has no `else`: to be used, it is an empty text."""

    __slots__ = ()


class Group(list[Any]):
    """A pair: what some items have alike, and those items. Its two parts have names, too."""

    __slots__ = ()

    NAMES = ("grouper", "list")


def need(value: Any) -> Any:
    """The value, if it is there."""
    if isinstance(value, Unsaid):
        return ""
    if isinstance(value, Missing):
        raise CannotFill(f"{value.what} is undefined")
    return value


def kind_of(value: Any) -> str:
    """A value's kind in words.

    >>> kind_of(None), kind_of(1.5), kind_of({})
    ('null', 'a number', 'a mapping')
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a mapping"


def number(value: float) -> int | float:
    """The number as JavaScript has it: whole ones beyond 2^53 are not exact any more."""
    try:
        if isinstance(value, int) and not -_SAFE_INTEGER <= value <= _SAFE_INTEGER:
            value = float(value)
        if math.isfinite(value):
            return value
    except OverflowError:
        pass
    raise CannotFill("a number grows too large")


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def text_of(value: Any, budget: Budget) -> str:
    """The value as text: null is empty, true and false are words, lists and mappings are JSON."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return encode(value).decode()
        case _:
            return json_of(value, budget)


def json_of(value: Any, budget: Budget) -> str:
    """The value as JSON, as it would stand in a body."""
    written = encode(settled(value, budget)).decode()
    budget.make(len(written))
    return written


def settled(value: Any, budget: Budget, levels: int = MAX_DEPTH) -> Any:
    """The value on its own, nothing in it shared: whoever walks through it meets no more than was counted."""
    budget.step()
    if isinstance(value, str):
        budget.make(len(value))
        return value
    if not isinstance(value, list | dict):
        return value
    if not levels:
        raise CannotFill(TOO_DEEP)
    if isinstance(value, list):
        return [settled(item, budget, levels - 1) for item in value]
    budget.step(1)
    budget.make(sum(map(len, value)))
    return {name: settled(item, budget, levels - 1) for name, item in value.items()}


def alike(one: Any, other: Any, budget: Budget, levels: int = MAX_DEPTH) -> bool:
    """Are they the same value? 1 and 1.0 are; 1 and true, or "1", are not."""
    if isinstance(one, str) and isinstance(other, str):
        budget.look(min(len(one), len(other)))
        return one == other
    budget.step()
    if kind_of(one) != kind_of(other):
        return False
    if not isinstance(one, list | dict):
        return bool(one == other)
    if not levels:
        raise CannotFill(TOO_DEEP)
    if len(one) != len(other):
        return False
    if isinstance(one, list):
        return all(alike(a, b, budget, levels - 1) for a, b in zip(one, other, strict=True))
    return all(name in other and alike(item, other[name], budget, levels - 1) for name, item in one.items())


def in_order(one: Any, other: Any, budget: Budget, levels: int = MAX_DEPTH) -> int:
    """Below zero, zero or above, as the first is less than, like or more than the second. Lists go by the
    first items that differ."""
    if isinstance(one, str) and isinstance(other, str):
        budget.look(min(len(one), len(other)))
        return int(one > other) - int(one < other)
    budget.step()
    if kind_of(one) != kind_of(other) or one is None or isinstance(one, dict):
        raise CannotFill(f"{kind_of(one)} and {kind_of(other)} have no order")
    if not isinstance(one, list):
        return int(one > other) - int(one < other)
    if not levels:
        raise CannotFill(TOO_DEEP)
    for a, b in zip(one, other, strict=False):
        if not alike(a, b, budget, levels - 1):
            return in_order(a, b, budget, levels - 1)
    return len(one) - len(other)


def key_of(value: Any, budget: Budget, levels: int = MAX_DEPTH) -> Hashable:
    """The same for values that are alike, and for no others."""
    if isinstance(value, str):
        budget.look(len(value))
        return value
    budget.step()
    if isinstance(value, bool):
        return (value,)  # as Python has it, true is 1
    if not isinstance(value, list | dict):
        return value  # type: ignore[no-any-return]
    if not levels:
        raise CannotFill(TOO_DEEP)
    if isinstance(value, list):
        return ("list", *(key_of(item, budget, levels - 1) for item in value))
    return frozenset((name, key_of(item, budget, levels - 1)) for name, item in value.items())


def name_of(key: Any) -> str:
    """What a mapping has to be asked for: names are text, `{1: "a"}` has the name `1`."""
    if isinstance(key, list | dict):
        raise CannotFill(f"{kind_of(key)} is no name")
    return text_of(key, Budget())  # of what is short


def inside(whole: Any, key: Any, what: str) -> Any:
    """What a value has by a name or at a place; Missing where nothing is."""
    if isinstance(whole, dict):
        name = name_of(key)
        return whole[name] if name in whole else Missing(what)
    if isinstance(whole, Group) and isinstance(key, str) and key in Group.NAMES:
        key = Group.NAMES.index(key)
    there = isinstance(whole, list | str) and type(key) is int and -len(whole) <= key < len(whole)
    return whole[key] if there else Missing(what)


def items_of(value: Any, budget: Budget) -> list[Any]:
    """What a loop over it goes through: a list's items, a mapping's names, a text's letters."""
    if not isinstance(value, list | dict | str):
        raise CannotFill(f"{kind_of(value)} cannot be gone through")
    budget.step(1 + len(value))
    return list(value)
