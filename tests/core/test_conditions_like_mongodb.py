"""The same conditions, judged by us and by a real MongoDB, over thousands of random pairs."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from watcher.core.conditions import compile_condition

GROUPS = 6
DOCUMENTS = 60
CONDITIONS = 90

DAY = datetime(2026, 11, 24, tzinfo=UTC)
SCALARS = [
    None,
    True,
    False,
    0,
    1,
    2,
    1.0,
    1.5,
    -1,
    "",
    "a",
    "b",
    "ab",
    "A",
    DAY,
    DAY + timedelta(days=1),
    float("nan"),
]
KEYS = ["a", "b", "c", "0"]


def a_value(dice: random.Random, depth: int = 2):
    kind = dice.random()
    if depth and kind < 0.2:
        return [a_value(dice, depth - 1) for _ in range(dice.randrange(3))]
    if depth and kind < 0.35:
        return {key: a_value(dice, depth - 1) for key in dice.sample(KEYS, dice.randrange(3))}
    return dice.choice(SCALARS)


def a_document(dice: random.Random):
    return {key: a_value(dice) for key in dice.sample(KEYS[:3], dice.randrange(4))}


def a_path(dice: random.Random) -> str:
    return ".".join(dice.choice(KEYS) for _ in range(dice.choice([1, 1, 1, 2, 2, 3]))).lstrip("0.") or "a"


def operators(dice: random.Random, depth: int = 1):
    match dice.choice(
        ["$eq", "$ne", "$in", "$nin", "$gt", "$gte", "$lt", "$lte", "$exists", "$regex", "$not"]
    ):
        case "$in" | "$nin" as name:
            return {name: [a_value(dice, 1) for _ in range(dice.randrange(4))]}
        case "$gt" | "$gte" | "$lt" | "$lte" as name:
            bounds = [scalar for scalar in SCALARS if scalar is not None or name in ("$gte", "$lte")]
            return {name: dice.choice(bounds)}
        case "$exists":
            return {"$exists": dice.random() < 0.5}
        case "$regex":
            return {"$regex": dice.choice(["a", "^a", "b$", "^$"]), "$options": dice.choice(["", "i"])}
        case "$not" if depth:
            return {"$not": operators(dice, depth - 1)}
        case name:
            return {"$ne" if name == "$ne" else "$eq": a_value(dice, 1)}


def a_condition(dice: random.Random, depth: int = 2):
    if depth and dice.random() < 0.2:
        return {
            dice.choice(["$and", "$or", "$nor"]): [
                a_condition(dice, depth - 1) for _ in range(dice.choice([1, 2]))
            ]
        }
    chosen = {}
    for _ in range(dice.choice([1, 1, 2])):
        value = operators(dice) if dice.random() < 0.7 else a_value(dice, 1)
        chosen[a_path(dice)] = value
    return chosen


async def test_our_verdict_is_mongodb_s(mongo_client, database):
    dice, pairs, matches = random.Random(20261124), 0, 0
    for group in range(GROUPS):
        collection = mongo_client[database][f"group{group}"]
        documents = [{"_id": number, **a_document(dice)} for number in range(DOCUMENTS)]
        await collection.insert_many(documents)
        for _ in range(CONDITIONS):
            condition = a_condition(dice)
            theirs = {row["_id"] async for row in collection.find(condition, {"_id": 1})}
            judge = compile_condition(condition)
            for document in documents:
                ours = judge(document)
                assert ours == (document["_id"] in theirs), f"{condition} on {document}: we say {ours}"
            pairs += len(documents)
            matches += len(theirs)
    assert pairs >= 30_000
    assert matches > pairs / 20
