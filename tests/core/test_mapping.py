"""The six mapping files keep their own examples, the contract's fields, and LibreChat's secrets."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.config.mappings import load_mappings
from watcher.core.catalogue import catalogue
from watcher.core.changes import Change, ChangeId, Operation
from watcher.core.deliveries import Delivery
from watcher.core.endpoints import Endpoint
from watcher.core.events import BEYOND, DOCUMENTED
from watcher.core.examples import NOON, change_of, failures
from watcher.core.expressions import NULL, compile_expression
from watcher.core.mapping import CollectionMapping
from watcher.core.marks import Marks
from watcher.core.planning import NO_IMAGE, Plan
from watcher.core.secrets import SECRET_FIELDS

COLLECTIONS = ("agents", "conversations", "files", "messages", "sessions", "users")

MESSAGE = (
    "messageId conversationId parentMessageId userId text isCreatedByUser endpoint model sender tokenCount"
    " unfinished error files tenantId"
)
CONVERSATION = "conversationId userId title endpoint model agentId isTemporary tenantId"
USER = "userId email name username provider role emailVerified tenantId"
AGENT = "agentId userId name description provider model category tenantId"
FILE = "fileId userId filename type bytes context source conversationId messageId tenantId"
FIELDS = {
    "message.created": MESSAGE,
    "message.updated": f"{MESSAGE} changed",
    "message.feedback": f"{MESSAGE} feedback",
    "message.deleted": "messageId conversationId userId tenantId reason",
    "conversation.created": CONVERSATION,
    "conversation.archived": f"{CONVERSATION} isArchived",
    "conversation.deleted": "conversationId userId tenantId reason",
    "user.registered": USER,
    "user.verified": USER,
    "user.deleted": "userId tenantId reason",
    "user.login": "userId sessionId tenantId",
    "user.logout": "userId sessionId tenantId",
    "user.session.expired": "userId sessionId tenantId",
    "agent.created": AGENT,
    "agent.updated": f"{AGENT} changed",
    "agent.deleted": "agentId userId tenantId reason",
    "file.uploaded": FILE,
    "file.deleted": "fileId userId conversationId messageId tenantId reason",
}

ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    2**70,
    0.5,
    math.nan,
    "",
    "x" * 5_000,
    "\ud800",
    [],
    [None, {}, [1], {"type": "text", "text": {"value": 7}}],
    {},
    {"rating": [], "value": {"a": None}, "": 1},
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59),  # noqa: DTZ001 - a date without a zone is odd, too
)


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_a_mapping_keeps_its_own_examples(collection: str) -> None:
    assert list(failures(_mapping(collection))) == []


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_every_rule_has_an_example_that_fires_and_one_that_does_not(collection: str) -> None:
    for rule in _mapping(collection).rules:
        fired = {isinstance(each.sends, dict) or each.fires is True for each in rule.examples}

        assert fired == {True, False}, rule.place


def test_the_catalogue_has_all_events_with_the_contracts_fields() -> None:
    entries = {entry.event: entry for entry in catalogue(_mappings())}

    assert tuple(entries)[:16] == DOCUMENTED
    assert set(entries) == {*DOCUMENTED, *BEYOND}
    assert {name: " ".join(entries[name].fields) for name in FIELDS} == FIELDS  # type: ignore[index]
    updated = entries[DOCUMENTED[1]].fields
    assert {*CONVERSATION.split(), "changed", "temperature", "tags", "pinned", "chatProjectId"} <= set(
        updated
    )
    assert not {"promptPrefix", "system", "instructions", "examples"} & set(updated)
    for entry in entries.values():
        assert entry.summary
        assert all(sample.data for sample in entry.samples)
        assert all(set(sample.data) <= set(entry.fields) for sample in entry.samples)
        assert entry.samples[0].user_id is not None or entry.event == "watcher.gap"


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_an_odd_value_in_any_field_neither_raises_nor_stops_anything(collection: str) -> None:
    for change in _example_changes(collection):
        for damaged in _damaged(change):
            planned = _everything().entries([damaged], Marks())

            assert [entry for entry in planned.entries if isinstance(entry, Delivery) and entry.refused] == []
            assert {fact.reason for fact in planned.facts} <= {NO_IMAGE}


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_names = st.sampled_from(
    [
        *(
            "_id",
            "messageId",
            "conversationId",
            "user",
            "id",
            "author",
            "file_id",
            "text",
            "content",
            "title",
        ),
        *("unfinished", "feedback", "isArchived", "filepath", "expiredAt", "expiresAt", "expiration"),
        *("createdAt", "files", "versions", "avatar", "subagentThread", "emailVerified"),
    ]
) | st.text(max_size=8)
_documents = st.dictionaries(_names, _values, max_size=6)


@settings(max_examples=150, deadline=None)
@given(
    collection=st.sampled_from(COLLECTIONS),
    operation=st.sampled_from(["insert", "update", "replace", "delete"]),
    before=st.none() | _documents,
    after=st.none() | _documents,
    updated=_documents,
    removed=st.lists(_names, max_size=3),
)
def test_no_document_whatever_it_holds_raises(
    collection: str,
    operation: Operation,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    updated: dict[str, Any],
    removed: list[str],
) -> None:
    change = Change(
        id=ChangeId("82" + "0" * 16),
        collection=collection,
        operation=operation,
        at=NOON,
        document_id="1",
        before=before,
        after=after,
        updated=updated,
        removed=removed,
    )

    planned = _everything().entries([change], Marks())

    assert {fact.reason for fact in planned.facts} <= {NO_IMAGE}


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_a_secret_never_reaches_a_body(collection: str) -> None:
    secret = {"planted": ["S3CRET", {"S3CRET": "S3CRET"}]}
    private = {
        "users": ["avatar"],
        "files": ["filepath", "storageKey"],
        "conversations": ["promptPrefix", "system"],
    }
    names = [name.replace("*", "X") for name in SECRET_FIELDS[collection]] + private.get(collection, [])
    planted = dict.fromkeys(names, secret) | ({"filepath": "/S3CRET"} if collection == "files" else {})

    bodies = []
    for change in _example_changes(collection):
        sown = _sown(change, planted)
        bodies += [e.body for e in _everything().entries([sown], Marks()).entries if isinstance(e, Delivery)]

    assert len(bodies) > 3
    assert [body for body in bodies if b"S3CRET" in body] == []


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a b"),
        ([{"type": "text", "text": "a "}, {"type": "text", "text": "b"}], "a b"),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": " b"}], "a b"),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": ""}, {"type": "text", "text": "b"}], "a b"),
        ([{"type": "text", "text": {"value": "a", "annotations": []}}], "a"),
        (
            [{"type": "think", "think": "t"}, {"type": "error", "error": "e"}, {"text": "typeless"}, None, 3],
            "",
        ),
        ([], ""),
        ("a text, not a list", None),
        (None, None),
    ],
)
def test_text_parts_are_joined_as_librechat_joins_them(content: Any, text: str | None) -> None:
    expression = compile_expression({"texts": "row.content"})

    assert expression({"row": {"content": content}}) == text


@pytest.mark.parametrize(
    ("raw", "row", "value"),
    [
        ({"first": ["row.a", "row.b"]}, {"a": None, "b": 0}, 0),
        ({"first": ["row.a", "row.b"]}, {"a": "", "b": "b"}, "b"),
        ({"first": ["row.a", "row.b"]}, {"a": ""}, ""),
        ({"first": ["row.a", "row.b"]}, {"b": None}, None),
        ({"pick": ["x", "y"], "of": "row.a"}, {"a": {"x": None, "z": 1}}, {"x": None}),
        ({"pick": ["x"], "of": "row.a"}, {"a": None}, NULL),
        ({"pick": ["x"], "of": "row.a"}, {"a": "text"}, None),
        ({"each": "row.a", "pick": ["x"]}, {"a": [{"x": 1, "z": 2}, 3, {}]}, [{"x": 1}, {}]),
        ({"each": "row.a", "pick": ["x"]}, {"a": {"x": 1}}, None),
        ({"literal": None}, {}, NULL),
        ("row.a.1.x", {"a": [0, {"x": 5}]}, 5),
        ("row.a.9", {"a": [0]}, None),
    ],
)
def test_an_expression_takes_what_it_names(raw: Any, row: dict[str, Any], value: Any) -> None:
    assert compile_expression(raw)({"row": row}) == value


def test_what_a_rule_asks_for_is_not_dropped_by_the_server() -> None:
    files = _mapping("files").never_telling()
    messages = _mapping("messages").never_telling()

    assert "filepath" not in files
    assert "bytes" not in files
    assert "_meili*" in messages
    assert not {"text", "content", "unfinished", "feedback"} & set(messages)


@cache
def _mappings() -> tuple[CollectionMapping, ...]:
    return load_mappings()


def _mapping(collection: str) -> CollectionMapping:
    return next(mapping for mapping in _mappings() if mapping.collection == collection)


@cache
def _everything() -> Plan:
    events = tuple(sorted({rule.event for each in _mappings() for rule in each.rules if rule.event}))
    listener = Endpoint(name="default", url="http://localhost", secrets=(), events=events)
    return Plan.of(_mappings(), [listener], unfinished_hold=timedelta(seconds=60))


def _example_changes(collection: str) -> Iterator[Change]:
    seen = set()
    for rule in _mapping(collection).rules:
        for example in rule.examples:
            if (key := json.dumps(example.given, sort_keys=True)) not in seen:
                seen.add(key)
                yield change_of(example.given, collection)


def _damaged(change: Change) -> Iterator[Change]:
    names = {*(change.before or ()), *(change.after or ()), *change.updated}
    for name in sorted(names):
        for odd in ODD:
            yield replace(
                change,
                before=None if change.before is None else {**change.before, name: odd},
                after=None if change.after is None else {**change.after, name: odd},
                updated={**change.updated, name: odd} if name in change.updated else change.updated,
            )


def _sown(change: Change, planted: dict[str, Any]) -> Change:
    return replace(
        change,
        before=None if change.before is None else {**change.before, **planted},
        after=None if change.after is None else {**change.after, **planted},
        updated={**change.updated, **planted} if change.operation == "update" else change.updated,
    )
