"""Conditions: MongoDB's own query operators over plain values, compiled once to a function.

    {endpoint: openAI, isCreatedByUser: false}            both hold
    {tokenCount: {$gte: 1000}, $or: [{model: gpt-4o}, {model: {$regex: "^o[1-9]"}}]}

The law: a condition that compiles never raises on any row, and judges it as MongoDB would; proved against
a real one. Accepted differences: `$regex` is Python's (`core/patterns.py`); what could hold for no row, or by
accident only, is refused: documents and arrays in `$gt $gte $lt $lte`, nothing in `$gt $lt`, texts in
`$exists`, operators inside a value (`{a: {b: {$gt: 1}}}`). A text is never a date, however it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final

from watcher.core.changes import Document
from watcher.core.endpoints import Predicate
from watcher.core.matching import (
    ARRAYS,
    ORDERS,
    Test,
    equals,
    every,
    exists,
    finder,
    kind_of,
    moment,
    negated,
    one_of,
    ordered,
    searched,
)
from watcher.core.patterns import OPTIONS, BadPattern, compile_pattern

OPERATORS: Final = ("$eq", "$ne", "$in", "$nin", *ORDERS, "$exists", "$regex", "$options", "$not")
"""Under a field."""
DEEPEST = 100
"""Levels of a condition: MongoDB's own limit, and far from the depth at which Python gives up."""

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionProblem:
    """One thing wrong in a condition, and where. Never tells a value: it may come from the environment."""

    path: Path
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path)) or 'condition'}: {self.what}\n  {self.cure}"


