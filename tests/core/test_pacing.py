"""The pace as seen by the receiver."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from watcher.core.pacing import UNSURE_SECONDS, RateWindow


def test_without_a_limit_everything_may_go():
    pace = RateWindow(None)

    pace.take()

    assert pace.allowance(0.0) == math.inf
    assert pace.next_free() is None


def test_a_limit_that_comes_meanwhile_counts_what_is_under_way_and_what_may_have_gone():
    pace = RateWindow(None)
    under_way = [pace.take() for _ in range(3)]
    for ticket in [pace.take() for _ in range(50)]:
        pace.written(ticket, 9.9)
        pace.answered(ticket, 9.9)

    pace.become(2, 10.0)
    assert pace.allowance(10.9) < 1
    assert pace.allowance(11.1) == 2 - len(under_way)
    for ticket in under_way:
        pace.answered(ticket, 12.0)

    assert pace.allowance(12.9) < 1
    assert pace.allowance(13.1) == 2


def test_who_begins_does_not_know_what_went_a_moment_ago():
    pace, unlimited = RateWindow(2), RateWindow(None)

    pace.fill(10.0)
    unlimited.fill(10.0)

    assert pace.allowance(10.9) == 0
    assert pace.next_free() == 11.0
    assert pace.allowance(11.0) == 2
    assert unlimited.allowance(10.0) == math.inf


def test_a_full_window_frees_one_second_after_the_answer():
    pace = RateWindow(2)
    first, second = pace.take(), pace.take()

    pace.answered(first, 0.01)
    pace.answered(second, 0.02)

    assert pace.allowance(1.005) == 0
    assert pace.next_free() == 1.01
    assert pace.allowance(1.01) == 1


def test_an_answer_that_takes_long_counts_from_when_the_request_must_have_arrived():
    pace = RateWindow(1)
    slow = pace.take()
    pace.written(slow, 0.0)

    pace.answered(slow, 4.0)

    assert pace.allowance(1.0 + UNSURE_SECONDS - 0.01) == 0
    assert pace.allowance(1.0 + UNSURE_SECONDS) == 1


def test_while_it_connects_a_request_may_arrive_at_any_time():
    pace = RateWindow(1)
    cold = pace.take()

    assert pace.allowance(60.0) == 0
    assert pace.next_free() is None

    pace.written(cold, 60.0)

    assert pace.next_free() == 61.0 + UNSURE_SECONDS


def test_a_rate_below_one_stretches_the_window():
    pace = RateWindow(0.5)

    pace.answered(pace.take(), 0.0)

    assert pace.allowance(1.9) == 0
    assert pace.allowance(2.0) == 1


@given(
    limit=st.integers(1, 5),
    delays=st.lists(
        st.tuples(st.sampled_from([0, 0.3, 2.0]), st.floats(0, UNSURE_SECONDS), st.floats(0, 0.2)),
        min_size=1,
        max_size=60,
    ),
)
def test_no_window_at_the_receiver_ever_holds_more_than_the_limit(limit, delays):
    pace, now, arrivals = RateWindow(limit), 0.0, []

    for connecting, on_the_way, pause in delays:
        now += pause
        if pace.allowance(now) < 1:
            now = max(now, pace.next_free())
        ticket = pace.take()
        pace.written(ticket, now + connecting)
        arrivals.append(now + connecting + on_the_way)
        pace.answered(ticket, now + connecting + on_the_way)

    for start in arrivals:
        assert sum(start <= arrival < start + 1.0 - 1e-9 for arrival in arrivals) <= limit
