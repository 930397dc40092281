"""Shortfalls: the parts of a condition that do not hold, and none where the condition does."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.core.test_conditions_like_mongodb import a_condition, a_document
from watcher.core.conditions import compile_condition
from watcher.core.shortfalls import Shortfall, shortfalls

DAY = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("condition", "document", "parts"),
    [
        ({}, {}, []),
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, [({"b": 2}, "a number")]),
        ({"a": {"$gte": 1, "$lt": 5}}, {"a": 7}, [({"a": {"$lt": 5}}, "a number")]),
        (
            {"a": {"$regex": "^X", "$options": "i", "$ne": "xy"}},
            {"a": "xy"},
            [({"a": {"$ne": "xy"}}, "a text")],
        ),
        (
            {"a": {"$regex": "^y", "$options": "i"}},
            {"a": "xy"},
            [({"a": {"$regex": "^y", "$options": "i"}}, "a text")],
        ),
        ({"$and": [{"a": 1}, {"b": 1}]}, {"a": 1}, [({"b": 1}, "missing")]),
        ({"$nor": [{"a": 1}, {"a": 2}]}, {"a": 2}, [({"$nor": [{"a": 2}]}, None)]),
        ({"a": {"b": {"c": 1}}}, {"a": {}}, [({"a": {"b": {"c": 1}}}, "an object")]),
    ],
)
def test_what_does_not_hold_is_told_as_it_was_written(condition: Any, document: Any, parts: Any) -> None:
    assert [(each.part, each.found) for each in shortfalls(condition, document)] == parts


def test_of_alternatives_each_is_told_with_what_it_lacks() -> None:
    either = [{"a": 1, "b": 1}, {"$and": [{"c": {"$exists": True}}, {"a": 2}]}]

    (found,) = shortfalls({"$or": either}, {"a": 2})

    assert found == Shortfall(
        part={"$or": either},
        alternatives=(
            (Shortfall(part={"a": 1}, found="a number"), Shortfall(part={"b": 1}, found="missing")),
            (Shortfall(part={"c": {"$exists": True}}, found="missing"),),
        ),
    )


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({}, "missing"),
        ({"a": None}, "null"),
        ({"a": "S3CRET"}, "a text"),
        ({"a": ""}, "an empty text"),
        ({"a": True}, "true or false"),
        ({"a": 0}, "a number"),
        ({"a": DAY}, "a date"),
        ({"a": ["S3CRET"]}, "a list"),
        ({"a": []}, "a list"),
        ({"a": {"b": "S3CRET"}}, "an object"),
    ],
)
def test_what_stands_there_is_told_by_its_kind_only(row: Any, kind: str) -> None:
    (found,) = shortfalls({"a": "wanted"}, row)

    assert found.found == kind
    assert "S3CRET" not in repr(found)


def test_there_are_some_exactly_where_the_condition_says_no() -> None:
    dice = random.Random(20261126)
    holds = 0
    for _ in range(60):
        documents = [a_document(dice) for _ in range(20)]
        for _ in range(20):
            condition = a_condition(dice, documents)
            judge = compile_condition(condition)
            for document in documents:
                found = shortfalls(condition, document)
                assert (found == ()) is judge(document), f"{condition}\non {document}"
                assert all(none_holds(each, document) for each in found)
                holds += found == ()
    assert 2_000 < holds < 22_000


def none_holds(shortfall: Shortfall, document: Any) -> bool:
    return not compile_condition(shortfall.part)(document) and all(
        alternative and all(none_holds(each, document) for each in alternative)
        for alternative in shortfall.alternatives
    )