class BadCondition(ValueError):
    """Everything wrong in a condition at once."""

    def __init__(self, problems: Sequence[ConditionProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


def compile_condition(condition: object) -> Predicate:
    """A function that judges rows by the condition. Raises BadCondition with all its problems.

    >>> compile_condition({"model": {"$in": ["gpt-4o", "o1"]}})({"model": "o1"})
    True
    """
    compiler = _Compiler()
    predicate = compiler.condition(condition, ())
    if compiler.problems:
        raise BadCondition(compiler.problems)
    return predicate


class _Compiler:
    """Goes through a condition once; what is wrong is noted, and stands as `_never` meanwhile."""

    def __init__(self) -> None:
        self.problems: list[ConditionProblem] = []

    def condition(self, condition: object, at: Path) -> Predicate:
        if len(at) > DEEPEST:
            return self._too_deep(at)
        if not isinstance(condition, Mapping):
            return self._refuse(
                at, f"{_a(condition)} is no condition", "write {field: value} or {field: {$operator: value}}"
            )
        return _all([self._part(key, value, (*at, key)) for key, value in condition.items()])

    def _part(self, key: object, value: object, at: Path) -> Predicate:
        if not isinstance(key, str):
            return self._refuse(at, f"the name {key!r} is no text", "put it in quotes")
        if key in LOGICAL:
            if not isinstance(value, ARRAYS) or not value:
                cure = f"write {key}: [{{…}}, {{…}}]"
                given = _a(value) if not isinstance(value, ARRAYS) else "an empty one"
                return self._refuse(at, f"{key} takes a list of conditions, not {given}", cure)
            parts = [self.condition(each, (*at, index)) for index, each in enumerate(value)]
            return LOGICAL[key](parts)
        if key == "$not":
            return self._refuse(at, "$not stands under a field", "to negate a condition, write $nor: [{…}]")
        if key in OPERATORS:
            return self._refuse(at, f"{key} stands under a field", f"write field: {{{key}: …}}")
        if key.startswith("$"):
            return self._unknown(key, LOGICAL, at)
        if "" in key.split("."):
            return self._refuse(
                at, f"the path {key!r} has an empty part", "write names with single dots between"
            )
        test = self._test(value, at)
        find = finder(key)
        return _quick(key, value, test) or (lambda document: test(find(document)))

    def _test(self, value: object, at: Path) -> Test:
        """What a field must meet: operators, or a value that it equals."""
        if len(at) > DEEPEST:
            return self._too_deep(at)
        if not _has_operators(value):
            return equals(self._value(value, at))
        assert isinstance(value, Mapping)
        return every(
            [
                self._operator(key, argument, value, (*at, key))
                for key, argument in value.items()
                if not (key == "$options" and "$regex" in value)
            ]
        )

    def _operator(self, name: object, argument: Any, beside: Mapping[Any, Any], at: Path) -> Test:
        match name:
            case "$eq":
                return equals(self._value(argument, at))
            case "$ne":
                return negated(equals(self._value(argument, at)))
            case "$in":
                return self._one_of(argument, at)
            case "$nin":
                return negated(self._one_of(argument, at))
            case "$gt" | "$gte" | "$lt" | "$lte":
                return self._ordered(name, argument, at)
            case "$exists":
                if argument not in (True, False):  # 1 and 0 as well, as MongoDB has it
                    what = f"$exists takes true or false, not {_a(argument)}"
                    return self._refuse(at, what, "write $exists: true or $exists: false")
                return exists(bool(argument))
            case "$regex":
                return self._regex(argument, beside.get("$options", ""), at)
            case "$options":
                return self._refuse(at, "$options stands without $regex", "write $regex: …, $options: i")
            case "$not":
                if not _has_operators(argument):
                    cure = "write $not: {$operator: value}; for a plain value use $ne"
                    return self._refuse(at, f"$not takes operators, not {_a(argument)}", cure)
                return negated(self._test(argument, at))
            case str() if name in LOGICAL:
                return self._refuse(at, f"{name} stands beside the fields", f"write {name}: [{{field: …}}]")
            case str() if name.startswith("$"):
                return self._unknown(name, OPERATORS, at)
            case _:
                cure = "write either operators ($…) or fields in one mapping"
                return self._refuse(at, f"{name!r} stands among operators", cure)

    def _one_of(self, argument: object, at: Path) -> Test:
        if not isinstance(argument, ARRAYS):
            cure = f"write {at[-1]}: [value, …]"
            return self._refuse(at, f"{at[-1]} takes a list, not {_a(argument)}", cure)
        return one_of([self._value(each, (*at, index)) for index, each in enumerate(argument)])

    def _ordered(self, operator: str, argument: object, at: Path) -> Test:
        if kind_of(argument) is None and not (argument is None and operator in ("$gte", "$lte")):
            what = f"{operator} compares numbers, texts, dates or booleans, not {_a(argument)}"
            return self._refuse(at, what, "compare with one of these")
        return ordered(operator, self._value(argument, at))

    def _regex(self, pattern: object, options: object, at: Path) -> Test:
        if not isinstance(pattern, str):
            return self._refuse(at, f"$regex takes a text, not {_a(pattern)}", 'write $regex: "^gpt"')
        if not isinstance(options, str) or set(options) - OPTIONS.keys():
            at = (*at[:-1], "$options")
            return self._refuse(at, "$options takes letters of i, m, s, x", "write $options: i")
        try:
            return searched(compile_pattern(pattern, options))
        except BadPattern as bad:
            return self._refuse(at, f"$regex {bad.what}", bad.cure)

    def _value(self, value: Any, at: Path) -> Any:
        """A value as a row would hold it."""
        if len(at) > DEEPEST:
            self._too_deep(at)
            return None
        match value:
            case datetime():
                return moment(value)
            case None | bool() | int() | float() | str():
                return value
            case Mapping():
                return {
                    key: self._value(each, (*at, key))
                    for key, each in value.items()
                    if self._is_name(key, at)
                }
            case list() | tuple():
                return [self._value(each, (*at, index)) for index, each in enumerate(value)]
            case _:
                self._refuse(at, f"{_a(value)} is no value that a row can have", "write a text or a number")
                return None

    def _is_name(self, key: Any, at: Path) -> bool:
        if not isinstance(key, str):
            self._refuse((*at, key), f"the name {key!r} is no text", "put it in quotes")
        elif key in OPERATORS or key in LOGICAL:
            self._refuse(
                (*at, key),
                f"{key} stands inside a value, which is compared as a whole",
                f"write the way to it with dots: field.inner: {{{key}: …}}",
            )
        else:
            return True
        return False

    def _unknown(self, name: str, known: Iterable[str], at: Path) -> Callable[[Any], bool]:
        close = get_close_matches(name, list(known), n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        return self._refuse(at, f"unknown operator {name}", f"{meant}here: {', '.join(known)}")

    def _too_deep(self, at: Path) -> Callable[[Any], bool]:
        return self._refuse(
            at, f"stands more than {DEEPEST} levels deep", "write it flatter, with dotted paths"
        )

    def _refuse(self, at: Path, what: str, cure: str) -> Callable[[Any], bool]:
        self.problems.append(ConditionProblem(path=at, what=what, cure=cure))
        return _never


def _quick(field: str, value: object, test: Test) -> Predicate | None:
    """`{endpoint: openAI, isCreatedByUser: false}`: most conditions are nothing else."""
    kind = type(value)
    if "." in field or kind not in (str, bool):
        return None

    def judge(document: Document) -> bool:
        found = document.get(field)
        return found == value if isinstance(found, kind) else isinstance(found, ARRAYS) and test(found)

    return judge


def _all(parts: Sequence[Predicate]) -> Predicate:
    match parts:
        case [part]:
            return part
        case [one, other]:
            return lambda document: one(document) and other(document)
        case _:
            return lambda document: all(part(document) for part in parts)


LOGICAL: Final[Mapping[str, Callable[[Sequence[Predicate]], Predicate]]] = {
    "$and": _all,
    "$or": lambda parts: lambda document: any(part(document) for part in parts),
    "$nor": lambda parts: lambda document: not any(part(document) for part in parts),
}
"""Beside the fields."""


def _never(_: Any) -> bool:
    return False


def _has_operators(value: object) -> bool:
    return isinstance(value, Mapping) and any(isinstance(key, str) and key.startswith("$") for key in value)


def _a(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case _:
            return f"a {type(value).__name__}"
