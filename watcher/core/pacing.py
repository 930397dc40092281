"""Pace: how many requests may go to one endpoint now, counted where it matters: at the receiver."""

from __future__ import annotations

import heapq
import math
from typing import NewType

Ticket = NewType("Ticket", int)

UNSURE_SECONDS = 0.25
"""A request arrives somewhere between its writing and its answer; after this long we take it as arrived.
Longer would be safer against slow links and would slow down endpoints that think for long."""


class RateWindow:
    """No window of one second holds more arrivals than the limit.

    A request counts from its taking, through connecting, until one second after its answer (or after
    `UNSURE_SECONDS` from when it was written, if that comes first). It can only arrive in between, so however
    the network delays one and hurries another, a window at the receiver never sees more than the limit.
    Times are monotonic seconds."""

    def __init__(self, max_per_second: float | None) -> None:
        self._frees: list[tuple[float, Ticket]] = []
        self._counted: dict[Ticket, float] = {}
        self._last = 0
        self._set(max_per_second)

    def become(self, max_per_second: float | None, now: float) -> None:
        """Another limit from now on. What went before counts, too."""
        was_unlimited = self._unlimited
        self._set(max_per_second)
        if was_unlimited:
            self.fill(now)  # nobody counted what was answered

    def fill(self, now: float) -> None:
        """Nobody knows what was sent a moment ago: there may have been as many as there may be now."""
        if not self._unlimited:
            for _ in range(self._limit):
                self._count(self.take(), until=now + self._window)

    @property
    def is_limited(self) -> bool:
        return not self._unlimited

    def allowance(self, now: float) -> float:
        """How many requests may go at once, now (`math.inf` without a limit)."""
        if self._unlimited:
            return math.inf
        self._expire(now)
        return self._limit - len(self._counted)

    def take(self) -> Ticket:
        """Count a request that is begun now. Only when `allowance` is at least one."""
        self._last += 1
        ticket = Ticket(self._last)
        self._counted[ticket] = math.inf  # without a limit, too: one may come while it is under way
        return ticket

    def written(self, ticket: Ticket, now: float) -> None:
        """There is a connection, and the request goes out on it."""
        if ticket in self._counted and not self._unlimited:
            self._count(ticket, until=now + UNSURE_SECONDS + self._window)

    def answered(self, ticket: Ticket, now: float) -> None:
        """The request's answer is here, so it arrived before now."""
        if self._unlimited:
            self._counted.pop(ticket, None)
            return
        until = self._counted.get(ticket)
        if until is not None and now + self._window < until:
            self._count(ticket, until=now + self._window)

    def next_free(self) -> float | None:
        """When the next counted request stops counting, in monotonic seconds; None if that is not known."""
        while self._frees and self._counted.get(self._frees[0][1]) != self._frees[0][0]:
            heapq.heappop(self._frees)
        return self._frees[0][0] if self._frees else None

    def _set(self, max_per_second: float | None) -> None:
        self._unlimited = max_per_second is None
        rate = max_per_second or 1.0
        self._limit = max(1, math.floor(rate))
        self._window = max(1.0, 1.0 / rate)

    def _count(self, ticket: Ticket, *, until: float) -> None:
        self._counted[ticket] = until
        heapq.heappush(self._frees, (until, ticket))

    def _expire(self, now: float) -> None:
        while self._frees and self._frees[0][0] <= now:
            until, ticket = heapq.heappop(self._frees)
            if self._counted.get(ticket) == until:
                del self._counted[ticket]
