"""A Circuit: how many requests an endpoint may have at once now, by how it took the last ones.

    closed ──fails again and again──▶ open ──a wait──▶ one probe ──2xx──▶ closed
                                       ▲                   │
                                       └──── it failed ────┘   (and the next wait is longer)
    any ──410, or an operator──▶ paused ──an operator──▶ closed

429, 503 and `Retry-After` slow one that is closed: nothing goes for a while, then fewer at once, then more
with each 2xx. The law: a receiver that is down gets one request at a time, which tells when it is back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from watcher.core.events import EventId
from watcher.core.outcomes import Answered, NotSent, Outcome, Unreachable, Unsendable

MANY = 10
"""So many different deliveries that failed in a row open the circuit, however quickly they came; fewer turn
dead before, however often each is tried. A batch fails as all that it carries."""

SOME, LONG_SECONDS = 3, 60.0
"""So many do over so long: where an event comes every few minutes, each would be dead before there were many.
One alone never does: it may be the event that is wrong, and must not keep all others waiting."""

FIRST_PROBE_SECONDS, LAST_PROBE_SECONDS = 1.0, 15.0
"""Waits between probes, doubled from the first to the last: four requests a minute are no burden for a
receiver that is down, and its return is noticed within a quarter of a minute."""

GONE = 410
SLOW_DOWN = frozenset({429, 503})
"""Too Many Requests (RFC 6585 §4) and Service Unavailable (RFC 9110 §15.6.4)."""

FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 1.0, 30.0
"""How long nothing goes after one of these without a `Retry-After`, when one request at a time was too much
already; doubled as long as they go on. Before, fewer at once must do: a proxy in front of several receivers
answers 503 for one of them, too."""

LONGEST_WAIT = timedelta(days=1)
"""What `Retry-After` may ask for: a wrong header cannot stop an endpoint for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """That an endpoint is not simply sent what there is, and why. Stored: a restart does not forget it."""

    state: Literal["open", "paused", "slowed"]
    reason: str
    since: datetime
    until: datetime | None = None
    """Nothing goes before, as the receiver asked."""


