"""When the store is full, and when that is over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.room import AMPLE, room

LIMIT = 1_000


@pytest.mark.parametrize(
    ("used", "before", "while_full"),
    [
        (0, "ample", "ample"),
        (950, "ample", "ample"),
        (951, "tight", "full"),
        (999, "tight", "full"),
        (1_000, "full", "full"),
        (2_000, "full", "full"),
    ],
)
def test_what_there_is(used: int, before: str, while_full: str) -> None:
    assert room(used, limit_bytes=LIMIT, was_full=False) == before
    assert room(used, limit_bytes=LIMIT, was_full=True) == while_full


@given(used=st.integers(0, 10**13), limit=st.integers(10**6, 10**12))
def test_a_pause_that_ended_does_not_begin_again_at_the_same_size(used: int, limit: int) -> None:
    if room(used, limit_bytes=limit, was_full=True) != "full":
        assert room(used, limit_bytes=limit, was_full=False) == "ample"
        assert used <= limit * AMPLE
