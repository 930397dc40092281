"""Planning: the right entries, in order, for whoever wants them; the same on every replay."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from watcher.config.mappings import load_mappings
from watcher.core.changes import Change, ChangeId, Checkpoint, Operation
from watcher.core.conditions import compile_condition
from watcher.core.deliveries import Delivery, Hold, Lift
from watcher.core.endpoints import Endpoint, Filter
from watcher.core.events import BEYOND, DOCUMENTED, Entity, EventType, event_id
from watcher.core.examples import NOON
from watcher.core.facts import Refused, Unreadable
from watcher.core.forms import Failed, Filled, Transform
from watcher.core.mapping import CollectionMapping
from watcher.core.marks import Mark, Marks
from watcher.core.planning import NO_IMAGE, Plan, Planned, anybody
from watcher.core.recovery import Gap
from watcher.core.views import View, see

HOLD = timedelta(seconds=60)
SOON = timedelta(seconds=1)


def test_each_subscribed_endpoint_gets_its_own_delivery_of_an_event() -> None:
    plan = _plan(_endpoint("crm"), _endpoint("audit", "message.*"), _endpoint("agents", "agent.*"))
    change = a_message(operation="insert")

    planned = plan.entries([change], Marks())

    crm, audit = _deliveries(planned)
    assert (crm.endpoint, audit.endpoint) == ("crm", "audit")
    assert crm.id == event_id(change.id, EventType("message.created"), "crm")
    assert crm.entity == Entity("conversation:c1")
    assert crm.row == Entity(f"messages:{change.document_id}")
    body = json.loads(crm.body)
    assert list(body) == ["event", "timestamp", "data", "userId", "webhookId"]
    assert body["timestamp"] == "2026-01-01T12:00:00.000Z"
    assert (body["userId"], body["webhookId"]) == ("u1", crm.id)
    assert {**body, "webhookId": ""} == {**json.loads(audit.body), "webhookId": ""}
    assert planned.events.total() == 1


def test_who_stands_in_where_nobody_is_configured_wants_every_event() -> None:
    endpoint = anybody(load_mappings())

    assert all(endpoint.subscribes(event) for event in (*DOCUMENTED, *BEYOND) if event != "watcher.gap")


def test_the_same_changes_give_the_same_entries() -> None:
    changes = [
        a_message(operation="insert"),
        a_message(operation="delete"),
        a_conversation(operation="delete"),
    ]

    assert _plan().entries(changes, Marks()) == _plan().entries(changes, Marks())


def test_events_beyond_the_sixteen_are_sent_only_by_name() -> None:
    gone = a_change("users", "delete", before={"_id": "u1"})

    by_pattern = _plan(_endpoint("crm", "*", "user.*")).entries([gone], Marks())
    by_name = _plan(_endpoint("crm", "user.deleted")).entries([gone], Marks())

    assert _events(by_pattern) == []
    assert _events(by_name) == ["user.deleted"]


def test_a_filter_keeps_an_event_from_its_own_endpoint_only() -> None:
    condition = {"isCreatedByUser": False}
    choosy = replace(_endpoint("choosy"), filters=(a_filter("message.created", condition),))
    plan = _plan(choosy, _endpoint("crm"))

    planned = plan.entries([a_message(operation="insert", isCreatedByUser=True)], Marks())

    assert [entry.endpoint for entry in _deliveries(planned)] == ["crm"]


def test_a_filter_for_another_event_says_nothing_about_this_one() -> None:
    choosy = replace(_endpoint("choosy"), filters=(a_filter("agent.*", {"name": "nobody"}),))

    planned = _plan(choosy).entries([a_message(operation="insert")], Marks())

    assert _events(planned) == ["message.created"]


def test_only_what_somebody_needs_is_watched() -> None:
    assert _plan(_endpoint("crm", "agent.created")).collections == ("agents",)
    assert _plan(_endpoint("crm", "watcher.gap")).collections == ()
    # A deletion's reason may be that its conversation or account went before.
    assert _plan(_endpoint("crm", "message.deleted")).collections == ("users", "conversations", "messages")


def test_the_source_gets_the_noise_of_each_watched_collection() -> None:
    plan = _plan(_endpoint("crm", "message.*", "conversation.*"))

    assert set(plan.noise) == set(plan.collections)
    assert "messages" in plan.noise["conversations"]


def test_one_update_may_be_several_events() -> None:
    change = a_conversation(operation="update", updated={"isArchived": True, "title": "Old"})

    assert _events(_plan().entries([change], Marks())) == [
        "conversation.archived",
        "conversation.updated",
    ]


def test_a_change_of_which_only_the_name_is_told_is_a_change_all_the_same() -> None:
    shortened = replace(a_conversation(operation="update"), untold=("tags",))

    (delivery,) = _deliveries(_plan().entries([shortened], Marks()))

    assert json.loads(delivery.body)["data"]["changed"] == ["tags"]


def test_an_unfinished_answer_is_held() -> None:
    planned = _plan().entries([a_message(operation="insert", unfinished=True)], Marks())

    [held] = _deliveries(planned)
    assert held.hold == Hold(key="messages:r1", until=NOON + HOLD)


def test_a_finished_answer_replaces_the_held_one_and_bears_the_time_of_its_end() -> None:
    finished = a_finish(after=timedelta(seconds=20))

    lift, sent = _plan().entries([finished], Marks()).entries

    assert isinstance(lift, Lift)
    assert (lift.key, lift.to) == ("messages:r1", "cancelled")
    assert isinstance(sent, Delivery)
    assert (sent.event, sent.hold, sent.at) == ("message.created", None, NOON + timedelta(seconds=20))


@pytest.mark.parametrize("seconds", [59, 60, 3_600])
def test_an_answer_finished_after_its_hold_is_an_update_of_what_was_sent(seconds: int) -> None:
    finished = a_finish(after=timedelta(seconds=seconds))

    lift, sent = _plan().entries([finished], Marks()).entries

    assert isinstance(lift, Lift)
    assert lift.to == "pending"
    assert isinstance(sent, Delivery)
    assert sent.event == "message.updated"


def test_rewriting_a_held_answer_does_not_hold_it_for_longer() -> None:
    row = {"messageId": "m1", "unfinished": True, "createdAt": NOON, "text": "A"}
    longer = a_change(
        "messages",
        "update",
        at=NOON + HOLD / 2,
        before=row,
        after={**row, "text": "A b"},
        updated={"text": "A b"},
    )

    lift, held = _plan().entries([longer], Marks()).entries

    assert isinstance(lift, Lift)
    assert lift.to == "cancelled"
    assert isinstance(held, Delivery)
    assert held.hold == Hold(key="messages:r1", until=NOON + HOLD)


@pytest.mark.parametrize("known", [True, False])
def test_a_held_answer_is_sent_before_its_deletion(known: bool) -> None:
    deleted = a_change(
        "messages", "delete", before={"messageId": "m1", "unfinished": True} if known else None
    )

    planned = _plan().entries([deleted], Marks())

    first = planned.entries[0]
    assert isinstance(first, Lift)
    assert (first.key, first.to) == ("messages:r1", "pending")
    assert _events(planned) == (["message.deleted"] if known else [])


def test_nothing_is_lifted_where_nothing_is_held() -> None:
    changes = [a_finish(after=SOON), a_change("messages", "delete")]

    planned = _plan(_endpoint("crm", "message.deleted")).entries(changes, Marks())

    assert planned.entries == ()


def test_messages_deleted_after_their_conversation_went_by_cascade() -> None:
    changes = [a_conversation(operation="delete"), a_message(operation="delete")]

    planned = _plan().entries(changes, Marks())

    assert _reasons(planned) == ["user", "cascade"]
    assert planned.marks == (Mark(entity=Entity("conversation:c1 of u1"), at=NOON),)


def test_somebody_elses_conversation_of_the_same_id_is_not_gone() -> None:
    changes = [a_conversation(operation="delete", user="u2"), a_message(operation="delete")]

    assert _reasons(_plan().entries(changes, Marks())) == ["user", "user"]


def test_what_left_is_told_once_by_its_kind() -> None:
    sessions = _mapping("sessions").viewpoint
    ended = a_change("sessions", "delete", before={"user": "u1"})

    seen = see(ended, sessions, Marks.of([Mark(entity=Entity("user:u1"), at=NOON)]).taking(), hold=HOLD)

    assert seen.view["gone"] == ["user"]


def test_only_a_departure_leaves_a_mark() -> None:
    changes = [
        a_message(operation="insert"),
        a_message(operation="delete"),
        a_change("conversations", "delete"),
    ]

    assert _plan().entries(changes, Marks()).marks == ()


@pytest.mark.parametrize(
    ("minutes", "reason"), [(0, "cascade"), (9, "cascade"), (11, "user"), (-1, "cascade")]
)
def test_a_departure_of_an_earlier_batch_is_remembered_for_ten_minutes(minutes: int, reason: str) -> None:
    marks = Marks.of([Mark(entity=Entity("conversation:c1 of u1"), at=NOON - timedelta(minutes=minutes))])

    planned = _plan().entries([a_message(operation="delete")], marks)

    assert _reasons(planned) == [reason]


def test_what_an_account_takes_along_went_by_cascade_and_itself_by_a_person() -> None:
    rows: list[tuple[str, dict[str, Any]]] = [
        ("messages", {"messageId": "m1", "conversationId": "c1", "user": "u1"}),
        ("conversations", {"conversationId": "c1", "user": "u1"}),
        ("files", {"file_id": "f1", "user": "u1", "filepath": "/f"}),
        ("agents", {"id": "a1", "author": "u1"}),
        ("agents", {"id": "a2", "author": "u2"}),
    ]
    announced = a_change(
        "users", "update", document="u1", updated={"agentTriggerDeletionStartedAt": NOON}, after={"_id": "u1"}
    )
    deleted = [a_change(collection, "delete", before=row) for collection, row in rows]
    account = a_change("users", "delete", document="u1", before={"_id": "u1"})

    planned = _plan(_endpoint("crm", "*", "user.deleted")).entries([announced, *deleted, account], Marks())

    assert _reasons(planned) == ["cascade", "cascade", "cascade", "cascade", "user", "user"]


def test_old_departures_are_forgotten() -> None:
    old, young = Entity("conversation:c1"), Entity("conversation:c2")
    marks = Marks.of([Mark(entity=old, at=NOON)])
    new = Mark(entity=young, at=NOON + HOLD * 15)

    later = marks.joined([new], through=NOON + HOLD * 15)

    assert later == Marks.of([new])
    assert marks.joined([], through=NOON) is marks


def test_a_deletion_of_which_nothing_is_known_is_told_and_not_guessed() -> None:
    collections = ("messages", "conversations", "agents", "files", "sessions")
    changes = [a_change(collection, "delete") for collection in collections]

    planned = _plan().entries(changes, Marks())

    assert _deliveries(planned) == []
    assert {(fact.event, fact.reason) for fact in planned.facts} == {
        (name, NO_IMAGE)
        for name in (
            "message.deleted",
            "conversation.deleted",
            "agent.deleted",
            "file.deleted",
            "user.logout",
        )
    }


def test_nothing_is_told_missing_that_nobody_asked_for() -> None:
    planned = _plan(_endpoint("crm", "message.created")).entries([a_change("messages", "delete")], Marks())

    assert planned.facts == ()


def test_an_account_is_known_by_its_id_alone() -> None:
    gone = a_change("users", "delete", document="u1")

    [sent] = _deliveries(_plan(_endpoint("crm", "user.deleted")).entries([gone], Marks()))

    assert json.loads(sent.body)["data"] == {"userId": "u1"}
    assert sent.entity == "user:u1"


def test_one_bad_document_is_seen_as_dead_and_stops_nothing() -> None:
    def fails(view: View) -> Any:
        raise RuntimeError(f"cannot read {view['row']}")

    plan = _broken_plan(fails, _endpoint("crm"), _endpoint("audit"))

    planned = plan.entries([a_message(operation="insert", text="S3CRET")] * 2, Marks())

    assert [entry.endpoint for entry in _deliveries(planned)] == ["crm", "audit"] * 2
    for entry in _deliveries(planned):
        assert entry.refused is not None
        assert "RuntimeError in the rule at messages.yaml:" in entry.refused
        assert "S3CRET" not in entry.refused
        assert json.loads(entry.body)["data"] == {}
    told = [(fact.collection, fact.event) for fact in planned.facts if isinstance(fact, Unreadable)]
    assert told == [("messages", "message.created")] * 2


def test_an_endpoint_whose_body_cannot_be_made_gets_a_dead_delivery_and_the_others_get_theirs() -> None:
    failing = Transform(
        name="transform", source="", fill=lambda context: Failed(reason="transform: data.x is undefined")
    )
    plan = _plan(replace(_endpoint("slack"), form=failing), _endpoint("crm"))

    planned = plan.entries(
        [a_message(operation="insert"), a_message(operation="insert", unfinished=True)], Marks()
    )

    refused, good, unfinished, held = _deliveries(planned)
    reason = "transform: data.x is undefined (event message.created)"
    assert (refused.refused, refused.hold, good.refused) == (reason, None, None)
    assert json.loads(refused.body)["data"] == json.loads(good.body)["data"]
    assert (unfinished.refused, unfinished.hold) == (reason, None), "what cannot be sent waits for nothing"
    assert held.hold is not None
    assert list(planned.facts) == [
        Refused(endpoint="slack", id=each.id, event=EventType("message.created"), reason=reason)
        for each in (refused, unfinished)
    ]


def test_a_gap_is_told_in_each_endpoints_form() -> None:
    shout = Transform(
        name="transform", source="", fill=lambda context: Filled(value=context["data"]["reason"])
    )
    plan = _plan(replace(_endpoint("slack", "watcher.gap"), form=shout))
    gap = Gap(since=NOON, until=NOON, earliest=NOON, reason="lost")

    [told] = plan.gap(gap, Checkpoint(token=ChangeId("82AB"), at=NOON), repaired=True, counts={})

    assert told.body == b'"lost"'


def test_a_change_that_cannot_be_seen_is_told_for_each_event_that_it_might_be() -> None:
    unseen = replace(a_message(operation="insert"), after=["not", "a", "row"])  # type: ignore[arg-type]

    planned = _plan().entries([unseen, a_message(operation="insert")], Marks())

    refused, good = _deliveries(planned)
    assert refused.refused is not None
    assert good.refused is None
    assert [fact.event for fact in planned.facts] == ["message.created"]


def test_of_several_rules_for_an_event_the_first_that_fires_speaks() -> None:
    messages = _mapping("messages")
    doubled = replace(messages, rules=(*messages.rules, *messages.rules))
    plan = Plan.of([doubled], [_endpoint("crm")], unfinished_hold=HOLD)

    assert _events(plan.entries([a_message(operation="insert")], Marks())) == ["message.created"]


def test_two_people_may_have_a_conversation_of_the_same_id() -> None:
    changes = [a_conversation(operation="update", updated={"title": "T"}, user=user) for user in ("u1", "u2")]

    planned = _plan().entries(changes, Marks())

    assert [json.loads(entry.body)["userId"] for entry in _deliveries(planned)] == ["u1", "u2"]


@pytest.mark.parametrize("damaged", [{"$gt": 1}, None, "", 7, "c" * 257])
def test_a_row_whose_id_is_damaged_is_kept_in_order_by_its_row(damaged: Any) -> None:
    [sent] = _deliveries(_plan().entries([a_message(operation="insert", conversationId=damaged)], Marks()))

    assert sent.entity == "messages:r1"


# ---------------------------------------------------------------- builders


def a_change(
    collection: str,
    operation: Operation,
    *,
    document: str = "r1",
    at: Any = NOON,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    updated: Mapping[str, Any] | None = None,
) -> Change:
    return Change(
        id=ChangeId("826B044D4700000014AB"),
        collection=collection,
        operation=operation,
        at=at,
        document_id=document,
        before=before,
        after=after,
        updated=updated or {},
        removed=(),
    )


def a_message(*, operation: Operation, **fields: Any) -> Change:
    row = {"messageId": "m1", "conversationId": "c1", "user": "u1", "text": "hi", **fields}
    known = {"after": row} if operation == "insert" else {"before": row}
    return a_change("messages", operation, **known)  # type: ignore[arg-type]


def a_conversation(
    *, operation: Operation, updated: Mapping[str, Any] | None = None, user: str = "u1"
) -> Change:
    row = {"conversationId": "c1", "user": user, "title": "New Chat"}
    after = {**row, **updated} if updated else None
    return a_change("conversations", operation, before=row, after=after, updated=updated)


def a_finish(*, after: timedelta) -> Change:
    """The end of an answer that was stored unfinished at noon."""
    row = {"messageId": "m1", "conversationId": "c1", "unfinished": True, "createdAt": NOON}
    end = {"unfinished": False, "text": "all"}
    return a_change("messages", "update", at=NOON + after, before=row, after={**row, **end}, updated=end)


def a_filter(pattern: str, condition: dict[str, Any]) -> Filter:
    return Filter(pattern=pattern, condition=condition, predicate=compile_condition(condition))


def _endpoint(name: str, *events: str) -> Endpoint:
    return Endpoint(name=name, url="http://localhost", secrets=(), events=events or ("*",))


def _plan(*endpoints: Endpoint) -> Plan:
    return Plan.of(_mappings(), endpoints or [_endpoint("crm")], unfinished_hold=HOLD)


def _broken_plan(expression: Any, *endpoints: Endpoint) -> Plan:
    messages = _mapping("messages")
    rules = tuple(replace(rule, data=(("text", expression),)) for rule in messages.rules)
    return Plan.of([replace(messages, rules=rules)], endpoints, unfinished_hold=HOLD)


@cache
def _mappings() -> tuple[CollectionMapping, ...]:
    return load_mappings()


def _mapping(collection: str) -> CollectionMapping:
    return next(mapping for mapping in _mappings() if mapping.collection == collection)


def _deliveries(planned: Planned) -> Sequence[Delivery]:
    return [entry for entry in planned.entries if isinstance(entry, Delivery)]


def _events(planned: Planned) -> Sequence[str]:
    return [entry.event for entry in _deliveries(planned)]


def _reasons(planned: Planned) -> Sequence[str]:
    return [json.loads(entry.body)["data"]["reason"] for entry in _deliveries(planned)]


def test_without_ordering_each_delivery_stands_in_a_line_of_its_own() -> None:
    plan = _plan(replace(_endpoint("crm"), ordered=False))

    planned = plan.entries([a_message(operation="insert"), a_message(operation="delete")], Marks())

    assert all(str(entry.entity) == str(entry.id) for entry in _deliveries(planned))
