"""Recorded changes of a real LibreChat give exactly the events that its users' actions mean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from bson import json_util
from bson.json_util import JSONOptions

from tests.bodies import misfits
from watcher.adapters.mongo.decode import change_of
from watcher.config.mappings import load_mappings
from watcher.core.changes import Change, Document
from watcher.core.deliveries import Delivery
from watcher.core.endpoints import Endpoint
from watcher.core.mapping import CollectionMapping
from watcher.core.marks import Marks
from watcher.core.planning import Plan

Action = dict[str, Any]

SAMPLES = Path(__file__).with_name("samples") / "librechat-changes.jsonl"
"""Change events that LibreChat's published models caused, by action, with the events expected of each."""


def recorded_actions() -> list[Action]:
    return [json.loads(line) for line in SAMPLES.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("action", recorded_actions(), ids=lambda action: action["action"])
@pytest.mark.parametrize("with_images", [True, False], ids=["pre-images", "lookups"])
def test_a_recorded_action_sends_what_it_means_and_nothing_else(action: Action, with_images: bool) -> None:
    # Without pre-images, deletes tell nothing but an _id; what became of those has tests of its own.
    changes = list(recorded_changes(action, with_images=with_images))
    expected = [
        _meaning(event) for event in action["expect"] if with_images or "deleted" not in event["event"]
    ]
    if not with_images:
        expected = [event for event in expected if event["event"] != "user.logout"]

    sent = _sent(changes)

    unexplained = [
        body for body in sent if not any(_matches(may, body) for may in map(_meaning, action["may"]))
    ]
    for event in expected:
        match = next((body for body in unexplained if _matches(event, body)), None)
        assert match is not None, f"{event} not among {unexplained}"
        unexplained.remove(match)
    assert unexplained == []
    assert [misfit for body in sent for misfit in misfits(body)] == []


def test_every_recorded_action_is_there() -> None:
    assert len(recorded_actions()) == 22


def recorded_changes(action: Action, *, with_images: bool) -> Iterator[Change]:
    text = json.dumps(action["changes"])
    for event in json_util.loads(text, json_options=JSONOptions(tz_aware=True)):
        image = event.pop("fullDocumentBeforeChange", None) if not with_images else None
        rows = {_key(event): _row_now(event)} if image and event["operationType"] == "update" else {}
        change = change_of(event, rows)
        assert isinstance(change, Change)
        yield change


def _key(event: dict[str, Any]) -> tuple[str, str]:
    return event["ns"]["coll"], str(event["documentKey"]["_id"])


def _row_now(event: dict[str, Any]) -> Document:
    """The row as a lookup would find it."""
    looked_up = change_of({**event, "operationType": "insert"}, {})
    assert isinstance(looked_up, Change)
    assert looked_up.after is not None
    return looked_up.after


@cache
def _mappings() -> tuple[CollectionMapping, ...]:
    return load_mappings()


def _sent(changes: list[Change]) -> list[dict[str, Any]]:
    """The bodies for somebody who hears everything, but for what a later change cancelled."""
    everything = Endpoint(name="default", url="http://localhost", secrets=(), events=("*",))
    plan = Plan.of(_mappings(), [everything], unfinished_hold=timedelta(seconds=60))

    planned = plan.entries(changes, Marks())

    sent: list[Delivery] = []
    for entry in planned.entries:
        if isinstance(entry, Delivery):
            assert entry.refused is None
            sent.append(entry)
        elif entry.to == "cancelled":
            sent = [each for each in sent if each.hold is None or each.hold.key != entry.key]
    return [json.loads(each.body) for each in sent]


def _meaning(event: Action) -> Action:
    """The recording's words in ours."""
    meaning = dict(event)
    if meaning["event"] == "conversation.unarchived":
        meaning |= {"event": "conversation.archived", "isArchived": False}
    elif meaning["event"] == "conversation.archived":
        meaning["isArchived"] = True
    if meaning.pop("cascade", False):
        meaning["reason"] = "cascade"
    elif meaning["event"].endswith(".deleted"):
        meaning["reason"] = "user"
    if "rating" in meaning:
        meaning["feedback"] = {"rating": meaning.pop("rating")}
    if meaning.pop("final", False):
        meaning["unfinished"] = False
    return meaning


def _matches(meaning: Action, body: dict[str, Any]) -> bool:
    said = {**body["data"], "event": body["event"]}
    return all(_agrees(name, value, said, body) for name, value in meaning.items())


def _agrees(name: str, value: Any, said: dict[str, Any], body: dict[str, Any]) -> bool:
    if name == "changed":
        return set(value) == set(said.get("changed", ()))
    if name == "userId":
        return body["userId"] == said.get("userId") and bool(body["userId"] == value)
    if name == "feedback":
        return bool((said.get("feedback") or {}).get("rating") == value["rating"])
    return bool(said.get(name) == value)
