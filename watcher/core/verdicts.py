"""A Verdict: what becomes of a delivery after an attempt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from watcher.core.circuits import LAST_PROBE_SECONDS, LONGEST_WAIT, Standing
from watcher.core.endpoints import Endpoint
from watcher.core.outcomes import Answered, NotSent, Outcome, Unreachable, Unsendable


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A 2xx came in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryAt:
    """Failed; the next attempt is not before `at`."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Not the receiver's fault: pending again, the attempt does not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """Failed for the last time: kept, shown, replayable."""

    reason: str


Verdict = Delivered | RetryAt | Release | Dead

SPREAD, LONGEST_SPREAD = 0.05, timedelta(seconds=0.5)
"""A wait is longer than planned by up to this share, and no more than that: what failed together need not
come back in one instant, and the documented waits stay what they are."""


def decide(
    outcome: Outcome,
    *,
    attempts: int,
    endpoint: Endpoint,
    now: datetime,
    jitter: float,
    standing: Standing | None,
) -> Verdict:
    """What becomes of a delivery whose attempt number `attempts + 1` met this outcome.

    A redirect is a failure like any other: redirects are not followed. `jitter`: in [0, 1). `standing`: the
    endpoint's, after this outcome; while its circuit is open, or it is paused, nothing dies."""
    match outcome:
        case Answered(status=status) if 200 <= status < 300:
            return Delivered()
        case Answered(retry_after=retry_after):
            reason, at_least = _reason(outcome), retry_after
        case Unreachable(reason=reason):
            at_least = None
        case NotSent():
            return Release()
        case Unsendable(reason=reason):
            return Dead(reason=reason)  # the same event gives the same, however often it is tried
        case _:
            assert_never(outcome)

    if standing is not None and standing.state != "slowed":
        return _wait_with_the_others(reason, attempts, endpoint, now)
    return _retry(reason, attempts, endpoint, now, at_least=at_least, jitter=jitter)


def reason_of(verdict: Verdict) -> str | None:
    """Why it failed; None where it did not."""
    return verdict.reason if isinstance(verdict, RetryAt | Dead) else None


def is_last(attempts: int, endpoint: Endpoint) -> bool:
    """Does a delivery die that fails for this time too, while nothing else is wrong with the endpoint?"""
    return attempts >= len(endpoint.retry_delays)


def _reason(answer: Answered) -> str:
    redirect = ": redirects are not followed" if answer.status in (301, 302, 303, 307, 308) else ""
    return f"status {answer.status}{redirect}" + (f" ({answer.remark})" if answer.remark else "")


def _retry(
    reason: str,
    attempts: int,
    endpoint: Endpoint,
    now: datetime,
    *,
    at_least: timedelta | None,
    jitter: float,
) -> Verdict:
    if is_last(attempts, endpoint):
        return Dead(reason=reason)
    planned = endpoint.retry_delays[attempts]
    wait = planned + min(planned * SPREAD, LONGEST_SPREAD) * jitter
    if at_least is not None:
        # A receiver may ask for longer than planned, never for shorter.
        wait = max(wait, min(at_least, LONGEST_WAIT))
    return RetryAt(at=now + wait, reason=reason)


def _wait_with_the_others(reason: str, attempts: int, endpoint: Endpoint, now: datetime) -> Verdict:
    """The endpoint is down: its circuit says when the next one goes, whichever that is."""
    longest = timedelta(seconds=LAST_PROBE_SECONDS)
    planned = endpoint.retry_delays[attempts] if attempts < len(endpoint.retry_delays) else longest
    return RetryAt(at=now + min(planned, longest), reason=reason)
