"""Conditions: what compiles, what is refused, and how it judges."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.conditions import BadCondition, compile_condition

DAY = datetime(2026, 11, 24, tzinfo=UTC)

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("condition", "document", "holds"),
    [
        ({}, {}, True),
        (
            {"endpoint": "openAI", "isCreatedByUser": False},
            {"endpoint": "openAI", "isCreatedByUser": False},
            True,
        ),
        (
            {"endpoint": "openAI", "isCreatedByUser": False},
            {"endpoint": "openAI", "isCreatedByUser": True},
            False,
        ),
        ({"tokenCount": {"$gte": 10, "$lt": 20}}, {"tokenCount": 10.0}, True),
        ({"tokenCount": {"$gte": 10}}, {"tokenCount": "11"}, False),
        ({"tokenCount": 1}, {"tokenCount": True}, False),
        ({"files.type": "image/png"}, {"files": [{"type": "text/plain"}, {"type": "image/png"}]}, True),
        ({"files.1.type": "image/png"}, {"files": [{"type": "text/plain"}, {"type": "image/png"}]}, True),
        ({"tags": "red"}, {"tags": ["blue", "red"]}, True),
        ({"tags": ["red"]}, {"tags": ["red"]}, True),
        ({"tags": {"$nin": ["red"]}}, {"tags": ["blue", "red"]}, False),
        ({"tenantId": None}, {}, True),
        ({"tenantId": {"$exists": False}}, {"tenantId": None}, False),
        ({"tenantId": {"$ne": None}}, {}, False),
        ({"model": {"$in": ["o1", None]}}, {}, True),
        ({"model": {"$regex": "^GPT", "$options": "i"}}, {"model": "gpt-4o"}, True),
        ({"model": {"$not": {"$regex": "^gpt"}}}, {"model": "o1"}, True),
        ({"at": {"$lte": datetime(2026, 11, 24)}}, {"at": DAY}, True),  # noqa: DTZ001 (YAML gives such)
        ({"$or": [{"a": 1}, {"b": 2}]}, {"b": 2}, True),
        ({"$nor": [{"a": 1}, {"b": 2}]}, {"b": 2}, False),
        ({"$and": [{"a": 1}, {"a": {"$lt": 2}}]}, {"a": 1}, True),
    ],
)
def test_it_judges_as_mongodb_does(condition, document, holds):
    assert compile_condition(condition)(document) is holds


@pytest.mark.parametrize(
    ("condition", "path", "word"),
    [
        (3, (), "no condition"),
        ({"a": {"$gtt": 1}}, ("a", "$gtt"), "$gt"),
        ({"$xor": [{}]}, ("$xor",), "unknown operator"),
        ({"$or": []}, ("$or",), "list of conditions"),
        ({"$or": {"a": 1}}, ("$or",), "list of conditions"),
        ({"$or": [1]}, ("$or", 0), "no condition"),
        ({"a": {"$in": "x"}}, ("a", "$in"), "a list"),
        ({"a": {"$exists": "yes"}}, ("a", "$exists"), "true or false"),
        ({"a": {"$regex": "("}}, ("a", "$regex"), "regular expression"),
        ({"a": {"$regex": "a", "$options": "g"}}, ("a", "$regex"), "i, m, s, x"),
        ({"a": {"$gt": []}}, ("a", "$gt"), "compares"),
        ({"a": {"$not": 1}}, ("a", "$not"), "operators"),
        ({"a": {"$gt": 1, "b": 2}}, ("a", "b"), "among operators"),
        ({1: 2}, (1,), "no text"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(condition, path, word):
    with pytest.raises(BadCondition) as refused:
        compile_condition(condition)

    (problem,) = refused.value.problems
    assert problem.path == path
    assert word in f"{problem.what} {problem.cure}"


def test_all_problems_are_told_at_once():
    with pytest.raises(BadCondition) as refused:
        compile_condition({"a": {"$gtt": 1}, "b": {"$in": 3}, "$or": []})

    assert len(refused.value.problems) == 3


def test_a_regex_sees_only_the_beginning_of_a_long_text():
    judge = compile_condition({"text": {"$regex": "x"}})

    assert judge({"text": "a" * 9_999 + "x"})
    assert not judge({"text": "a" * 10_000 + "x"})


@given(document=st.dictionaries(st.sampled_from(["a", "b", "a.b"]), anything, max_size=3), value=anything)
def test_no_document_makes_a_condition_raise(document, value):
    for operator in ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte"):
        for path in ("a", "a.b", "a.0.b"):
            try:
                judge = compile_condition({path: {operator: value}})
            except BadCondition:
                continue
            assert judge(document) in (True, False)
