"""Ready means progress."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import NOON
from watcher.admin.readiness import LOSS_TOLD, QUIET, STALE, SURE, ReadinessObserver
from watcher.core.circuits import Standing
from watcher.core.events import EventId, EventType
from watcher.core.facts import (
    LOOKING,
    TALLYING,
    Attempted,
    Captured,
    CapturePaused,
    CaptureResumed,
    LeaseEnded,
    LeasesSeen,
    LeaseTaken,
    OplogMeasured,
    OplogUnknown,
    SettingsReloaded,
    Settled,
    StandingChanged,
    StoreFailed,
    StreamLost,
    StreamOpened,
)
from watcher.core.outcomes import Answered, NotSent, Unreachable, Unsendable
from watcher.core.verdicts import Dead, Delivered, Release, RetryAt
from watcher.pipeline.capture import QUIET_STORE
from watcher.testing import FakeClock

SECOND = timedelta(seconds=1)
BATCH = Captured(changes=1, events=1, deliveries=1, stored=1, lag=SECOND, took=SECOND)
SILENCE = Captured(changes=0, events=0, deliveries=0, stored=0, lag=None, took=SECOND)


FULL = StoreFailed(doing="settle", reason="disk full", retry_in=SECOND)


def attempted(outcome, verdict, *, began=NOON):
    made = Attempted(
        endpoint="crm",
        id=EventId("webhook_1"),
        event=EventType("message.created"),
        members=(EventId("webhook_1"),),
        attempt=1,
        began=began,
        outcome=outcome,
        verdict=verdict,
        took=SECOND,
        age=SECOND,
    )
    return Settled(attempts=(made,))


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
    read, _ = an_observer(StreamOpened(resumed=False), SILENCE)

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
    observer, _ = an_observer(StreamOpened(resumed=False), BATCH, FULL)
    assert observer.judge().parts["store"].says == "disk full"
    assert not observer.judge().ready

    observer(BATCH)

    assert observer.judge().ready


@pytest.mark.parametrize("verdict", [Delivered(), Dead(reason="status 500")])
def test_a_settled_attempt_proves_that_the_state_can_be_written(verdict):
    observer, _ = an_observer(StreamOpened(resumed=False), BATCH, FULL)

    observer(attempted(Answered(status=200), verdict))

    assert observer.judge().ready


def test_what_writes_nothing_proves_nothing_of_the_state():
    observer, _ = an_observer(StreamOpened(resumed=False), BATCH, FULL)

    observer(SILENCE)
    observer(attempted(NotSent(), Release()))

    assert observer.judge().parts["store"].says == "disk full"


def test_a_quiet_stream_proves_the_state_once_its_position_must_have_been_stored():
    observer, clock = an_observer(StreamOpened(resumed=False), BATCH, FULL)

    clock.advance(QUIET_STORE)  # the batch that ends now began a second before
    observer(SILENCE)
    assert not observer.judge().ready
    clock.advance(SECOND)
    observer(SILENCE)

    assert observer.judge().ready


def test_readiness_knows_how_often_capture_stores_a_quiet_position():
    assert QUIET == QUIET_STORE


def test_the_oplog_s_headroom_is_told_and_makes_nothing_unready():
    observer, _ = an_observer(StreamOpened(resumed=False), BATCH)
    little = OplogMeasured(
        window=timedelta(hours=8), headroom=timedelta(hours=1), left=timedelta(minutes=30), scarce=True
    )

    observer(little)

    assert observer.judge().ready
    says = observer.judge().parts["oplog"].says
    assert says.startswith("the position is 1.0 h inside of 8.0 h; at the present pace it is lost in 30 min.")
    assert "replSetResizeOplog" in says

    observer(replace(little, headroom=-timedelta(minutes=1), left=timedelta(0)))

    assert observer.judge().ready
    assert "has fallen off the oplog" in observer.judge().parts["oplog"].says

    observer(OplogUnknown())

    assert observer.judge().ready
    assert "read` on the database local" in observer.judge().parts["oplog"].says


def test_a_paused_capture_is_not_ready_and_says_what_to_do_however_long_it_lasts():
    observer, clock = an_observer(StreamOpened(resumed=False), BATCH)

    observer(CapturePaused(used_bytes=2 * 10**9, limit_bytes=2 * 10**9, waiting=12, dead=3))
    clock.advance(2 * STALE)

    judged = observer.judge()
    assert {name for name, part in judged.parts.items() if not part.ready} == {"store"}
    says = judged.parts["store"].says
    assert says.startswith("full: 2000 of 2000 MB, with 12 deliveries waiting and 3 dead.")
    assert "raise watcher.maxStore" in says
    assert judged.parts["stream"].says == "not read while the store is full"


def test_when_it_goes_on_it_is_ready_and_not_blamed_for_the_silence():
    observer, clock = an_observer(StreamOpened(resumed=False), BATCH)
    observer(CapturePaused(used_bytes=1, limit_bytes=1, waiting=1, dead=0))
    clock.advance(2 * STALE)

    observer(CaptureResumed(after=2 * STALE))

    assert observer.judge().ready


def test_a_replica_that_shares_the_work_is_ready_while_another_one_reads():
    clock = FakeClock()
    observer = ReadinessObserver(clock=clock, shares=True)
    assert not observer.judge().parts["leases"].ready

    observer(LeasesSeen(replicas=1, reading=False))
    assert not observer.judge().ready, "nobody reads yet"

    observer(LeasesSeen(replicas=2, reading=True))
    assert observer.judge().ready
    assert observer.judge().parts["stream"].says == "another replica reads it"

    observer(LeaseTaken(lease="capture", epoch=2))
    assert not observer.judge().ready, "its own stream is not open yet"

    clock.advance(timedelta(seconds=6))
    assert observer.judge().parts["leases"].says.startswith("not renewed for 6 s")


def test_who_stands_by_is_ready_again_when_it_can_look_again():
    readiness = ReadinessObserver(clock=FakeClock(), shares=True)
    seen = LeasesSeen(replicas=2, reading=True)
    readiness(seen)
    readiness(StoreFailed(doing=LOOKING, reason="no primary", retry_in=SECOND))
    assert not readiness.judge().ready

    readiness(seen)

    assert readiness.judge().ready


def test_another_failure_of_the_state_is_not_forgotten_by_a_look():
    readiness = ReadinessObserver(clock=FakeClock(), shares=True)
    readiness(StoreFailed(doing="settle", reason="it is full", retry_in=SECOND))

    readiness(LeasesSeen(replicas=2, reading=True))

    assert not readiness.judge().ready


def test_figures_that_could_not_be_stored_are_nothing_that_anybody_waits_for():
    readiness = ReadinessObserver(clock=FakeClock(), shares=True)
    seen = LeasesSeen(replicas=2, reading=True)
    look, tally = (
        StoreFailed(doing=doing, reason="no primary", retry_in=SECOND) for doing in (LOOKING, TALLYING)
    )
    for fact in (seen, tally):
        readiness(fact)
    assert readiness.judge().ready

    for fact in (look, tally, seen):
        readiness(fact)
    assert readiness.judge().ready, "what a look mends it mends still"


@pytest.mark.parametrize(("lease", "doing"), [("capture", "append"), ("endpoint:crm", "settle")])
def test_what_failed_under_a_lease_that_ended_is_no_failure_of_who_stands_by(lease, doing):
    readiness = ReadinessObserver(clock=FakeClock(), shares=True)
    seen = LeasesSeen(replicas=2, reading=True)
    for fact in (seen, LeaseTaken(lease=lease, epoch=1)):
        readiness(fact)
    readiness(StoreFailed(doing=doing, reason="too large", retry_in=SECOND))
    readiness(seen)
    assert not readiness.judge().parts["store"].ready

    readiness(LeaseEnded(lease=lease, epoch=1, lost=True))

    assert readiness.judge().ready


def test_how_an_endpoint_stands_is_told_by_who_sends_to_it():
    readiness = ReadinessObserver(clock=FakeClock(), shares=True)
    readiness(LeaseTaken(lease="endpoint:crm", epoch=1))
    down = Standing(state="open", reason="503", since=NOON)
    readiness(StandingChanged(endpoint="crm", before=None, after=down))
    assert "crm has failed since" in readiness.judge().parts["endpoints"].says

    readiness(LeaseEnded(lease="endpoint:crm", epoch=1, lost=False))

    assert readiness.judge().parts["endpoints"].says == "none is down, slowed or paused"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(5, ""), (-5, ""), (7, "7 s behind MongoDB's"), (-3600, "3600 s ahead of MongoDB's")],
)
def test_a_replica_whose_clock_is_wrong_says_so_and_is_ready(seconds, said):
    readiness = ReadinessObserver(clock=FakeClock(), shares=True)

    readiness(LeasesSeen(replicas=2, reading=True, skew=timedelta(seconds=seconds)))

    leases = readiness.judge().parts["leases"]
    assert (leases.ready, "clock" in leases.says) == (True, bool(said))
    assert said in leases.says


REFUSED = Unreachable(reason="refused: nothing listens there")
AGAIN = RetryAt(at=NOON, reason=REFUSED.reason)


def test_a_receiver_that_only_fails_is_told_of_with_the_cure_before_its_circuit_opens():
    observer, clock = an_observer(StreamOpened(resumed=False), BATCH, attempted(REFUSED, AGAIN))
    assert observer.failing == {}, "one refusal among many 2xx is nobody's trouble"

    clock.advance(SURE)
    observer(attempted(REFUSED, AGAIN, began=NOON + SURE))

    assert observer.judge().ready, "restarting us would not bring it back"
    says = observer.judge().parts["endpoints"].says
    assert says.startswith("crm has failed since 2026-11-24T12:00:00+00:00 (refused: nothing listens there)")
    assert "Bring the receiver back" in says
    assert "endpoints pause crm" in says


WENT_DOWN = StandingChanged(
    endpoint="crm", before=None, after=Standing(state="open", reason="503", since=NOON)
)


@pytest.mark.parametrize(
    "mended",
    [
        (
            attempted(Answered(status=204), Delivered()),
            StandingChanged(endpoint="crm", before=WENT_DOWN.after, after=None),
        ),
        (LeaseEnded(lease="endpoint:crm", epoch=1, lost=False),),
        (SettingsReloaded(endpoints=("audit",), needs_restart=()),),
    ],
    ids=["it answers", "another replica sends to it", "it is in the settings no more"],
)
def test_a_receiver_is_forgotten_when_it_is_well_or_somebody_else_s(mended):
    observer, clock = an_observer(attempted(REFUSED, Dead(reason="503")), WENT_DOWN)
    clock.advance(SURE)
    assert "crm" in observer.failing

    for fact in mended:
        observer(fact)

    assert observer.failing == {}
    assert observer.judge().parts["endpoints"].says == "none is down, slowed or paused"


def test_what_cannot_be_addressed_is_not_its_receiver_s_failure():
    observer, clock = an_observer(attempted(Unsendable(reason="no host"), Dead(reason="no host")))

    clock.advance(SURE)

    assert observer.failing == {}


def test_a_lost_lease_is_told_of_for_a_while_with_what_may_be_the_reason():
    clock = FakeClock()
    readiness = ReadinessObserver(clock=clock, shares=True)
    for fact in (
        LeasesSeen(replicas=2, reading=True),
        LeaseTaken(lease="capture", epoch=1),
        LeaseEnded(lease="capture", epoch=1, lost=True),
        LeaseEnded(lease="endpoint:crm", epoch=1, lost=False),
    ):
        readiness(fact)
    clock.advance(3 * SECOND)

    told = readiness.judge().parts["leases"]
    assert (told.ready, told.warns) == (True, True)
    assert "; capture lost to another replica 3 s ago" in told.says
    assert "short of CPU" in told.says

    clock.advance(LOSS_TOLD)
    readiness(LeasesSeen(replicas=2, reading=True))

    told = readiness.judge().parts["leases"]
    assert (told.warns, told.says) == (False, "none of 2 replicas' work")
