"""Stream time never claims more than what has been read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from bson import Timestamp

from watcher.adapters.mongo.progress import BEHIND, EVERY_SECONDS, Progress, Sounding, token_time

SECOND = datetime(2026, 11, 24, 12, 0, 5, tzinfo=UTC)
CLOCK = SECOND + timedelta(seconds=2.5)


def token(seconds: int, ordinal: int) -> str:
    return f"82{int(SECOND.timestamp()) + seconds:08X}{ordinal:08X}2B0229296E04"


def written(seconds: int, ordinal: int) -> Timestamp:
    return Timestamp(int(SECOND.timestamp()) + seconds, ordinal)


def a_progress(*, has_wall_times: bool = True, sounding: Sounding | None = None) -> Progress:
    progress = Progress(has_wall_times=has_wall_times)
    progress.sounded(sounding, now=0.0)
    return progress


def test_a_token_tells_its_cluster_time() -> None:
    assert token_time(token(0, 7)) == written(0, 7)
    assert [token_time(broken) for broken in ("", "82", "zz", "81" + "0" * 30)] == [None] * 4


def test_without_a_sounding_the_token_counts_in_whole_seconds() -> None:
    assert a_progress().through(token(0, 9), quiet=True) == SECOND


def test_past_the_newest_write_the_primarys_clock_counts() -> None:
    progress = a_progress(sounding=Sounding(at=CLOCK, written=written(1, 3)))

    assert progress.through(token(1, 4), quiet=False) == CLOCK - BEHIND


def test_at_the_newest_write_it_counts_only_once_there_is_nothing_more() -> None:
    """A transaction's changes bear one time: more of them may follow the token that shows it."""
    progress = a_progress(sounding=Sounding(at=CLOCK, written=written(1, 3)))

    assert progress.through(token(1, 3), quiet=False) == SECOND + timedelta(seconds=1)
    assert progress.through(token(1, 3), quiet=True) == CLOCK - BEHIND


def test_what_is_written_and_not_yet_committed_holds_it_back() -> None:
    """Members are down: the stream is quiet, the clock goes on, and the next change is old already."""
    progress = a_progress(sounding=Sounding(at=CLOCK, written=written(2, 1)))

    assert progress.through(token(0, 1), quiet=True) == SECOND
    assert not progress.wants_sounding(now=100.0)


def test_it_never_goes_back() -> None:
    progress = a_progress(sounding=Sounding(at=CLOCK, written=written(0, 1)))
    progress.through(token(0, 2), quiet=True)

    progress.sounded(Sounding(at=SECOND, written=written(0, 2)), now=1.0)  # the clock was set back

    assert progress.through(token(0, 2), quiet=True) == CLOCK - BEHIND


def test_whole_second_servers_are_believed_one_second_later() -> None:
    """Their changes are stamped with the second's beginning, and may come until its end."""
    progress = a_progress(has_wall_times=False, sounding=Sounding(at=CLOCK, written=written(0, 1)))

    assert progress.through(token(0, 2), quiet=True) == CLOCK - BEHIND - timedelta(seconds=1)


@pytest.mark.parametrize(("now", "wanted"), [(EVERY_SECONDS / 2, False), (EVERY_SECONDS, True)])
def test_a_busy_stream_is_sounded_now_and_then(now: float, wanted: bool) -> None:
    assert a_progress(sounding=None).wants_sounding(now) is wanted
