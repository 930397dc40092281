"""Little headroom is told when somebody must act, and not before."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOON
from watcher.core.headroom import LITTLE, PROMPT, Reach, is_scarce, time_left

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SPANS = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=90))


def a_reach(*, headroom: timedelta, behind: timedelta = timedelta(0)) -> Reach:
    return Reach(first=NOON, position=NOON + headroom, last=NOON + headroom + behind)


def test_the_parts_make_the_window() -> None:
    reach = a_reach(headroom=3 * HOUR, behind=HOUR)

    assert (reach.headroom, reach.behind, reach.window) == (3 * HOUR, HOUR, 4 * HOUR)


@pytest.mark.parametrize(
    ("then", "now", "between", "left"),
    [
        (3 * HOUR, 2 * HOUR, HOUR, 2 * HOUR),
        (3 * HOUR, 2 * HOUR, 2 * HOUR, 4 * HOUR),
        (3 * HOUR, 1 * HOUR, HOUR, 0.5 * HOUR),
        (3 * HOUR, 3 * HOUR, HOUR, None),
        (3 * HOUR, 4 * HOUR, HOUR, None),
        (1 * HOUR, -1 * HOUR, HOUR, timedelta(0)),
        (3 * HOUR, 3 * HOUR, timedelta(0), None),
    ],
)
def test_time_left_goes_by_how_fast_it_nears(
    then: timedelta, now: timedelta, between: timedelta, left: timedelta | None
) -> None:
    assert time_left(a_reach(headroom=then), a_reach(headroom=now), between=between) == left


@pytest.mark.parametrize(
    ("headroom", "behind", "left", "scarce", "while_scarce"),
    [
        # Read promptly: however small the oplog, that is its size and no trouble of today.
        (MINUTE, timedelta(0), MINUTE, False, False),
        (timedelta(0), PROMPT / 2, None, False, False),
        # Behind, and the end is near at this pace.
        (2 * HOUR, 3 * HOUR, 0.9 * HOUR, True, True),
        (2 * HOUR, 3 * HOUR, 1.2 * HOUR, False, True),
        (2 * HOUR, 3 * HOUR, 1.6 * HOUR, False, False),
        # Behind, but still in the newer half.
        (3 * HOUR, 2 * HOUR, 0.5 * HOUR, False, True),
        (4 * HOUR, 1 * HOUR, 0.5 * HOUR, False, False),
        # In the oldest tenth, whatever the pace.
        (1 * HOUR, 10 * HOUR, None, True, True),
        (1 * HOUR, 8 * HOUR, 40 * HOUR, False, True),
        (2 * HOUR, 8 * HOUR, None, False, False),
        (-1 * HOUR, 8 * HOUR, timedelta(0), True, True),
    ],
)
def test_when_somebody_must_act(
    headroom: timedelta, behind: timedelta, left: timedelta | None, scarce: bool, while_scarce: bool
) -> None:
    reach = a_reach(headroom=headroom, behind=behind)

    assert is_scarce(reach, left, was=False) is scarce
    assert is_scarce(reach, left, was=True) is while_scarce


@given(headroom=SPANS, behind=SPANS, left=st.none() | SPANS)
def test_what_is_scarce_stays_so_until_there_is_more(
    headroom: timedelta, behind: timedelta, left: timedelta | None
) -> None:
    reach = a_reach(headroom=headroom, behind=behind)

    if is_scarce(reach, left, was=False):
        assert is_scarce(reach, left, was=True)
        assert headroom < reach.window / 2
        assert left is None or left < LITTLE or headroom < reach.window / 10


@given(headroom=SPANS, nearing=SPANS, between=SPANS)
def test_at_the_same_pace_it_is_reached_after_just_that_time(
    headroom: timedelta, nearing: timedelta, between: timedelta
) -> None:
    left = time_left(a_reach(headroom=headroom + nearing), a_reach(headroom=headroom), between=between)

    if left is None:
        assert not nearing
    elif between:
        assert abs(left / between - headroom / nearing) <= 1e-3 * max(1.0, headroom / nearing)
