"""Tests: the questions that `is` and `select` ask, as Jinja has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watcher.config.templates.arguments import Word, a_nonzero, a_number
from watcher.config.templates.budget import Budget, CannotFill
from watcher.config.templates.plain import Missing, alike, in_order, is_number, items_of, kind_of, name_of


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
        return name_of(value) in holder
    return any(alike(value, item, budget) for item in items_of(holder, budget))


def divisibleby(budget: Budget, value: Any, by: Any) -> bool:
    return bool(a_number(value, "divisibleby") % a_nonzero(by) == 0)


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
    "odd": lambda budget, value: a_number(value, "odd") % 2 == 1,
    "even": lambda budget, value: a_number(value, "even") % 2 == 0,
    "divisibleby": divisibleby,
    "in": within,
    **dict.fromkeys(("eq", "equalto", "=="), equal),
    **dict.fromkeys(("ne", "!="), unequal),
    **dict.fromkeys(("lt", "lessthan", "<"), less),
    **dict.fromkeys(("le", "<="), less_or_equal),
    **dict.fromkeys(("gt", "greaterthan", ">"), greater),
    **dict.fromkeys(("ge", ">="), greater_or_equal),
}
