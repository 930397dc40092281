"""A Verdict: what becomes of a delivery after an attempt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from watcher.core.endpoints import Endpoint
from watcher.core.outcomes import Answered, NotSent, Outcome, Unreachable


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


def decide(outcome: Outcome, *, attempts: int, endpoint: Endpoint, now: datetime) -> Verdict:
    """What becomes of a delivery whose attempt number `attempts + 1` met this outcome.

    A redirect is a failure like any other (CONTRACT §5): redirects are not followed."""
    match outcome:
        case Answered(status=status) if 200 <= status < 300:
            return Delivered()
        case Answered(status=status, retry_after=retry_after, left=left):
            return _retry(_reason(status, left), attempts, endpoint, now, at_least=retry_after)
        case Unreachable(reason=reason):
            return _retry(reason, attempts, endpoint, now, at_least=None)
        case NotSent():
            return Release()
        case _:
            assert_never(outcome)


def _reason(status: int, left: str) -> str:
    redirect = ": redirects are not followed" if status in (301, 302, 303, 307, 308) else ""
    return f"status {status}{redirect}" + (f" (the answer is {left})" if left else "")


def _retry(
    reason: str, attempts: int, endpoint: Endpoint, now: datetime, *, at_least: timedelta | None
) -> Verdict:
    if attempts >= len(endpoint.retry_delays):
        return Dead(reason=reason)
    wait = endpoint.retry_delays[attempts]
    if at_least is not None:
        # A receiver may ask for longer than planned, never for shorter; and no longer than a day,
        # so that a wrong header cannot park an event for ever.
        wait = max(wait, min(at_least, timedelta(days=1)))
    return RetryAt(at=now + wait, reason=reason)
