"""Explaining: the very verdicts of the plan, each with its reason, and no more of a row than may be told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from tests.builders import NOON, a_change, an_endpoint
from tests.test_samples import recorded_actions, recorded_changes
from watcher.config.mappings import load_mappings
from watcher.core.changes import Change
from watcher.core.conditions import compile_condition
from watcher.core.deliveries import Delivery, Lift
from watcher.core.endpoints import Endpoint, Filter
from watcher.core.events import BEYOND
from watcher.core.examples import change_of
from watcher.core.explaining import (
    Alike,
    Broken,
    Explanation,
    Fires,
    OtherOperation,
    Spoken,
    Unknown,
    Unmet,
    Untouched,
    explain,
)
from watcher.core.mapping import CollectionMapping
from watcher.core.marks import Marks
from watcher.core.planning import Plan

HOLD = timedelta(seconds=60)
OURS = {"_id": "m", "messageId": "m1", "conversationId": "c1", "user": "u1", "text": "hi"}


def a_filter(pattern: str, **condition: Any) -> Filter:
    return Filter(pattern=pattern, condition=condition, predicate=compile_condition(condition))


PICKY = an_endpoint(
    name="picky",
    events=("message.*", "user.login", "file.deleted"),
    filters=(
        a_filter("message.created", isCreatedByUser=False, tokenCount={"$gte": 10, "$lt": 1000}),
        a_filter("message.*", **{"$or": [{"endpoint": "openAI"}, {"text": {"$regex": "a"}}]}),
        a_filter("*", userId={"$exists": True}),
    ),
)
ALL = an_endpoint(name="all", events=("*", *BEYOND))
AGENTS = an_endpoint(name="agents", events=("agent.*",), ordered=False)
SETS = [[ALL], [PICKY], [AGENTS, PICKY, ALL], []]


@cache
def mappings() -> Mapping[str, CollectionMapping]:
    return {mapping.collection: mapping for mapping in load_mappings()}


def a_plan(endpoints: Sequence[Endpoint]) -> Plan:
    return Plan.of(mappings().values(), endpoints, unfinished_hold=HOLD)


def explained(change: Change, *endpoints: Endpoint, marks: Marks | None = None) -> Explanation:
    listening = endpoints or (ALL,)
    return explain(change, mappings()[change.collection], a_plan(listening), listening, marks or Marks())


def verdicts(explanation: Explanation, event: str) -> list[Any]:
    """Of an event's rules, but for those about other operations."""
    found = [each.verdict for each in explanation.judged if each.rule.event == event]
    return [verdict for verdict in found if not isinstance(verdict, OtherOperation)]


# ---------------------------------------------------------------------- the same verdicts


def all_changes() -> Iterator[list[Change]]:
    """Every recorded action, with pre-images and without, and every example of the mapping files."""
    for action in recorded_actions():
        for with_images in (True, False):
            yield [
                change
                for change in recorded_changes(action, with_images=with_images)
                if change.collection in mappings()
            ]
    for mapping in mappings().values():
        for rule in mapping.rules:
            yield from ([change_of(each.given, mapping.collection)] for each in rule.examples)


@pytest.mark.parametrize("endpoints", SETS, ids=["all", "picky", "three", "none"])
def test_what_is_explained_is_what_is_planned(endpoints: list[Endpoint]) -> None:
    plan = a_plan(endpoints)
    compared = 0

    for changes in all_changes():
        planned = plan.entries(changes, Marks())

        marks = Marks()
        entries: list[Delivery | Lift] = []
        told: list[Any] = []
        untold: list[Any] = []
        for change in changes:
            explanation = explain(change, mappings()[change.collection], plan, endpoints, marks)
            marks = marks.joined(explanation.planned.marks, through=change.at)
            entries += explanation.planned.entries
            told += list(wanted(explanation))
            untold += list(unknown(explanation))

        deliveries = [entry for entry in planned.entries if isinstance(entry, Delivery)]
        assert tuple(entries) == planned.entries
        assert told == [(each.event, each.endpoint, each.hold) for each in deliveries]
        assert untold == [fact.event for fact in planned.facts]
        compared += len(deliveries)

    assert compared > 20 or not endpoints


def wanted(explanation: Explanation) -> Iterator[tuple[Any, ...]]:
    """What the reasons come to: who wants which event, by subscription and filters alone."""
    for judged in explanation.judged:
        verdict = judged.verdict
        if isinstance(verdict, Fires) and verdict.event is not None:
            for aim in verdict.aims:
                passes = all(not each.shortfalls for each in aim.filters)
                assert (aim.delivery is not None) is (aim.subscription is not None and passes)
                if aim.delivery is not None:
                    yield verdict.event.type, aim.endpoint, verdict.hold


def unknown(explanation: Explanation) -> Iterator[Any]:
    for judged in explanation.judged:
        if isinstance(judged.verdict, Unknown) and judged.asked and judged.rule.event is not None:
            yield judged.rule.event


