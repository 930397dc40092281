"""Ready means progress."""

from __future__ import annotations

from datetime import timedelta

from watcher.admin.readiness import STALE, ReadinessObserver
from watcher.core.facts import Captured, StoreFailed, StreamLost, StreamOpened
from watcher.testing import FakeClock

SECOND = timedelta(seconds=1)
BATCH = Captured(changes=1, events=1, deliveries=1, stored=1, lag=SECOND, took=SECOND)
QUIET = Captured(changes=0, events=0, deliveries=0, stored=0, lag=None, took=SECOND)


def an_observer(*facts):
    clock = FakeClock()
    observer = ReadinessObserver(clock=clock)
    for fact in facts:
        observer(fact)
    return observer, clock


def test_nothing_is_ready_at_the_start():
    observer, _ = an_observer()

    judged = observer.judge()

    assert not judged.ready
    assert {name for name, part in judged.parts.items() if not part.ready} == {"stream", "lag"}


def test_it_is_ready_when_the_stream_is_open_and_read():
    opened, _ = an_observer(StreamOpened(resumed=False))
    read, _ = an_observer(StreamOpened(resumed=False), QUIET)

    assert not opened.judge().ready
    assert read.judge().ready


def test_a_broken_stream_is_not_ready_and_says_why_until_it_is_open_again():
    observer, _ = an_observer(
        StreamOpened(resumed=False), BATCH, StreamLost(reason="no primary", retry_in=SECOND)
    )
    assert observer.judge().parts["stream"].says == "no primary"
    assert not observer.judge().ready

    observer(StreamOpened(resumed=True))

    assert observer.judge().ready


def test_a_stream_that_fell_silent_is_not_ready():
    observer, clock = an_observer(StreamOpened(resumed=False), BATCH)

    clock.advance(STALE)
    assert observer.judge().ready
    clock.advance(SECOND)

    assert not observer.judge().ready
    assert "nothing heard" in observer.judge().parts["stream"].says


def test_a_state_that_cannot_be_written_is_not_ready_until_it_can():
    observer, _ = an_observer(
        StreamOpened(resumed=False), BATCH, StoreFailed(doing="settle", reason="disk full", retry_in=SECOND)
    )
    assert observer.judge().parts["store"].says == "disk full"
    assert not observer.judge().ready

    observer(BATCH)

    assert observer.judge().ready
