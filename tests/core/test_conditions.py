"""Conditions: what compiles, what is refused, and how it judges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.conditions import BadCondition, compile_condition

DAY = datetime(2026, 11, 24, tzinfo=UTC)
DAY_WITHOUT_ZONE = DAY.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("condition", "document", "holds"),
    [
        ({}, {}, True),
        ({"endpoint": "openAI", "own": False}, {"endpoint": "openAI", "own": False}, True),
        ({"endpoint": "openAI", "own": False}, {"endpoint": "openAI", "own": True}, False),
        ({"endpoint": "openAI", "own": False}, {"endpoint": "openAI"}, False),
        ({"tokenCount": {"$gte": 10, "$lt": 20}}, {"tokenCount": 10.0}, True),
        ({"tokenCount": {"$gte": 10}}, {"tokenCount": "11"}, False),
        ({"tokenCount": 1}, {"tokenCount": True}, False),
        ({"own": True}, {"own": 1}, False),
        ({"own": True}, {"own": [False, True]}, True),
        ({"files.type": "image/png"}, {"files": [{"type": "text/plain"}, {"type": "image/png"}]}, True),
        ({"files.1.type": "image/png"}, {"files": [{"type": "text/plain"}, {"type": "image/png"}]}, True),
        ({"tags": "red"}, {"tags": ["blue", "red"]}, True),
        ({"tags": ["red"]}, {"tags": ["red"]}, True),
        ({"tags": {"$nin": ["red"]}}, {"tags": ["blue", "red"]}, False),
        ({"tenantId": None}, {}, True),
        ({"tenantId": {"$exists": False}}, {"tenantId": None}, False),
        ({"tenantId": {"$exists": 1}}, {"tenantId": None}, True),
        ({"tenantId": {"$ne": None}}, {}, False),
        ({"model": {"$in": ["o1", None]}}, {}, True),
        ({"model": {"$regex": "^GPT", "$options": "i"}}, {"model": "gpt-4o"}, True),
        ({"model": {"$not": {"$regex": "^gpt"}}}, {"model": "o1"}, True),
        ({"at": {"$lte": DAY_WITHOUT_ZONE}}, {"at": DAY}, True),
        ({"at": DAY}, {"at": DAY_WITHOUT_ZONE}, True),
        ({"at": DAY}, {"at": DAY.astimezone(timezone(timedelta(hours=2)))}, True),
        ({"at": DAY + timedelta(microseconds=999)}, {"at": DAY}, True),
        ({"at": {"$gte": "2026-11-24T00:00:00Z"}}, {"at": DAY}, False),
        ({"$or": [{"a": 1}, {"b": 2}]}, {"b": 2}, True),
        ({"$nor": [{"a": 1}, {"b": 2}]}, {"b": 2}, False),
        ({"$and": [{"a": 1}, {"a": {"$lt": 2}}]}, {"a": 1}, True),
        ({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2, "c": 4}, False),
    ],
)
def test_it_judges_as_mongodb_does(condition: Any, document: Any, holds: bool) -> None:
    assert compile_condition(condition)(document) is holds


@pytest.mark.parametrize(
    ("condition", "path", "word"),
    [
        (3, (), "no condition"),
        (None, (), "no condition"),
        ({"a": {"$gtt": 1}}, ("a", "$gtt"), "did you mean $gt?"),
        ({"$xor": [{}]}, ("$xor",), "did you mean $or?"),
        ({"$foo": [{}]}, ("$foo",), "here: $and, $or, $nor"),
        ({"$or": []}, ("$or",), "list of conditions, not an empty one"),
        ({"$or": {"a": 1}}, ("$or",), "list of conditions"),
        ({"$or": [1]}, ("$or", 0), "no condition"),
        (
            {"$nor": [{"$and": [{"a": 1}, {"b": {"$lte": []}}]}]},
            ("$nor", 0, "$and", 1, "b", "$lte"),
            "compares",
        ),
        ({"a": {"$in": "x"}}, ("a", "$in"), "a list"),
        ({"a": {"$exists": "yes"}}, ("a", "$exists"), "true or false"),
        ({"a": {"$exists": None}}, ("a", "$exists"), "true or false"),
        ({"a": {"$regex": "("}}, ("a", "$regex"), "regular expression"),
        ({"a": {"$regex": "(a+)+"}}, ("a", "$regex"), "stall"),
        ({"a": {"$regex": 1}}, ("a", "$regex"), "takes a text"),
        ({"a": {"$regex": "a", "$options": "g"}}, ("a", "$options"), "i, m, s, x"),
        ({"a": {"$options": "i"}}, ("a", "$options"), "without $regex"),
        ({"a": {"$gt": []}}, ("a", "$gt"), "compares"),
        ({"a": {"$lt": None}}, ("a", "$lt"), "compares"),
        ({"a": {"$not": 1}}, ("a", "$not"), "operators"),
        ({"a": {"$not": {}}}, ("a", "$not"), "operators"),
        ({"a": {"$gt": 1, "b": 2}}, ("a", "b"), "among operators"),
        ({"a": {"$or": [{"$gt": 1}]}}, ("a", "$or"), "beside the fields"),
        ({"$gt": 1}, ("$gt",), "under a field"),
        ({"$not": {"a": 1}}, ("$not",), "$nor"),
        ({"a": {"b": {"$gt": 1}}}, ("a", "b", "$gt"), "with dots"),
        ({"a": {"$in": [1, {"$gt": 1}]}}, ("a", "$in", 1, "$gt"), "inside a value"),
        ({"a": b"x"}, ("a",), "no value"),
        ({"a": {"b": [{1: 2}]}}, ("a", "b", 0, 1), "no text"),
        ({1: 2}, (1,), "no text"),
        ({"a..b": 2}, ("a..b",), "empty part"),
        ({"": 2}, ("",), "empty part"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(condition: Any, path: Any, word: str) -> None:
    with pytest.raises(BadCondition) as refused:
        compile_condition(condition)

    (problem,) = refused.value.problems
    assert problem.path == path
    assert word in f"{problem.what} {problem.cure}"


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(BadCondition) as refused:
        compile_condition({"a": {"$gtt": 1, "$in": 3}, "b": {"$regex": "("}, "$or": []})

    assert [problem.path for problem in refused.value.problems] == [
        ("a", "$gtt"),
        ("a", "$in"),
        ("b", "$regex"),
        ("$or",),
    ]
    assert all(f"{problem}" in str(refused.value) for problem in refused.value.problems)


def test_no_problem_tells_a_value() -> None:
    secret = "hunter2"
    with pytest.raises(BadCondition) as refused:
        compile_condition(
            {"a": {"$in": secret}, "b": {"$exists": secret}, "$or": secret, "c": {"$not": secret}}
        )

    assert len(refused.value.problems) == 4
    assert secret not in str(refused.value)


@pytest.mark.parametrize("wrap", [lambda inner: {"$and": [inner]}, lambda inner: {"a": {"b": inner}}])
def test_a_condition_deeper_than_mongodb_allows_is_refused(wrap: Any) -> None:
    condition: Any = {"a": 1}
    for _ in range(5_000):
        condition = wrap(condition)

    with pytest.raises(BadCondition, match="levels deep"):
        compile_condition(condition)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=2)
    | st.datetimes()
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "0", ""]), inner, max_size=3)
    ),
    max_leaves=10,
)
bounds = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.datetimes(timezones=st.just(UTC))
)
paths = st.lists(st.sampled_from(["a", "b", "0", "00"]), min_size=1, max_size=4).map(".".join)


@given(
    document=st.dictionaries(st.sampled_from(["a", "b"]), anything, max_size=2),
    path=paths,
    operator=st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$regex"]),
    value=bounds,
)
def test_no_document_makes_a_condition_raise(document: Any, path: str, operator: str, value: Any) -> None:
    if operator == "$regex":
        value = "^a|b$"
    elif value is None and operator in ("$gt", "$lt"):
        operator = "$not"
        value = {"$exists": True}

    judge = compile_condition({path: {operator: value}})

    assert judge(document) in (True, False)


@given(
    condition=st.dictionaries(st.sampled_from(["a", "a.b", "$or", "$not", "$in"]), anything, max_size=3)
    | anything
)
def test_any_value_compiles_or_is_refused_with_reasons(condition: Any) -> None:
    try:
        judge = compile_condition(condition)
    except BadCondition:
        return
    assert judge({"a": [condition]}) in (True, False)
