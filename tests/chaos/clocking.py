"""Clocking: when requests arrived at each receiver: how many in one second at most, and the silences."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import pairwise

from tests.chaos.receiver import Arrival


class Clocking:
    """Takes each arrival as it comes, whatever it is answered."""

    def __init__(self, endpoints: Iterable[str]) -> None:
        self._times: dict[str, list[float]] = {name: [] for name in endpoints}

    def take(self, arrival: Arrival) -> None:
        self._times[arrival.endpoint].append(arrival.at)

    def most_within(self, endpoint: str, seconds: float) -> int:
        """Requests in the fullest window of that length."""
        times = self._times[endpoint]
        return max(
            (bisect_left(times, at + seconds) - start for start, at in enumerate(times)),
            default=0,
        )

    def longest_silence(self, endpoint: str, since: float, until: float) -> float:
        """Seconds without a request, between two moments."""
        times = self._times[endpoint]
        heard = times[bisect_left(times, since) : bisect_right(times, until)]
        return max(later - before for before, later in pairwise([since, *heard, until]))
