"""Figures: sums of attempts, and what they come to over a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOON, an_attempt
from watcher.core.events import EventType
from watcher.core.figures import BOUNDS, DAY, HOUR, Attempts, Figure, Span, Survey

MESSAGE, LOGIN = EventType("message.created"), EventType("user.login")
MS = timedelta(milliseconds=1)


def a_figure(hour: datetime, event: EventType = MESSAGE, *, delivered: int = 1, failed: int = 0) -> Figure:
    number = delivered + failed
    return Figure(
        endpoint="crm",
        event=event,
        hour=hour,
        delivered=delivered,
        failed=failed,
        durations={8: number} if number else {},
    )


@pytest.mark.parametrize(
    ("took", "told"),
    [
        (0 * MS, 0.1),
        (0.1 * MS, 0.1),
        (1 * MS, 1.0),
        (1.01 * MS, 1.334),
        (99 * MS, 100.0),
        (10**6 * MS, 10.0**5),
    ],
)
def test_a_duration_is_told_by_the_upper_end_of_its_class(took, told):
    made = Attempts()

    made.count([an_attempt(took=took)])

    assert made.quantile_ms(0.5) == told


@given(st.lists(st.floats(min_value=0.11, max_value=90_000), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_never_too_low_and_at_most_a_third_too_high(spans, share):
    made = Attempts()
    made.count([an_attempt(took=ms * MS) for ms in spans])
    number = len(spans)
    exact = next(ms for rank, ms in enumerate(sorted(spans), 1) if rank >= share * number - 1e-9)

    told = made.quantile_ms(share)

    assert told is not None
    assert exact * 0.999 <= told <= exact * 1.34


def test_of_nothing_there_is_no_share_and_no_quantile():
    assert Attempts().success is None
    assert Attempts().quantile_ms(0.99) is None


def test_a_short_span_is_told_by_the_hour_each_one_whole():
    span = Span.around(NOON - timedelta(minutes=90), NOON + timedelta(minutes=1))

    assert (span.since, span.step, span.steps) == (NOON - 2 * HOUR, HOUR, 3)


def test_a_span_that_ends_with_an_hour_has_no_step_behind_it():
    assert Span.around(NOON - DAY, NOON).steps == 24


def test_a_long_span_is_told_by_the_day():
    assert Span.around(NOON - 7 * DAY, NOON).step == HOUR
    span = Span.around(NOON - 7 * DAY - MS, NOON)

    assert (span.since, span.step, span.steps) == (datetime(2026, 11, 17, tzinfo=UTC), DAY, 8)


@given(
    st.timedeltas(-100_000 * DAY, 100_000 * DAY),
    st.timedeltas(timedelta(microseconds=1), 31 * DAY),
)
def test_every_moment_of_a_span_lies_in_one_of_its_steps(ago, long):
    since = NOON - ago
    span = Span.around(since, since + long)

    assert span.since <= since
    assert span.since + (span.steps - 1) * span.step < since + long <= span.since + span.steps * span.step


def test_a_survey_tells_each_event_and_all_together_step_by_step():
    span = Span.around(NOON - 2 * HOUR, NOON + MS)

    survey = Survey.of(
        [
            a_figure(NOON - 2 * HOUR, delivered=5, failed=1),
            a_figure(NOON, delivered=2),
            a_figure(NOON, LOGIN, delivered=0, failed=4),
        ],
        span,
    )

    assert list(survey.by_event) == [MESSAGE, LOGIN]
    message, login = survey.by_event[MESSAGE], survey.by_event[LOGIN]
    assert [(step.delivered, step.failed) for step in message.steps] == [(5, 1), (0, 0), (2, 0)]
    assert [(step.delivered, step.failed) for step in login.steps] == [(0, 0), (0, 0), (0, 4)]
    assert [(step.delivered, step.failed) for step in survey.total.steps] == [(5, 1), (0, 0), (2, 4)]
    assert (survey.total.total.delivered, survey.total.total.failed) == (7, 5)
    assert message.total.success == 7 / 8
    assert survey.total.total.durations == {8: 12}


def test_classes_are_what_stored_figures_were_counted_by():
    assert (len(BOUNDS), BOUNDS[0], BOUNDS[8], BOUNDS[24], BOUNDS[-1]) == (49, 0.1, 1.0, 100.0, 100_000.0)
