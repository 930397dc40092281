"""Matching: what a path leads to in a row, and when values are equal or in order, by MongoDB's rules.

    a.b.0.c    through documents by key, through arrays by index and by every document in them

The law: any value may stand anywhere in a row; what does not fit does not match, and never raises."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from operator import ge, gt, le, lt
from typing import Any, Final

from watcher.core.changes import Document

Test = Callable[[Sequence[Any]], bool]
"""Judges what a path led to: the values at its ends, `MISSING` where it broke off."""

ARRAYS = (list, tuple)


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


# --- paths ------------------------------------------------------------------------------------------------


def finder(path: str) -> Callable[[Document], Sequence[Any]]:
    """What finds the values that a dotted path leads to. An array counts as a whole and by its elements.

    >>> finder("files.type")({"files": [{"type": "text"}, {}]})
    ['text', MISSING]
    """
    if "." not in path:
        return lambda document: _ends(document.get(path, MISSING))
    steps = tuple((name, int(name) if _INDEX.fullmatch(name) else None) for name in path.split("."))
    return lambda document: _reach(document, steps)


_INDEX = re.compile("0|[1-9][0-9]{0,8}")  # nine digits: no array of a row is longer, and `int` stays quick

_Steps = tuple[tuple[str, int | None], ...]


def _reach(value: Any, steps: _Steps) -> Sequence[Any]:
    passed = 0
    while type(value) is dict or isinstance(value, Mapping):  # the second takes ten times as long
        name, _ = steps[passed]
        if name not in value:
            return (MISSING,)
        value, passed = value[name], passed + 1
        if passed == len(steps):
            return _ends(value)
    (_, index), rest = steps[passed], steps[passed + 1 :]
    if isinstance(value, ARRAYS):
        found = [each for item in value if isinstance(item, Mapping) for each in _reach(item, steps[passed:])]
        if index is not None and index < len(value):
            named = value[index]
            # What the last index names is meant as it is: an array there is not looked into.
            if not rest:
                found.append(named)
            elif isinstance(named, (Mapping, *ARRAYS)):
                found += _reach(named, rest)
        return found
    return (MISSING,)


def _ends(value: Any) -> Sequence[Any]:
    return (value, *value) if isinstance(value, ARRAYS) else (value,)


# --- tests ------------------------------------------------------------------------------------------------


def equals(wanted: Any) -> Test:
    """Is one of the values this one? None is what is missing, too."""
    if wanted is None:
        return lambda found: None in found or MISSING in found
    if isinstance(wanted, bool):
        return lambda found: any([each is wanted for each in found])  # noqa: C419 (quicker for one)
    if isinstance(wanted, str):
        return lambda found: wanted in found
    return lambda found: any(_same(each, wanted) for each in found)


def one_of(wanted: Sequence[Any]) -> Test:
    tests = [equals(each) for each in wanted]
    return lambda found: any(test(found) for test in tests)


ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {"$gt": gt, "$gte": ge, "$lt": lt, "$lte": le}


def ordered(operator: str, bound: Any) -> Test:
    """Does one of the values stand so to the bound? Only values of its kind can: see `kind_of`."""
    compare = ORDERS[operator]
    if bound is None or bound != bound:  # nothing and NaN stand in no order, but are equal to themselves
        return equals(bound) if compare in (ge, le) else lambda found: False
    if isinstance(bound, datetime):
        return lambda found: any(isinstance(each, datetime) and compare(_utc(each), bound) for each in found)
    kind = kind_of(bound)
    return lambda found: any(kind_of(each) is kind and compare(each, bound) for each in found)


def exists(wanted: bool) -> Test:
    if wanted:
        return lambda found: any(each is not MISSING for each in found)
    return lambda found: all(each is MISSING for each in found)


def searched(search: Callable[[str], bool]) -> Test:
    # A generator would take as long as the search in one text, which is what there is most often.
    return lambda found: any([isinstance(each, str) and search(each) for each in found])  # noqa: C419


def negated(test: Test) -> Test:
    return lambda found: not test(found)


def every(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    return lambda found: all(test(found) for test in tests)


# --- values -----------------------------------------------------------------------------------------------


def kind_of(value: object) -> type | None:
    """MongoDB compares within one kind only; all numbers are one, and a boolean is no number.

    >>> kind_of(1) is kind_of(1.5), kind_of(1) is kind_of(True), kind_of([])
    (True, False, None)
    """
    match value:
        case bool():
            return bool
        case int() | float():
            return float
        case str():
            return str
        case datetime():
            return datetime
        case _:
            return None


def moment(value: datetime) -> datetime:
    """The date as MongoDB keeps it: UTC (so a date without a zone is meant), in whole milliseconds."""
    return _utc(value).replace(microsecond=value.microsecond // 1000 * 1000)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        # As in BSON, the order of the keys counts.
        return len(one) == len(other) and all(
            key == given and _same(value, wanted)
            for (key, value), (given, wanted) in zip(one.items(), other.items(), strict=True)
        )
    if isinstance(one, ARRAYS) and isinstance(other, ARRAYS):
        return len(one) == len(other) and all(map(_same, one, other))
    if one is None or other is None:
        return one is other
    kind = kind_of(one)
    if kind is None or kind is not kind_of(other):
        return False
    if kind is datetime:
        return _utc(one) == _utc(other)
    return bool(one == other) or (one != one and other != other)  # NaN equals NaN in MongoDB


def _utc(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)
