"""A histogram of durations, counted as they come: one look for the bucket, and three additions.

`prometheus_client`'s own takes several times as long, and there are four for each attempt."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)
NAMES = (*map(floatToGoString, SECONDS), "+Inf")


class Durations(Collector):
    """For each value of its label, or, without a label, for all."""

    def __init__(self, name: str, text: str, label: str | None) -> None:
        self._name = name
        self._text = text
        self._labels = (label,) if label is not None else ()
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}
        if label is None:
            self._begin("")

    def observe(self, spans: Sequence[timedelta], of: str = "") -> None:
        """So many more. `of`: the label's value."""
        if not spans:
            return
        if of not in self._counts:
            self._begin(of)
        counts, total = self._counts[of], self._sums[of]
        for span in spans:
            seconds = span.total_seconds()
            counts[bisect_left(SECONDS, seconds)] += 1
            total += seconds
        self._sums[of] = total

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for of, counts in self._counts.items():
            buckets: Sequence[tuple[str, float]] = [*zip(NAMES, accumulate(counts), strict=True)]
            family.add_metric([of] if self._labels else [], list(buckets), self._sums[of])
        yield family

    def _begin(self, of: str) -> None:
        self._counts[of] = [0] * len(NAMES)
        self._sums[of] = 0.0