class Circuit:
    """What one endpoint may be sent. Times without a zone are monotonic seconds (`clock`)."""

    def __init__(self, slots: int) -> None:
        """`slots`: requests at once, when all is well."""
        self.standing: Standing | None = None
        """None: closed, and not slowed."""
        self._slots = slots
        self._not_before = 0.0
        self._failed: set[EventId] = set()
        self._failing_since = 0.0
        self._probe_wait = FIRST_PROBE_SECONDS
        self._opened_at = 0.0
        self._width = float(slots)
        self._quick_below = float(slots)
        """Up to this width each 2xx makes room for one more; beyond, a whole round of them does."""
        self._slowed_at = -math.inf
        self._pause = 0.0

    def slots(self, clock: float) -> int:
        """How many requests may be in flight now."""
        standing = self.standing
        if standing is not None and standing.state == "paused":
            return 0
        if clock < self._not_before:
            return 0
        return 1 if standing is not None and standing.state == "open" else int(self._width)

    @property
    def is_open(self) -> bool:
        return self.standing is not None and self.standing.state == "open"

    def next_free(self) -> float | None:
        """From when on time alone lets more go; None: that is not for time to decide."""
        paused = self.standing is not None and self.standing.state == "paused"
        return None if paused else self._not_before

    def resize(self, slots: int) -> None:
        """The settings allow another number of requests at once."""
        self._width = float(slots) if self._width >= self._slots else min(self._width, float(slots))
        self._quick_below = min(self._quick_below, float(slots))
        self._slots = slots

    def stand(self, standing: Standing | None, *, now: datetime, clock: float) -> None:
        """As it stood when that was stored; or as an operator wants it."""
        self.standing = standing
        self._not_before = clock
        self._failed.clear()
        if standing is None:
            return
        match standing.state:
            case "open":
                self._opened_at, self._probe_wait = clock, FIRST_PROBE_SECONDS
            case "slowed" | "paused":
                pass
        left = standing.until - now if standing.until is not None else timedelta(0)
        self._not_before = clock + max(0.0, left.total_seconds())

    def heard(
        self,
        outcome: Outcome,
        deliveries: Sequence[EventId],
        *,
        last: bool,
        began: float,
        clock: float,
        now: datetime,
        jitter: float,
    ) -> None:
        """A request with these deliveries met its outcome. `last`: they die of a failure while it is closed.
        `began`: when it went out; `jitter`: in [0, 1)."""
        match outcome:
            case NotSent() | Unsendable():
                return  # nobody was asked
            case Answered(status=status) if 200 <= status < 300:
                self._well(began, clock, now)
            case Answered(status=status) if status == GONE:
                self._failed.clear()
                self.standing = Standing(state="paused", reason=f"status {GONE}", since=now)
            case Answered(status=status, retry_after=asked):
                self._failure(deliveries, last, f"status {status}", began, clock, now, jitter)
                if asked is not None:
                    self._slow(min(asked, LONGEST_WAIT), f"status {status}, Retry-After", began, clock, now)
                elif status in SLOW_DOWN and began > self._slowed_at:
                    if self._width <= 1:
                        self._pause = min(max(FIRST_PAUSE_SECONDS, 2 * self._pause), LAST_PAUSE_SECONDS)
                    pause = timedelta(seconds=self._pause * (1 + jitter / 10))
                    self._slow(pause, f"status {status}", began, clock, now)
            case Unreachable(reason=reason):
                self._failure(deliveries, last, reason, began, clock, now, jitter)

    def _well(self, began: float, clock: float, now: datetime) -> None:
        self._failed.clear()
        standing = self.standing
        if standing is not None and standing.state == "open":
            # It was down: what has gathered does not go all at once.
            self.standing, self._not_before = None, clock
            self._width, self._quick_below = 1.0, float(self._slots)
            return
        if standing is not None and standing.state == "slowed" and clock >= self._not_before:
            self.standing = None
        if began > self._slowed_at:
            self._pause = 0.0
        grown = self._width + (1.0 if self._width < self._quick_below else 1.0 / self._width)
        self._width = min(grown, float(self._slots))

    def _failure(
        self,
        deliveries: Sequence[EventId],
        last: bool,
        reason: str,
        began: float,
        clock: float,
        now: datetime,
        jitter: float,
    ) -> None:
        standing = self.standing
        if standing is not None and standing.state == "paused":
            return
        if standing is not None and standing.state == "open":
            if began >= self._opened_at:  # a probe, and not what was under way when it opened
                self._probe_wait = min(2 * self._probe_wait, LAST_PROBE_SECONDS)
                self._wait_for_probe(clock, jitter)
            return
        if not self._failed:
            self._failing_since = began
        alone = self._failed.issubset(deliveries)
        # Each time before, all that a batch carries was reason enough to ask others. Where they went well,
        # something in the batch is wrong: it dies, instead of opening the circuit for ever.
        self._failed.update(deliveries[:1] if last and alone else deliveries)
        lasted = clock - self._failing_since
        if len(self._failed) >= MANY or (len(self._failed) >= SOME and lasted >= LONG_SECONDS):
            self.standing = Standing(state="open", reason=reason, since=now)
            self._failed.clear()
            self._opened_at, self._probe_wait = clock, FIRST_PROBE_SECONDS
            self._wait_for_probe(clock, jitter)

    def _wait_for_probe(self, clock: float, jitter: float) -> None:
        # Spread over the upper half: many watchers must not find out about one receiver in step.
        self._not_before = max(self._not_before, clock + self._probe_wait * (0.5 + jitter / 2))

    def _slow(self, wait: timedelta, reason: str, began: float, clock: float, now: datetime) -> None:
        """Send nothing for a while; and less at once after it."""
        if began > self._slowed_at:  # of those that were sent together, the first tells for all
            self._width = max(1.0, self._width / 2)
            self._quick_below = self._width
        self._slowed_at = clock
        if not wait:
            return
        self._not_before = max(self._not_before, clock + wait.total_seconds())
        standing, until = self.standing, now + timedelta(seconds=self._not_before - clock)
        if standing is not None and standing.state == "open":
            self.standing = replace(standing, until=until)
        elif standing is None or standing.state == "slowed":
            self.standing = Standing(
                state="slowed",
                reason=reason,
                since=standing.since if standing is not None else now,
                until=until,
            )
