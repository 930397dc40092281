"""A recording: the forms in which events are written down, and what is wrong with those not to be read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import json_util
from bson.json_util import CANONICAL_JSON_OPTIONS, RELAXED_JSON_OPTIONS
from hypothesis import given
from hypothesis import strategies as st

from tests.test_samples import SAMPLES, recorded_actions, recorded_changes
from watcher.adapters.mongo.recording import Recorded, read_recording
from watcher.core.changes import Change
from watcher.errors import InputError

EVENT: dict[str, Any] = {
    "_id": {"_data": "826B044D47000000142B022C0100296E5A1004"},
    "operationType": "update",
    "wallTime": {"$date": "2026-11-24T12:00:00.250Z"},
    "ns": {"db": "LibreChat", "coll": "messages"},
    "documentKey": {"_id": {"$oid": "6b044d4773a41b0b86a68795"}},
    "updateDescription": {"updatedFields": {"text": "new"}, "removedFields": []},
    "fullDocument": {"_id": {"$oid": "6b044d4773a41b0b86a68795"}, "messageId": "m1", "text": "newer"},
}


def read(text: str) -> list[Recorded]:
    return list(read_recording(text, "events.json"))


def an_event(**fields: Any) -> dict[str, Any]:
    return {**EVENT, **fields}


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (json.dumps(EVENT), [1]),
        (json.dumps(EVENT, indent=2), [1]),
        (f"\ufeff\n\n{json.dumps(EVENT)}\n", [3]),
        (f"{json.dumps(EVENT)}\n{json.dumps(EVENT)}\n", [1, 2]),
        (f"{json.dumps(EVENT)} {json.dumps(EVENT, indent=1)}\n", [1, 1]),
        (json.dumps([EVENT, EVENT]), [1, 1]),
        (json.dumps({"action": "edit", "changes": [EVENT], "expect": []}), [1]),
    ],
    ids=["one", "over lines", "space around", "a line each", "one after the other", "a list", "an action"],
)
def test_events_may_be_written_down_in_many_ways(text: str, places: list[int]) -> None:
    found = read(text)

    assert [each.place for each in found] == [f"events.json:{line}" for line in places]
    change = found[0].change
    assert [each.change for each in found] == [change] * len(places)
    assert change is not None
    assert (change.collection, change.operation, change.document_id) == (
        "messages",
        "update",
        "6b044d4773a41b0b86a68795",
    )
    assert change.at == datetime(2026, 11, 24, 12, 0, 0, 250_000, UTC)
    # The row as a look-up would have found it, with the update's own values laid over.
    assert (change.before, change.after) == (
        None,
        {"_id": "6b044d4773a41b0b86a68795", "messageId": "m1", "text": "new"},
    )


@pytest.mark.parametrize(
    "options", [CANONICAL_JSON_OPTIONS, RELAXED_JSON_OPTIONS], ids=["canonical", "relaxed"]
)
def test_both_kinds_of_extended_json_give_the_recorded_changes(options: json_util.JSONOptions) -> None:
    for action in recorded_actions():
        events = json_util.loads(
            json.dumps(action["changes"]), json_options=json_util.JSONOptions(tz_aware=True)
        )
        text = "\n".join(json_util.dumps(event, json_options=options) for event in events)

        changes = [each.change for each in read(text) if each.change]

        expected = list(recorded_changes(action, with_images=True))
        assert [without_cuts(change) for change in changes] == [without_cuts(change) for change in expected]


def without_cuts(change: Change) -> Any:
    """What both ways of reading show of a change, but for what MongoDB would have kept back."""
    return (
        change.id,
        change.collection,
        change.operation,
        change.at,
        change.document_id,
        sorted(change.updated),
    )


def test_the_whole_recording_is_read() -> None:
    found = read_recording(SAMPLES.read_text(encoding="utf-8"), "samples.jsonl")

    assert len(found) == sum(len(action["changes"]) for action in recorded_actions())
    assert found[-1].place == f"samples.jsonl:{len(recorded_actions())}"


def test_what_mongodb_keeps_back_is_not_read() -> None:
    row = {"_id": 1, "email": "a@b.c", "password": "S3CRET", "totpSecret": "S3CRET"}
    update = {"updatedFields": {"password": "S3CRET", "totpSecret.x": "S3CRET", "name": "A"}}
    users = {"db": "LibreChat", "coll": "users"}
    event = an_event(
        ns=users,
        documentKey={"_id": 1},
        fullDocumentBeforeChange=row,
        fullDocument=row,
        updateDescription=update,
    )

    (found,) = read(json.dumps(event))

    assert found.change is not None
    assert "S3CRET" not in repr(found.change)
    assert found.change.updated == {"password": None, "totpSecret.x": None, "name": "A"}


@pytest.mark.parametrize("operation", ["drop", "invalidate", "rename", "dropDatabase", "createIndexes"])
def test_what_is_about_no_row_is_read_and_passed_over(operation: str) -> None:
    (found,) = read(json.dumps({"_id": {"_data": "82"}, "operationType": operation}))

    assert (found.operation, found.collection, found.change) == (operation, "", None)


@pytest.mark.parametrize(
    ("event", "what"),
    [
        ({"password": "S3CRET"}, "no `operationType`"),
        ("S3CRET", "no `operationType`"),
        (7, "no `operationType`"),
        (an_event(operationType=["S3CRET"]), "no `operationType`"),
        (an_event(ns={"db": "S3CRET"}), "which row changed"),
        (an_event(documentKey={}), "which row changed"),
        (an_event(_id="S3CRET"), "no resume token"),
        (an_event(wallTime="2026-11-24T12:00:00Z"), "when it happened"),
        (an_event(operationType="insert", fullDocument=None), "no `fullDocument`"),
        (an_event(operationType="replace", fullDocument="S3CRET"), "no `fullDocument`"),
        (an_event(updateDescription=None), "`updateDescription`"),
        (an_event(updateDescription={"updatedFields": ["S3CRET"]}), "`updateDescription`"),
        (an_event(updateDescription={"updatedFields": {}, "removedFields": [1]}), "`updateDescription`"),
        (an_event(updateDescription={"updatedFields": {}, "truncatedArrays": [1]}), "`updateDescription`"),
        ([], "no event in it"),
    ],
)
def test_what_is_no_event_is_refused_with_its_place_and_the_cure(event: Any, what: str) -> None:
    with pytest.raises(InputError) as refused:
        read(json.dumps(event))

    (problem,) = refused.value.problems
    assert problem.where.startswith("events.json")
    assert what in problem.what
    assert "EJSON.stringify" in problem.cure
    assert "S3CRET" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", "events.json", "no event in it"),
        (" \n ", "events.json", "no event in it"),
        ('{"a": "S3CRET" oops}', "events.json:1:16", "no JSON"),
        ('{"a": 1}\n{"b": ', "events.json:2:7", "no JSON"),
        ("{'a': 1}", "events.json:1:2", "no JSON"),
        ('\n{"_id": {"$oid": "S3CRET"}}', "events.json:2", "no Extended JSON"),
        ('{"a": {"$date": "S3CRET"}}', "events.json:1", "no Extended JSON"),
        ("[" * 100_000, "events.json:1", "JSON"),
    ],
)
def test_what_is_no_json_is_refused_where_it_ends_to_be(text: str, where: str, what: str) -> None:
    with pytest.raises(InputError) as refused:
        read(text)

    problem = refused.value.problems[-1]
    assert problem.where == where
    assert what in problem.what
    assert "S3CRET" not in str(refused.value)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InputError) as refused:
        read("{}\n" + json.dumps(EVENT) + '\n{"a": 1}\n')

    assert [problem.where for problem in refused.value.problems] == ["events.json:1", "events.json:3"]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$oid", "$date", "$numberLong", "a", "_id"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(fields=st.dictionaries(st.sampled_from([*EVENT, "fullDocumentBeforeChange"]), anything, max_size=3))
def test_whatever_stands_in_an_event_it_is_read_or_refused(fields: dict[str, Any]) -> None:
    try:
        found = read(json.dumps(an_event(**fields)))
    except InputError:
        return
    assert all(isinstance(each.change, Change | None) for each in found)
