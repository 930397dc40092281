"""Conditions: MongoDB's own query operators over plain values, compiled once to a function.

    {endpoint: openAI, isCreatedByUser: false}            both hold
    {tokenCount: {$gte: 1000}, $or: [{model: gpt-4o}, {model: {$regex: "^o[1-9]"}}]}

The law: a condition that compiles never raises on any document, and judges as MongoDB would. Accepted
differences: `$regex` is Python's `re` (MongoDB has PCRE2) and sees the first 10,000 characters of a text, so
that no text can hold up the stream; documents and arrays can be compared for equality, not for order."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from operator import ge, gt, le, lt
from typing import Any, Final

from watcher.core.changes import Document
from watcher.core.endpoints import Predicate

REGEX_CHARACTERS = 10_000
"""Python's `re` can take time that grows with the square of a text, or worse, and cannot be interrupted."""

Path = tuple[str | int, ...]
Test = Callable[[Sequence[Any]], bool]
"""Judges what a path led to: the values at its ends, `MISSING` among them."""


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionProblem:
    """One thing wrong in a condition, and where in it."""

    path: Path
    what: str
    cure: str


class BadCondition(ValueError):
    """Everything wrong in a condition at once."""

    def __init__(self, problems: Sequence[ConditionProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{'.'.join(map(str, each.path))}: {each.what}" for each in problems))


def compile_condition(condition: object) -> Predicate:
    """A function that judges documents by the condition. Raises BadCondition with all its problems.

    >>> compile_condition({"model": {"$in": ["gpt-4o", "o1"]}})({"model": "o1"})
    True
    """
    problems: list[ConditionProblem] = []
    predicate = _all_of(condition, (), problems)
    if problems:
        raise BadCondition(problems)
    return predicate


# ---------------------------------------------------------------------- the shape of a condition


def _all_of(condition: object, at: Path, problems: list[ConditionProblem]) -> Predicate:
    if not isinstance(condition, Mapping):
        _say(
            problems,
            at,
            f"{_a(condition)} is no condition",
            "Write {field: value} or {field: {$operator: value}}.",
        )
        return _never
    parts = [_part(key, value, (*at, key), problems) for key, value in condition.items()]
    if len(parts) == 1:
        return parts[0]
    return lambda document: all(part(document) for part in parts)


def _part(key: object, value: object, at: Path, problems: list[ConditionProblem]) -> Predicate:
    if not isinstance(key, str):
        _say(problems, at, f"the key {key!r} is no text", "Put it in quotes.")
        return _never
    if not key.startswith("$"):
        return _on_field(key, value, at, problems)
    if key not in LOGICAL:
        _unknown(key, LOGICAL, at, problems)
        return _never
    if not isinstance(value, list | tuple) or not value:
        _say(problems, at, f"{key} takes a list of conditions", f"Write {key}: [{{…}}, {{…}}].")
        return _never
    parts = [_all_of(each, (*at, index), problems) for index, each in enumerate(value)]
    return LOGICAL[key](parts)


def _on_field(field: str, value: object, at: Path, problems: list[ConditionProblem]) -> Predicate:
    test = _test(value, at, problems)
    if "." not in field:
        if not isinstance(value, Mapping) and (quick := _quick(field, value)) is not None:
            return quick
        return lambda document: test(_ends(document.get(field, MISSING)))
    parts = tuple(field.split("."))
    return lambda document: test(_reach(document, parts))


def _quick(field: str, value: object) -> Predicate | None:
    """`{endpoint: openAI}` on a field that is no array: most conditions are nothing else."""
    if type(value) is not str:
        return None

    def judge(document: Document) -> bool:
        found = document.get(field)
        return found == value if type(found) is str else isinstance(found, list | tuple) and value in found

    return judge


def _test(value: object, at: Path, problems: list[ConditionProblem]) -> Test:
    if not _has_operators(value):
        return _equal(value)
    assert isinstance(value, Mapping)
    tests = []
    for key, argument in value.items():
        if key == "$options" and "$regex" in value:
            continue
        if key not in OPERATORS:
            known = {**OPERATORS, **LOGICAL} if str(key).startswith("$") else {}
            _unknown(str(key), known, (*at, key), problems)
        else:
            tests.append(OPERATORS[key](argument, value, (*at, key), problems))
    if len(tests) == 1:
        return tests[0]
    return lambda found: all(test(found) for test in tests)


def _has_operators(value: object) -> bool:
    return isinstance(value, Mapping) and any(str(key).startswith("$") for key in value)


# ---------------------------------------------------------------------- the operators


def _equal(value: object) -> Test:
    wanted = _plain(value)
    if wanted is None:
        return lambda found: any(each is None or each is MISSING for each in found)
    return lambda found: any(_same(each, wanted) for each in found)


def _not(test: Test) -> Test:
    return lambda found: not test(found)


def _make_eq(argument: object, _: Mapping[Any, Any], at: Path, problems: list[ConditionProblem]) -> Test:
    return _equal(argument)


def _make_ne(argument: object, _: Mapping[Any, Any], at: Path, problems: list[ConditionProblem]) -> Test:
    return _not(_equal(argument))


def _make_in(argument: object, _: Mapping[Any, Any], at: Path, problems: list[ConditionProblem]) -> Test:
    if not isinstance(argument, list | tuple):
        _say(problems, at, f"{at[-1]} takes a list, not {_a(argument)}", f"Write {at[-1]}: [{argument}].")
        return lambda found: False
    tests = [_equal(each) for each in argument]
    return lambda found: any(test(found) for test in tests)


def _make_nin(argument: object, whole: Mapping[Any, Any], at: Path, problems: list[ConditionProblem]) -> Test:
    return _not(_make_in(argument, whole, at, problems))


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[..., Test]:
    def make(argument: object, _: Mapping[Any, Any], at: Path, problems: list[ConditionProblem]) -> Test:
        bound = _plain(argument)
        kind = _kind(bound)
        if kind is None:
            if bound is None and compare in (ge, le):
                return _equal(None)
            _say(
                problems,
                at,
                f"{at[-1]} compares numbers, texts, dates or booleans, not {_a(argument)}",
                "Compare with one of these.",
            )
            return lambda found: False
        return lambda found: any(_kind(each) == kind and compare(each, bound) for each in found)

    return make


def _make_exists(argument: object, _: Mapping[Any, Any], at: Path, problems: list[ConditionProblem]) -> Test:
    if not isinstance(argument, bool):
        _say(
            problems,
            at,
            f"$exists takes true or false, not {_a(argument)}",
            "Write $exists: true or $exists: false.",
        )
    if argument:
        return lambda found: any(each is not MISSING for each in found)
    return lambda found: all(each is MISSING for each in found)


def _make_regex(
    argument: object, whole: Mapping[Any, Any], at: Path, problems: list[ConditionProblem]
) -> Test:
    options = whole.get("$options", "")
    if not isinstance(argument, str) or not isinstance(options, str) or set(options) - set("imsx"):
        _say(
            problems,
            at,
            "$regex takes a text, and $options letters of i, m, s, x",
            'Write $regex: "^gpt", $options: i.',
        )
        return lambda found: False
    try:
        search = re.compile(argument, sum(getattr(re, letter.upper()) for letter in set(options))).search
    except (re.error, OverflowError, RecursionError) as error:
        _say(
            problems,
            at,
            f"$regex is no regular expression: {error}",
            "Correct it; \\ . + * ? ( ) [ ] { } have a meaning.",
        )
        return lambda found: False
    return lambda found: any(
        isinstance(each, str) and search(each[:REGEX_CHARACTERS]) is not None for each in found
    )


def _make_not(argument: object, _: Mapping[Any, Any], at: Path, problems: list[ConditionProblem]) -> Test:
    if not _has_operators(argument):
        _say(
            problems, at, "$not takes operators", "Write $not: {$operator: value}; for a plain value use $ne."
        )
        return lambda found: False
    return _not(_test(argument, at, problems))


OPERATORS: Mapping[str, Callable[..., Test]] = {
    "$eq": _make_eq,
    "$ne": _make_ne,
    "$in": _make_in,
    "$nin": _make_nin,
    "$gt": _ordered(gt),
    "$gte": _ordered(ge),
    "$lt": _ordered(lt),
    "$lte": _ordered(le),
    "$exists": _make_exists,
    "$regex": _make_regex,
    "$not": _make_not,
}

LOGICAL: Mapping[str, Callable[[Sequence[Predicate]], Predicate]] = {
    "$and": lambda parts: lambda document: all(part(document) for part in parts),
    "$or": lambda parts: lambda document: any(part(document) for part in parts),
    "$nor": lambda parts: lambda document: not any(part(document) for part in parts),
}


# ---------------------------------------------------------------------- values and paths


def _reach(value: Any, parts: Sequence[str]) -> Sequence[Any]:
    """What a dotted path leads to: arrays on the way are entered, by index and by each document in them."""
    first, rest = parts[0], parts[1:]
    if isinstance(value, Mapping):
        if first not in value:
            return (MISSING,)
        return _reach(value[first], rest) if rest else _ends(value[first])
    if isinstance(value, list | tuple):
        found = [each for item in value if isinstance(item, Mapping) for each in _reach(item, parts)]
        if first.isdecimal() and first.isascii() and len(first) < 10 and int(first) < len(value):
            # What an index names is meant as it is: an array there is not looked into.
            found += _reach(value[int(first)], rest) if rest else (value[int(first)],)
        return found
    return (MISSING,)


def _ends(value: Any) -> Sequence[Any]:
    """A value at a path's end, and its elements: an array matches when one of its elements does."""
    return (value, *value) if isinstance(value, list | tuple) else (value,)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        # As in BSON, the order of the keys counts.
        return len(one) == len(other) and all(
            key == given and _same(value, wanted)
            for (key, value), (given, wanted) in zip(one.items(), other.items(), strict=True)
        )
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if one is None or other is None:
        return one is other
    kind = _kind(one)
    if kind is None or kind != _kind(other):
        return False
    return bool(one == other) or (one != one and other != other)  # NaN equals NaN in MongoDB


def _kind(value: object) -> str | None:
    """MongoDB compares within a type only; all numbers are one, and a boolean is no number."""
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case datetime():
            return "date"
        case _:
            return None


def _plain(value: Any) -> Any:
    """A value of a condition as a document would hold it: YAML's dates without a zone are UTC."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


# ---------------------------------------------------------------------- problems


def _never(_: Document) -> bool:
    return False


def _say(problems: list[ConditionProblem], at: Path, what: str, cure: str) -> None:
    problems.append(ConditionProblem(path=at, what=what, cure=cure))


def _unknown(key: str, known: Mapping[str, object], at: Path, problems: list[ConditionProblem]) -> None:
    if not key.startswith("$"):
        _say(
            problems,
            at,
            f"{key!r} stands among operators",
            "Write either operators ($…) or fields in one mapping.",
        )
        return
    close = get_close_matches(key, known, n=1)
    meant = f"Did you mean {close[0]}? " if close else ""
    _say(problems, at, f"unknown operator {key}", f"{meant}Known here: {', '.join(known)}.")


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
