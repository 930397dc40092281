"""A circuit decides how many requests may go. Tables of what it hears, and a property over all of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.circuits import (
    LAST_PROBE_SECONDS,
    LONGEST_WAIT,
    MANY,
    Circuit,
    Standing,
)
from watcher.core.events import EventId
from watcher.core.outcomes import Answered, NotSent, Outcome, Unreachable

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SLOTS = 64
OK, DOWN, BUSY = Answered(status=200), Answered(status=500), Answered(status=429)


class Story:
    """A circuit, and a clock that the test turns."""

    def __init__(self, slots: int = SLOTS) -> None:
        self.circuit = Circuit(slots)
        self.clock = 0.0
        self._requests = 0

    def hears(
        self,
        *outcomes: Outcome,
        request: str | None = None,
        carrying: int = 1,
        last: bool = False,
        began: float | None = None,
    ) -> None:
        """Each of another request, unless one is named; begun just now, unless told."""
        for outcome in outcomes:
            self._requests += 1
            name = request or f"webhook_{self._requests}"
            self.circuit.heard(
                outcome,
                [EventId(f"{name}_{number}") for number in range(carrying)],
                last=last,
                began=self.clock if began is None else began,
                clock=self.clock,
                now=NOON + timedelta(seconds=self.clock),
                jitter=0.0,
            )

    def goes_down(self) -> None:
        self.hears(*[DOWN] * MANY)

    def waits(self) -> float:
        """Turn the clock to when time alone lets something go; how long that took."""
        free = self.circuit.next_free()
        assert free is not None
        began, self.clock = self.clock, max(self.clock, free)
        return self.clock - began

    @property
    def slots(self) -> int:
        return self.circuit.slots(self.clock)

    @property
    def state(self) -> str:
        return self.circuit.standing.state if self.circuit.standing else "closed"


def test_it_begins_closed_with_all_its_slots():
    story = Story()

    assert (story.state, story.slots) == ("closed", SLOTS)


def test_many_requests_that_fail_in_a_row_open_it():
    story = Story()

    story.hears(*[DOWN] * (MANY - 1))
    assert (story.state, story.slots) == ("closed", SLOTS)
    story.hears(Unreachable(reason="refused: nothing listens"))

    assert (story.state, story.slots) == ("open", 0)
    assert story.circuit.standing == Standing(state="open", reason="refused: nothing listens", since=NOON)


def test_one_that_goes_well_in_between_keeps_it_closed():
    story = Story()

    for _ in range(5):
        story.hears(*[DOWN] * (MANY - 1), OK)

    assert story.state == "closed"


def test_one_request_that_fails_for_ever_does_not_open_it():
    story = Story()

    for _ in range(500):
        story.hears(DOWN, request="webhook_poison")
        story.clock += 60

    assert (story.state, story.slots) == ("closed", SLOTS)


def test_where_events_are_rare_a_few_over_a_minute_are_enough():
    story = Story()

    for _ in range(3):
        story.hears(DOWN)
        story.clock += 31

    assert story.state == "open"


def test_a_few_at_once_are_not():
    story = Story()

    story.hears(*[DOWN] * 5)

    assert story.state == "closed"


def test_a_batch_fails_as_all_that_it_carries():
    story, small = Story(), Story()

    story.hears(DOWN, carrying=MANY)
    small.hears(DOWN, DOWN, carrying=MANY // 2 - 1)

    assert (story.state, small.state) == ("open", "closed")


def test_fewer_than_many_die_before_it_opens_however_often_they_are_tried():
    story = Story()

    for number in range(MANY - 1):
        story.hears(*[DOWN] * 50, request=f"webhook_{number}")
    assert story.state == "closed"
    story.hears(DOWN)

    assert story.state == "open"


def test_a_batch_that_fails_while_others_go_well_dies_of_its_own():
    story = Story()

    for _ in range(3):
        story.hears(DOWN, request="webhook_poison", carrying=100)
        assert story.state == "open"
        story.waits()
        story.hears(OK)
    story.hears(DOWN, request="webhook_poison", carrying=100, last=True)

    assert story.state == "closed"


def test_not_so_where_another_fails_as_well():
    story = Story()

    story.hears(DOWN, carrying=100, last=True)
    assert story.state == "closed"
    story.hears(DOWN, carrying=100, last=True)

    assert story.state == "open"


def test_open_it_lets_one_probe_go_at_a_time_after_ever_longer_waits():
    story = Story()
    story.goes_down()

    waits = []
    for _ in range(7):
        assert story.slots == 0
        waits.append(story.waits())
        assert story.slots == 1
        story.hears(DOWN)

    assert waits == [0.5, 1, 2, 4, 7.5, 7.5, 7.5]  # without jitter the lower half
    assert max(waits) <= LAST_PROBE_SECONDS


def test_what_was_under_way_when_it_opened_is_no_probe():
    story = Story()
    story.goes_down()
    first = story.circuit.next_free()

    story.clock = 0.2
    story.hears(*[DOWN] * 50, began=-1.0)

    assert story.circuit.next_free() == first


def test_a_probe_that_goes_well_closes_it_and_what_gathered_goes_gently():
    story = Story()
    story.goes_down()
    story.waits()

    story.hears(OK)
    slots = [story.slots]
    for _ in range(6):
        story.hears(*[OK] * story.slots)
        slots.append(story.slots)

    assert story.state == "closed"
    assert slots == [1, 2, 4, 8, 16, 32, 64]


def test_a_receiver_that_is_gone_is_paused_until_somebody_resumes_it():
    story = Story()

    story.hears(Answered(status=410))
    story.hears(OK, DOWN)
    story.clock += 1_000_000

    assert (story.state, story.slots, story.circuit.next_free()) == ("paused", 0, None)
    story.circuit.stand(None, now=NOON, clock=story.clock)
    assert (story.state, story.slots) == ("closed", SLOTS)


@pytest.mark.parametrize("status", [301, 413, 429, 500, 503])
def test_retry_after_stops_the_whole_endpoint_just_so_long(status):
    story = Story()

    story.hears(Answered(status=status, retry_after=timedelta(seconds=30)))

    assert (story.state, story.slots) == ("slowed", 0)
    assert story.circuit.standing is not None
    assert story.circuit.standing.until == NOON + timedelta(seconds=30)
    assert story.waits() == 30
    assert story.slots == SLOTS // 2


def test_a_later_shorter_wish_does_not_shorten_the_wait():
    story = Story()

    story.hears(Answered(status=503, retry_after=timedelta(seconds=30)))
    story.clock = 1
    story.hears(Answered(status=503, retry_after=timedelta(seconds=2)))

    assert story.circuit.next_free() == 30


def test_a_wrong_header_cannot_stop_an_endpoint_for_ever():
    story = Story()

    story.hears(Answered(status=503, retry_after=timedelta(days=365)))

    assert story.waits() == LONGEST_WAIT.total_seconds()


def test_refusals_of_requests_that_went_out_together_halve_what_goes_at_once_and_stop_nothing():
    story = Story()

    story.hears(OK, *[BUSY] * 5)

    assert (story.state, story.slots, story.waits()) == ("closed", SLOTS // 2, 0)


def test_refusals_that_go_on_stop_everything_for_ever_longer():
    story = Story()

    waits = []
    for _ in range(13):
        story.clock += 0.001
        story.hears(BUSY, request="webhook_1")
        waits.append(round(story.waits(), 3))

    assert waits == [0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 30, 30]
    assert story.slots == 1


def test_a_receiver_that_refuses_now_and_then_is_hardly_slowed():
    story = Story()

    waits = []
    for number in range(1_000):
        story.clock += 0.001
        story.hears(BUSY if number % 5 == 0 else OK)
        waits.append(story.waits())

    assert set(waits) == {0}
    assert 1 < story.slots < 8


def test_what_goes_well_takes_all_of_it_back():
    story = Story()
    for _ in range(7):
        story.clock += 0.001
        story.hears(BUSY, request="webhook_1")
        story.waits()
    assert (story.state, story.slots) == ("slowed", 1)

    story.clock += 0.001
    for _ in range(3_000):
        story.hears(OK)
    assert (story.state, story.slots) == ("closed", SLOTS)

    story.hears(BUSY)
    assert story.waits() == 0


def test_our_own_shutdown_tells_nothing_of_the_receiver():
    story = Story()

    story.hears(*[NotSent()] * 100)

    assert (story.state, story.slots) == ("closed", SLOTS)


def test_what_was_stored_goes_on_after_a_restart():
    opened, paused, slowed = Story(), Story(), Story()

    opened.circuit.stand(Standing(state="open", reason="", since=NOON), now=NOON, clock=100)
    paused.circuit.stand(Standing(state="paused", reason="", since=NOON), now=NOON, clock=100)
    slowed.circuit.stand(
        Standing(state="slowed", reason="", since=NOON, until=NOON + timedelta(seconds=9)),
        now=NOON + timedelta(seconds=2),
        clock=100,
    )

    assert (opened.circuit.slots(100), paused.circuit.slots(100)) == (1, 0)  # the first one is a probe
    assert (slowed.circuit.slots(100), slowed.circuit.next_free()) == (0, 107)


def test_what_it_asked_for_while_it_was_down_holds_over_a_restart_too():
    story = Story()
    story.hears(*[Answered(status=503, retry_after=timedelta(hours=1))] * MANY)
    stored = story.circuit.standing
    assert stored is not None
    assert (stored.state, stored.until) == ("open", NOON + timedelta(hours=1))

    again = Story()
    again.circuit.stand(stored, now=NOON + timedelta(minutes=10), clock=0)

    assert (again.slots, again.circuit.next_free()) == (0, 50 * 60)


outcomes = st.one_of(
    st.just(NotSent()),
    st.builds(
        Answered,
        status=st.sampled_from([200, 204, 301, 404, 410, 429, 500, 503]),
        retry_after=st.one_of(st.none(), st.timedeltas(timedelta(0), timedelta(days=400))),
    ),
    st.builds(Unreachable, reason=st.just("timeout: connecting")),
)


@given(heard=st.lists(st.tuples(outcomes, st.floats(0, 100), st.floats(0, 1, exclude_max=True))))
def test_whatever_it_hears_it_lets_something_go_within_a_day_unless_it_is_paused(heard):
    story = Story()

    for outcome, seconds, jitter in heard:
        story.clock += seconds
        story.circuit.heard(
            outcome,
            [EventId("x")],
            last=False,
            began=story.clock,
            clock=story.clock,
            now=NOON,
            jitter=jitter,
        )
        assert 0 <= story.slots <= SLOTS

    if story.state == "paused":
        assert story.slots == 0
    else:
        assert story.waits() <= LONGEST_WAIT.total_seconds()
        assert story.slots >= 1
