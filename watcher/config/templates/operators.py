"""Operators: arithmetic, what puts values together, and comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watcher.config.templates import tests
from watcher.config.templates.arguments import Word, a_nonzero, a_number
from watcher.config.templates.budget import Budget, CannotFill
from watcher.config.templates.plain import is_number, kind_of, number


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
    return number(a_number(one, "-") - a_number(other, "-"))


def multiply(budget: Budget, one: Any, other: Any) -> Any:
    return number(a_number(one, "*") * a_number(other, "*"))


def divide(budget: Budget, one: Any, other: Any) -> Any:
    return number(a_number(one, "/") / a_nonzero(other))


def divide_whole(budget: Budget, one: Any, other: Any) -> Any:
    return number(a_number(one, "//") // a_nonzero(other))


def remainder(budget: Budget, one: Any, other: Any) -> Any:
    return number(a_number(one, "%") % a_nonzero(other))


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


def without(budget: Budget, value: Any, holder: Any) -> bool:
    return not tests.within(budget, value, holder)


COMPARISONS: Mapping[str, Word] = {
    "eq": tests.equal,
    "ne": tests.unequal,
    "lt": tests.less,
    "lteq": tests.less_or_equal,
    "gt": tests.greater,
    "gteq": tests.greater_or_equal,
    "in": tests.within,
    "notin": without,
}
"""By Jinja's names of the operators."""
