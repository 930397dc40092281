"""A Settlement: how an attempt ended for one delivery, and what its record says from then on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from watcher.core.attempts import Attempt, attempt_of
from watcher.core.deliveries import State, Stored
from watcher.core.endpoints import Endpoint
from watcher.core.outcomes import Answered, Outcome
from watcher.core.verdicts import Dead, Delivered, Release, RetryAt, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How an attempt ended for one delivery."""

    stored: Stored
    verdict: Verdict
    outcome: Outcome
    endpoint: Endpoint
    """As it was at this attempt."""
    attempted_at: datetime
    took: timedelta

    @property
    def record(self) -> Record | None:
        """What to store of it; None: nothing has changed."""
        match self.verdict:
            case Delivered():
                remark = self.outcome.remark if isinstance(self.outcome, Answered) else None
                return self._record("delivered", reason=remark)
            case RetryAt(at=at, reason=reason):
                return self._record("pending", failed=1, due_at=at, reason=reason)
            case Dead(reason=reason):
                return self._record("dead", failed=1, reason=reason)
            case Release():
                return None
            case _:
                assert_never(self.verdict)

    def _record(
        self, state: State, *, failed: int = 0, due_at: datetime | None = None, reason: str | None
    ) -> Record:
        return Record(
            state=state,
            # Not one more than there are: a store that failed may have settled it, and is asked again.
            attempts=self.stored.attempts + failed,
            due_at=due_at,
            status=self.outcome.status if isinstance(self.outcome, Answered) else None,
            reason=reason,
            attempted_at=self.attempted_at,
            took=self.took,
            settled_at=None if state == "pending" else self.attempted_at + self.took,
            attempt=attempt_of(
                self.outcome, self.endpoint, at=self.attempted_at, took=self.took, reason=reason
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a store writes beside a delivery; the words are those of `Fate`."""

    state: State
    attempts: int
    due_at: datetime | None
    status: int | None
    reason: str | None
    attempted_at: datetime
    took: timedelta
    settled_at: datetime | None
    attempt: Attempt
    """To be added to those that are kept."""
