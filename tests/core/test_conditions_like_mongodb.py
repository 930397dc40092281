"""The same conditions, judged by us and by a real MongoDB, over thousands of random pairs."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from watcher.core.conditions import compile_condition

SEED = 20261124
GROUPS = 8
DOCUMENTS = 60
CONDITIONS = 100

DAY = datetime(2026, 11, 24, tzinfo=UTC)
NAN = float("nan")
SCALARS: list[Any] = [None, True, False, 0, 1, 2, 1.0, 1.5, -1, "", "a", "b", "ab", "A", "a\nb", "1"]
SCALARS += [DAY, DAY + timedelta(milliseconds=1), NAN, float("inf"), 2**53, 2**53 + 1, float(2**53)]
KEYS = ["a", "b", "0", "1", "01"]
PATTERNS = ["a", "^a", "b$", "^$", "^B", "A", "a.b", "^b", "a|1", "[ab]{2}", "^(a|b)?$"]


CORNERS: list[tuple[dict[str, Any], Any]] = [
    ({"a.0.0": None}, ["1"]),  # a step too far by an index leads nowhere, not to what is missing
    ({"a.0.b": None}, [{"b": 1}, {}]),
    ({"a.b": None}, [1, 2]),
    ({"a.b": None}, []),
    ({"a.b": None}, 1),
    ({"a.0": 1}, [[1, 2]]),
    ({"a.0": 1}, {"0": 1}),
    ({"a.00": 1}, [1]),
    ({"a.0.b": 1}, [[{"b": 1}]]),
    ({"a": [1]}, [[1], 2]),
    ({"a": {"b": 1, "c": 2}}, {"c": 2, "b": 1}),
    ({"a": {"b": 1.0}}, {"b": 1}),
    ({"a": {}}, {"b": 1}),
    ({"a": {"$gte": NAN}}, NAN),
    ({"a": {"$lt": 5}}, NAN),
    ({"a": {"$gt": False}}, True),
    ({"a": {"$gt": 2**53}}, 2**53 + 1),
    ({"a": {"$gt": 0, "$lt": 2}}, [-1, 3]),
    ({"a": {"$not": {"$gt": 0, "$lt": 2}}}, [-1, 3]),
    ({"a": {"$in": []}}, 1),
    ({"a": {"$nin": []}}, 1),
]


@pytest.mark.parametrize(("condition", "value"), CORNERS)
async def test_in_the_corners_too(
    condition: dict[str, Any], value: Any, mongo_client: AsyncMongoClient[dict[str, Any]], database: str
) -> None:
    collection = mongo_client[database].corners
    await collection.insert_one({"a": value})

    theirs = await collection.count_documents(condition) == 1

    assert compile_condition(condition)({"a": value}) is theirs


async def test_our_verdict_is_mongodbs(mongo_client: AsyncMongoClient[dict[str, Any]], database: str) -> None:
    dice = random.Random(SEED)
    pairs = matches = 0
    used: Counter[str] = Counter()
    for group in range(GROUPS):
        collection = mongo_client[database][f"group{group}"]
        documents = [{"_id": number, **a_document(dice)} for number in range(DOCUMENTS)]
        await collection.insert_many(documents)
        for _ in range(CONDITIONS):
            condition = a_condition(dice, documents)
            theirs = {row["_id"] async for row in collection.find(condition, {"_id": 1})}

            judge = compile_condition(condition)

            for document in documents:
                ours, said = judge(document), document["_id"] in theirs
                assert ours is said, f"{condition}\non {document}:\nwe say {ours}, MongoDB {said}"
            pairs += len(documents)
            matches += len(theirs)
            if 0 < len(theirs) < len(documents):
                used.update(operators_in(condition))

    # The comparison means something: every operator told documents apart, and not by saying no to nearly all.
    assert pairs == GROUPS * DOCUMENTS * CONDITIONS
    assert 0.1 < matches / pairs < 0.9
    assert set(used) == {
        *("$eq", "$ne", "$in", "$nin", "$gt", "$gte", "$lt", "$lte", "$exists", "$regex", "$options", "$not"),
        *("$and", "$or", "$nor"),
    }
    assert min(used.values()) >= 15, used


def a_document(dice: random.Random) -> dict[str, Any]:
    return {key: a_value(dice, depth=3) for key in ("a", "b") if dice.random() < 0.8}


def a_value(dice: random.Random, depth: int) -> Any:
    kind = dice.random()
    if depth and kind < 0.3:
        return [a_value(dice, depth - 1) for _ in range(dice.randrange(4))]
    if depth and kind < 0.55:
        return {key: a_value(dice, depth - 1) for key in dice.sample(KEYS, dice.randrange(3))}
    return dice.choice(SCALARS)


def a_condition(dice: random.Random, documents: list[dict[str, Any]], depth: int = 2) -> dict[str, Any]:
    condition: dict[str, Any] = {}
    for _ in range(dice.choice([1, 1, 1, 2])):
        if depth and dice.random() < 0.25:
            parts = [a_condition(dice, documents, depth - 1) for _ in range(dice.choice([1, 2, 2]))]
            condition[dice.choice(["$and", "$or", "$nor"])] = parts
        else:
            path, value = a_place(dice, documents)
            condition[path] = value if plain(value) and dice.random() < 0.25 else operators(dice, value)
    return condition


def a_place(dice: random.Random, documents: list[dict[str, Any]]) -> tuple[str, Any]:
    """A path and, mostly, what one of the documents has there: so that conditions often hold."""
    path = [dice.choice("ab"), *(dice.choice(KEYS) for _ in range(dice.choice([0, 0, 1, 1, 2, 3])))]
    if dice.random() < 0.3:
        return ".".join(path), a_value(dice, depth=1)
    value: Any = dice.choice(documents)
    walked: list[str] = []
    while isinstance(value, dict | list) and value and (not walked or dice.random() < 0.6):
        names = [name for name in value if name != "_id"] if isinstance(value, dict) else range(len(value))
        if not names:
            break
        name = dice.choice(list(names))
        # An array's documents can be reached without an index as well.
        skipped = isinstance(value, list) and isinstance(value[name], dict) and dice.random() < 0.5
        value = value[name]
        walked += [] if skipped else [str(name)]
    if dice.random() < 0.1:
        walked.append(dice.choice(KEYS))  # one step too far
    return ".".join(walked or path), value


def operators(dice: random.Random, value: Any, depth: int = 1) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for _ in range(dice.choice([1, 1, 2])):
        chosen |= an_operator(dice, value, depth)
    return chosen


def an_operator(dice: random.Random, value: Any, depth: int) -> dict[str, Any]:
    name = dice.choice(
        ["$eq", "$ne", "$in", "$nin", "$gt", "$gte", "$lt", "$lte", "$exists", "$regex", "$not", "$not"]
    )
    match name:
        case "$in" | "$nin":
            return {name: [value, *(a_value(dice, 1) for _ in range(dice.randrange(3)))][dice.randrange(2) :]}
        case "$gt" | "$gte" | "$lt" | "$lte":
            bound = dice.choice(SCALARS) if isinstance(value, dict | list) else value
            return {name: 1 if bound is None and name in ("$gt", "$lt") else bound}
        case "$exists":
            return {name: dice.choice([True, False, 1, 0])}
        case "$regex":
            options = "".join(dice.sample("imsx", dice.randrange(3)))
            return {"$regex": dice.choice(PATTERNS), "$options": options}
        case "$not" if depth:
            return {name: operators(dice, value, depth - 1)}
        case "$ne":
            return {name: value}
        case _:
            return {"$eq": value}


def plain(value: Any) -> bool:
    """May it stand without `$eq`? (An empty mapping may, too.)"""
    return not isinstance(value, dict) or not any(key.startswith("$") for key in value)


def operators_in(condition: Any) -> set[str]:
    if isinstance(condition, dict):
        own = {key for key in condition if key.startswith("$")}
        return own.union(*(operators_in(value) for value in condition.values()))
    if isinstance(condition, list):
        return set[str]().union(*(operators_in(value) for value in condition))
    return set()
