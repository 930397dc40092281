"""What becomes of a delivery after an attempt: a table, and a property over all of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.circuits import LAST_PROBE_SECONDS, Standing
from watcher.core.endpoints import Endpoint
from watcher.core.outcomes import Answered, NotSent, Unreachable, Unsendable
from watcher.core.verdicts import Dead, Delivered, Release, RetryAt, decide

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CRM = Endpoint(name="crm", url="https://crm.example/", secrets=(), events=("*",))

failures = st.one_of(
    st.builds(
        Answered,
        status=st.integers(100, 599).filter(lambda status: not 200 <= status < 300),
        retry_after=st.one_of(st.none(), st.timedeltas(timedelta(days=-1), timedelta(days=400))),
    ),
    st.builds(Unreachable, reason=st.sampled_from(["timeout: connecting", "dns: no such host"])),
)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(status):
    assert (
        decide(Answered(status=status), attempts=0, endpoint=CRM, now=NOON, jitter=0, standing=None)
        == Delivered()
    )


@pytest.mark.parametrize("status", [100, 199, 300, 304, 400, 401, 404, 410, 429, 500, 503, 599])
def test_everything_else_fails(status):
    verdict = decide(Answered(status=status), attempts=0, endpoint=CRM, now=NOON, jitter=0, standing=None)

    assert verdict == RetryAt(at=NOON + timedelta(seconds=5), reason=f"status {status}")


def test_the_reason_says_what_was_wrong_with_the_answer_too():
    outcome = Answered(status=500, left="slow, and was left")

    verdict = decide(outcome, attempts=0, endpoint=CRM, now=NOON, jitter=0, standing=None)

    reason = "status 500 (the answer is slow, and was left)"
    assert verdict == RetryAt(at=NOON + timedelta(seconds=5), reason=reason)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_fails_too_and_the_reason_says_so(status):
    verdict = decide(Answered(status=status), attempts=0, endpoint=CRM, now=NOON, jitter=0, standing=None)

    reason = f"status {status}: redirects are not followed"
    assert verdict == RetryAt(at=NOON + timedelta(seconds=5), reason=reason)


def test_attempts_come_after_5_15_and_60_seconds_and_then_it_is_dead():
    verdicts = [
        decide(Answered(status=500), attempts=n, endpoint=CRM, now=NOON, jitter=0, standing=None)
        for n in range(4)
    ]

    assert verdicts == [
        RetryAt(at=NOON + timedelta(seconds=5), reason="status 500"),
        RetryAt(at=NOON + timedelta(seconds=15), reason="status 500"),
        RetryAt(at=NOON + timedelta(seconds=60), reason="status 500"),
        Dead(reason="status 500"),
    ]


@pytest.mark.parametrize(("attempts", "longest"), [(0, 5.25), (1, 15.5), (2, 60.5)])
def test_what_failed_together_comes_back_a_little_apart(attempts, longest):
    def wait(jitter: float) -> float:
        verdict = decide(
            Answered(status=500), attempts=attempts, endpoint=CRM, now=NOON, jitter=jitter, standing=None
        )
        assert isinstance(verdict, RetryAt)
        return (verdict.at - NOON).total_seconds()

    assert wait(0.5) == (wait(0) + longest) / 2
    assert wait(1) == longest


@pytest.mark.parametrize("attempts", range(6))
@pytest.mark.parametrize("state", ["open", "paused"])
def test_nothing_dies_while_the_endpoint_is_down_or_paused(attempts, state):
    standing = Standing(state=state, reason="", since=NOON)

    verdict = decide(
        Answered(status=500), attempts=attempts, endpoint=CRM, now=NOON, jitter=0, standing=standing
    )

    assert isinstance(verdict, RetryAt)
    assert verdict.at <= NOON + timedelta(seconds=LAST_PROBE_SECONDS)


def test_a_receiver_may_ask_for_a_longer_wait():
    outcome = Answered(status=503, retry_after=timedelta(hours=1))

    verdict = decide(outcome, attempts=0, endpoint=CRM, now=NOON, jitter=0, standing=None)

    assert verdict == RetryAt(at=NOON + timedelta(hours=1), reason="status 503")


def test_a_receiver_may_not_ask_for_a_shorter_wait():
    outcome = Answered(status=429, retry_after=timedelta(0))

    verdict = decide(outcome, attempts=1, endpoint=CRM, now=NOON, jitter=0, standing=None)

    assert verdict == RetryAt(at=NOON + timedelta(seconds=15), reason="status 429")


def test_our_own_shutdown_costs_no_attempt():
    assert decide(NotSent(), attempts=3, endpoint=CRM, now=NOON, jitter=0, standing=None) == Release()


@pytest.mark.parametrize("attempts", [0, 3])
def test_what_cannot_be_sent_at_all_is_dead_at_once(attempts):
    outcome = Unsendable(reason="url: data.x is undefined")

    verdict = decide(outcome, attempts=attempts, endpoint=CRM, now=NOON, jitter=0, standing=None)

    assert verdict == Dead(reason="url: data.x is undefined")


@given(outcome=failures, attempts=st.integers(0, 10))
def test_every_failure_ends_in_a_later_retry_within_a_day_or_in_death(outcome, attempts):
    verdict = decide(outcome, attempts=attempts, endpoint=CRM, now=NOON, jitter=0, standing=None)

    match verdict:
        case RetryAt(at=at):
            assert attempts < 3
            assert NOON < at <= NOON + timedelta(days=1)
        case Dead(reason=reason):
            assert attempts >= 3
            assert reason
        case _:
            pytest.fail(f"{verdict} is neither")
