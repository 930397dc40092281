"""Misfits: a filter that lets nothing pass, or everything, by a slip of the pen is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.builders import an_endpoint
from watcher.config.mappings import load_mappings
from watcher.core.catalogue import fields_of
from watcher.core.conditions import compile_condition
from watcher.core.endpoints import Filter
from watcher.core.misfits import misfits

FIELDS = fields_of(load_mappings())


def told(condition: dict[str, Any], pattern: str = "*", events: tuple[str, ...] = ("*",)) -> list[str]:
    sieve = Filter(pattern=pattern, condition=condition, predicate=compile_condition(condition))
    found = misfits(an_endpoint(filters=(sieve,), events=events), FIELDS)
    assert all(each.pattern == pattern for each in found)
    return [f"{each.what}. {each.cure}" for each in found]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"isCreatedByUser": "false"}, "is never one: it is true or false. Write false"),
        ({"isCreatedByUser": {"$ne": "no"}}, "Write true or false, without quotes."),
        ({"tokenCount": {"$gt": "abc"}}, "is never one: it is a number. Write a number"),
        ({"tokenCount": {"$not": {"$regex": "1"}}}, "compared with a text"),
        ({"tokenCount": True}, "compared with true or false"),
        ({"model": 4}, "Put it in quotes."),
        ({"model": {"$in": ["gpt-4o", 4]}}, "compared with a number"),
        ({"model": {"$in": []}}, "holds for none"),
        ({"tokenCount": {"$gt": float("nan")}}, ".nan"),
        ({"nosuchfield": 1}, "no event that it judges has a field nosuchfield"),
        ({"modle": {"$exists": True}}, "Did you mean model?"),
        ({"$or": [{"model": "a"}, {"$nor": [{"modle": "a"}]}]}, "Did you mean model?"),
        ({"feedback.ratign": "thumbsUp"}, "Did you mean feedback.rating?"),
        ({"feedback.rating": "thumbsup"}, "It is one of thumbsDown, thumbsUp."),
        ({"text.length": 1}, "no event that it judges has a field text.length"),
        ({"files.bytes": "1"}, "Write a number"),
        ({"files.0.bytes": {"$gt": "1"}}, "Write a number"),
        ({"userId": 1}, "Put it in quotes."),
    ],
)  # fmt: skip
def test_what_no_event_can_meet_is_told_with_its_cure(condition: dict[str, Any], words: str) -> None:
    (what,) = told(condition, "message.*")

    assert words in what


@pytest.mark.parametrize(
    "condition",
    [
        {"endpoint": "openAI", "isCreatedByUser": False},
        {"tokenCount": {"$gte": 1.5}, "tenantId": None, "userId": {"$in": ["u1", None]}},
        {"files.type": {"$regex": "^image/"}, "files": {"$exists": True}, "files.0": {"filename": "a"}},
        {"feedback": None, "feedback.tag.anything": 1, "feedback.rating": {"$ne": "thumbsUp"}},
        {"truncated": "text", "recovered": True, "changed": "text", "model": {"$nin": []}},
        {"feedback": {"rating": "thumbsUp"}},
    ],
)
def test_what_may_be_is_not_told(condition: dict[str, Any]) -> None:
    assert told(condition, "message.*") == []


def test_only_the_events_that_the_filter_judges_count() -> None:
    assert told({"title": "a"}, "message.*") != []
    assert told({"title": "a"}, "*") == []
    assert told({"title": "a"}, "*", events=("message.created",)) != []
    assert told({"nosuchfield": 1}, "agent.*", events=("message.created",)) == [], "it judges nothing here"


@pytest.mark.parametrize(
    ("fields", "condition", "many"),
    [
        ({}, {"title": 1}, 0),
        ({}, {"title.inner": 1}, 0),
        ({}, {"other": 1}, 1),
        ({"title": {"type": "string"}}, {"title": 1}, 1),
    ],
)
def test_of_a_field_of_which_nothing_is_said_nothing_is_told(
    fields: Any, condition: dict[str, Any], many: int, tmp_path: Path
) -> None:
    mapping = {
        "collection": "presets",
        "entity": {"conversation": "row.presetId"},
        "fields": fields,
        "rules": [
            {
                "event": "preset.shared",
                "summary": "One was shared.",
                "operations": ["insert"],
                "data": {"title": "row.title"},
            }
        ],
    }
    file = tmp_path / "presets.yaml"
    file.write_text(yaml.safe_dump(mapping))
    sieve = Filter(pattern="preset.shared", condition=condition, predicate=compile_condition(condition))
    endpoint = an_endpoint(filters=(sieve,), events=("preset.shared",))

    assert len(misfits(endpoint, fields_of(load_mappings([file])))) == many
