"""Marks explain what comes a moment later, each once, by stream time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from watcher.core.events import Entity
from watcher.core.marks import MOMENT, Mark, Marks

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
USER, OLD, NEW = Entity("user:u1"), Entity("sessions:s1"), Entity("sessions:s2")


@pytest.mark.parametrize("later", [timedelta(0), MOMENT, -MOMENT])
def test_a_row_that_came_a_moment_ago_explains_the_deletion_of_another(later: timedelta) -> None:
    marks = Marks.of([Mark(entity=USER, at=NOON, row=NEW)]).taking()

    assert marks.newcomer(USER, OLD, NOON + later) == Mark(entity=USER, at=NOON, row=NEW)


@pytest.mark.parametrize(
    ("entity", "row", "at"),
    [
        (USER, OLD, NOON + MOMENT * 1.01),
        (USER, NEW, NOON),
        (Entity("user:u2"), OLD, NOON),
        (USER, Entity("users:u1"), NOON),
    ],
    ids=["too late", "itself", "somebody else's", "of another collection"],
)
def test_nothing_else_is_explained(entity: Entity, row: Entity, at: datetime) -> None:
    marks = Marks.of([Mark(entity=USER, at=NOON, row=NEW)]).taking()

    assert marks.newcomer(entity, row, at) is None


def test_an_arrival_explains_one_deletion_only() -> None:
    before = Marks.of([Mark(entity=USER, at=NOON, row=NEW)])
    marks = before.taking()
    arrival = marks.newcomer(USER, OLD, NOON)
    assert arrival is not None

    marks.spend(arrival)

    assert marks.newcomer(USER, OLD, NOON) is None
    assert marks.made == (Mark(entity=USER, at=NOON, row=NEW, spent=True),)
    assert before.joined(marks.made, through=NOON).taking().newcomer(USER, OLD, NOON) is None


def test_two_renewals_at_once_explain_two_deletions() -> None:
    marks = Marks().taking()
    marks.arrives(USER, NEW, NOON)
    marks.arrives(USER, Entity("sessions:s3"), NOON)

    found = []
    while (arrival := marks.newcomer(USER, OLD, NOON)) is not None:
        found.append(arrival.row)
        marks.spend(arrival)

    assert found == ["sessions:s2", "sessions:s3"]


def test_a_row_knows_that_it_came_itself_a_moment_ago() -> None:
    marks = Marks().taking()
    marks.arrives(USER, Entity("users:u1"), NOON)

    assert marks.own_arrival(USER, Entity("users:u1"), NOON + MOMENT) is not None
    assert marks.own_arrival(USER, Entity("users:u1"), NOON + MOMENT * 2) is None


def test_arrivals_are_forgotten_after_their_moment() -> None:
    marks = Marks.of([Mark(entity=USER, at=NOON, row=NEW)])

    assert marks.joined([], through=NOON + MOMENT) is marks
    assert marks.joined([], through=NOON + MOMENT * 2) == Marks()