# ---------------------------------------------------------------------- the reasons


def test_a_rule_that_fires_tells_its_event_its_hold_and_who_wants_it() -> None:
    change = a_change(after={**OURS, "unfinished": True, "isCreatedByUser": False})

    explanation = explained(change, ALL, PICKY, AGENTS)

    unmet, fires = verdicts(explanation, "message.created")
    assert isinstance(unmet, Unmet)
    assert [each.part for each in unmet.shortfalls] == [{"row.unfinished": {"$ne": True}}]
    assert isinstance(fires, Fires)
    assert fires.event is not None
    assert fires.event.data["messageId"] == "m1"
    assert fires.hold is not None
    assert fires.hold.until == NOON + HOLD
    for_all, picky, agents = fires.aims
    assert (for_all.subscription, for_all.filters) == ("*", ())
    assert for_all.delivery is not None
    assert picky.subscription == "message.*"
    assert picky.delivery is None
    assert [[each.part for each in sifted.shortfalls] for sifted in picky.filters] == [
        [{"tokenCount": {"$gte": 10}}, {"tokenCount": {"$lt": 1000}}],
        [{"$or": [{"endpoint": "openAI"}, {"text": {"$regex": "a"}}]}],
        [],
    ]
    assert (agents.subscription, agents.filters, agents.delivery) == (None, (), None)


def test_what_was_written_is_told_apart_from_noise() -> None:
    change = a_change(
        operation="update",
        before=OURS,
        after={**OURS, "tokenCount": 3},
        updated={"tokenCount": 3, "title.x": 1},
        removed=("expiredAt",),
    )

    explanation = explained(change)

    assert explanation.written == ("expiredAt", "title", "tokenCount")
    assert explanation.noise == ("expiredAt", "tokenCount")
    assert verdicts(explanation, "message.updated") == [Untouched(), Untouched()]


def test_a_rating_that_is_what_it_was_is_alike() -> None:
    before = {**OURS, "feedback": {"rating": "thumbsUp", "_id": 1}}
    rated = {"feedback": {"rating": "thumbsUp", "_id": 2}}

    explanation = explained(
        a_change(operation="update", before=before, after={**before, **rated}, updated=rated)
    )

    assert verdicts(explanation, "message.feedback") == [Alike(names=("feedback",))]


def test_without_an_image_it_is_unknown() -> None:
    explanation = explained(a_change(operation="delete", after=None))

    assert verdicts(explanation, "message.deleted") == [Unknown()]


def test_of_several_rules_for_an_event_the_first_speaks() -> None:
    explanation = explained(a_change(after=OURS))

    fires, spoken = verdicts(explanation, "message.created")
    assert isinstance(fires, Fires)
    assert isinstance(spoken, Spoken)
    assert spoken.by is next(each.rule for each in explanation.judged if each.verdict is fires)


def test_a_rule_that_fails_is_broken_and_its_words_are_not_told() -> None:
    def fails(_: Any) -> Any:
        raise RuntimeError("S3CRET")

    messages = mappings()["messages"]
    rules = tuple(replace(rule, data=(("text", fails),)) for rule in messages.rules)
    broken = replace(messages, rules=rules)
    plan = Plan.of([broken], [ALL], unfinished_hold=HOLD)

    explanation = explain(a_change(after=OURS), broken, plan, [ALL], Marks())

    first, second = verdicts(explanation, "message.created")
    assert first == Broken(error="RuntimeError")
    assert isinstance(second, Spoken)
    (refused,) = [each for each in explanation.planned.entries if isinstance(each, Delivery)]
    assert refused.refused is not None
    assert "S3CRET" not in repr(explanation.judged)


def test_a_change_that_cannot_be_seen_breaks_every_rule_about_it() -> None:
    unseen = replace(a_change(), after=["not", "a", "row"])  # type: ignore[arg-type]

    explanation = explained(unseen)

    kinds = {type(each.verdict) for each in explanation.judged if "insert" in each.rule.operations}
    assert kinds == {Broken}
    others = {type(each.verdict) for each in explanation.judged if "insert" not in each.rule.operations}
    assert others == {OtherOperation}


def test_rules_that_nobody_listens_to_are_explained_and_not_asked() -> None:
    explanation = explained(a_change(after=OURS), AGENTS)

    fires, _ = verdicts(explanation, "message.created")
    assert isinstance(fires, Fires)
    assert not any(judged.asked for judged in explanation.judged)
    assert explanation.planned.entries == ()


def test_what_came_before_is_seen() -> None:
    gone = a_change(
        collection="conversations",
        operation="delete",
        before={"conversationId": "c1", "user": "u1"},
        after=None,
    )
    marks = Marks().joined(explained(gone).planned.marks, through=NOON)

    explanation = explained(a_change(operation="delete", before=OURS, after=None), marks=marks)

    (fires,) = verdicts(explanation, "message.deleted")
    assert fires.event.data["reason"] == "cascade"
