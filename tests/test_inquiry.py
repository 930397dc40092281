"""An inquiry: one change after the other, with the holds and marks of those before it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.builders import an_endpoint
from tests.config.settings_texts import loaded
from watcher.adapters.mongo.recording import read_recording
from watcher.config.settings import Settings
from watcher.core.deliveries import Fate
from watcher.core.explaining import Fires
from watcher.inquiry import Answer, Explained, Inquiry, PassedOver

BEGIN = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    text = "watcher: {mongoUri: mongodb://a, unfinishedHold: 60}"
    return replace(loaded(tmp_path, text, need_endpoints=False), endpoints=(an_endpoint(name="crm"),))


async def answers(settings: Settings, *events: dict[str, Any]) -> tuple[list[Answer], list[Fate]]:
    inquiry = Inquiry(settings)
    recording = read_recording("\n".join(json.dumps(event) for event in events), "events.json")
    return [await inquiry.explain(each) for each in recording], list(await inquiry.held())


def fired(answer: Answer) -> list[str]:
    assert isinstance(answer, Explained)
    return [
        each.rule.event
        for each in answer.explanation.judged
        if isinstance(each.verdict, Fires) and each.rule.event
    ]


def ended(answer: Answer) -> list[tuple[str, str]]:
    assert isinstance(answer, Explained)
    return [(fate.event, fate.state) for fate in answer.ended]


def an_event(
    operation: str, collection: str, identity: str, *, at: float = 0, **fields: Any
) -> dict[str, Any]:
    when = BEGIN + timedelta(seconds=at)
    return {
        "_id": {"_data": f"826B044D47{int(at * 1000):08X}2B{identity.encode().hex().upper()}"},
        "operationType": operation,
        "wallTime": {"$date": when.isoformat().replace("+00:00", "Z")},
        "ns": {"db": "LibreChat", "coll": collection},
        "documentKey": {"_id": identity},
        **fields,
    }


def an_answer(identity: str, *, at: float = 0) -> dict[str, Any]:
    """An answer that LibreChat still writes."""
    created = (BEGIN + timedelta(seconds=at)).isoformat().replace("+00:00", "Z")
    row = {"_id": identity, "messageId": identity, "conversationId": "c1", "user": "u1", "unfinished": True}
    row["createdAt"] = {"$date": created}
    return an_event("insert", "messages", identity, at=at, fullDocument=row)


def the_end_of(answer: dict[str, Any], *, at: float) -> dict[str, Any]:
    return an_event(
        "update",
        "messages",
        answer["documentKey"]["_id"],
        at=at,
        fullDocumentBeforeChange=answer["fullDocument"],
        updateDescription={"updatedFields": {"unfinished": False, "text": "all"}, "removedFields": []},
    )


async def test_the_change_that_finishes_an_answer_ends_its_hold(settings: Settings) -> None:
    answer = an_answer("m1")

    (first, second), held = await answers(settings, answer, the_end_of(answer, at=5))

    assert (fired(first), ended(first)) == (["message.created"], [])
    assert (fired(second), ended(second)) == (["message.created"], [("message.created", "cancelled")])
    assert held == []


async def test_time_ends_holds_too(settings: Settings) -> None:
    first = an_answer("m1")

    (_, second, third, fourth), held = await answers(
        settings, first, an_answer("m2", at=30), an_answer("m3", at=61), the_end_of(first, at=62)
    )

    assert ended(second) == []
    assert ended(third) == [("message.created", "pending")]
    assert (fired(fourth), ended(fourth)) == (["message.updated"], [])
    assert [(fate.state, fate.held_until) for fate in held] == [
        ("held", BEGIN + timedelta(seconds=90)),
        ("held", BEGIN + timedelta(seconds=121)),
    ]


async def test_a_renewed_session_is_seen_as_one(settings: Settings) -> None:
    old = {
        "_id": "s0",
        "expiration": {"$date": "2026-12-01T12:00:00Z"},
        "user": "u1",
        "refreshTokenHash": "h",
    }
    new = {
        "_id": "s1",
        "user": "u1",
        "expiration": {"$date": "2026-12-01T12:00:00Z"},
        "refreshTokenHash": "h",
    }

    (inserted, deleted), held = await answers(
        settings,
        an_event("insert", "sessions", "s1", fullDocument=new),
        an_event("delete", "sessions", "s0", at=0.1, fullDocumentBeforeChange=old),
    )

    assert fired(inserted) == ["user.login"]
    assert (fired(deleted), ended(deleted)) == ([], [("user.login", "cancelled")])
    assert held == []


async def test_the_same_event_twice_is_one(settings: Settings) -> None:
    _, held = await answers(settings, an_answer("m1"), an_answer("m1"))

    assert len(held) == 1


@pytest.mark.parametrize(
    ("collection", "operation", "why"),
    [
        ("balances", "insert", "no mapping"),
        ("tokens", "insert", "credentials"),
        ("messages", "drop", "no row"),
    ],
)
async def test_what_no_mapping_speaks_of_is_passed_over(
    settings: Settings, collection: str, operation: str, why: str
) -> None:
    (answer,), _ = await answers(settings, an_event(operation, collection, "x", fullDocument={"_id": "x"}))

    assert answer == PassedOver(place="events.json:1", operation=operation, collection=collection, why=why)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "events", "crosses"),
    [
        (["text", "updatedAt"], ("*",), "yes"),
        (["updatedAt", "_meiliIndex", "metadata.run"], ("*",), "noise"),
        (["text"], ("agent.*",), "nobody listens"),
    ],
)
async def test_what_does_not_come_through_to_us_is_told(
    settings: Settings, names: Iterable[str], events: tuple[str, ...], crosses: str
) -> None:
    written = {"updatedFields": dict.fromkeys(names, 1), "removedFields": []}
    listening = replace(settings, endpoints=(an_endpoint(events=events),))

    (answer,), _ = await answers(listening, an_event("update", "messages", "m1", updateDescription=written))

    assert isinstance(answer, Explained)
    assert answer.crosses == crosses


async def test_without_endpoints_the_mapping_is_explained_all_the_same(settings: Settings) -> None:
    (answer,), held = await answers(replace(settings, endpoints=()), an_answer("m1"))

    assert isinstance(answer, Explained)
    assert fired(answer) == ["message.created"]
    assert [each.verdict.aims for each in answer.explanation.judged if isinstance(each.verdict, Fires)] == [
        ()
    ]
    assert all(each.asked for each in answer.explanation.judged)
    assert len(held) == 1
