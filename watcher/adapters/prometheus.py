"""Prometheus: facts as metrics. Every metric's name stands in this file, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from watcher import __version__
from watcher.core.facts import (
    Attempted,
    Captured,
    Fact,
    PositionRestarted,
    StoreFailed,
    StreamLost,
    StreamOpened,
    Swept,
    Unreadable,
)
from watcher.core.outcomes import Answered, NotSent, Outcome, Unreachable
from watcher.core.verdicts import Dead, Delivered, Release, RetryAt, Verdict
from watcher.ports import Counts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

OUTBOX_LABELS = ("endpoint", "state")

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600)


class Metrics:
    """An Observer whose registry can be scraped."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._outbox = _OutboxSize()
        registry.register(self._outbox)
        build = Gauge(
            "watcher_build_info", "Always 1; the version is the label.", ["version"], registry=registry
        )
        build.labels(__version__).set(1)

        self._stream_open = Gauge(
            "watcher_stream_open", "1 while the change stream is open.", registry=registry
        )
        self._stream_lost = Counter(
            "watcher_stream_lost", "Times the change stream broke.", registry=registry
        )
        self._restarts = Counter(
            "watcher_position_restarts", "Times capture went on from now, leaving a gap.", registry=registry
        )
        self._changes = Counter("watcher_changes", "Changes read that were not noise.", registry=registry)
        self._events = Counter("watcher_events", "Events that somebody subscribes to.", registry=registry)
        self._deliveries = Counter("watcher_deliveries", "Deliveries stored.", registry=registry)
        self._lag = Gauge(
            "watcher_capture_lag_seconds", "From the last change to its being stored.", registry=registry
        )
        self._batch = Histogram(
            "watcher_capture_batch_seconds",
            "Mapping and storing one batch of changes.",
            buckets=SECONDS,
            registry=registry,
        )
        self._unreadable = Counter(
            "watcher_unreadable", "Changes that could not be told.", ["collection"], registry=registry
        )
        self._attempts = Counter(
            "watcher_attempts", "Requests made.", ["endpoint", "outcome", "verdict"], registry=registry
        )
        self._attempt = Histogram(
            "watcher_attempt_seconds", "One request.", ["endpoint"], buckets=SECONDS, registry=registry
        )
        self._receipt = Histogram(
            "watcher_commit_to_receipt_seconds",
            "From the commit in MongoDB to the receiver's 2xx.",
            ["endpoint"],
            buckets=SECONDS,
            registry=registry,
        )
        self._store_failures = Counter(
            "watcher_store_failures", "Writes or reads that the state refused.", ["doing"], registry=registry
        )
        self._swept = Counter(
            "watcher_deliveries_swept", "Settled deliveries dropped after their retention.", registry=registry
        )

    def __call__(self, fact: Fact) -> None:
        match fact:
            case Captured():
                self._captured(fact)
            case Attempted():
                self._attempted(fact)
            case StreamOpened():
                self._stream_open.set(1)
            case StreamLost():
                self._stream_open.set(0)
                self._stream_lost.inc()
            case PositionRestarted():
                self._restarts.inc()
            case Unreadable(collection=collection):
                self._unreadable.labels(collection).inc()
            case StoreFailed(doing=doing):
                self._store_failures.labels(doing).inc()
            case Swept(deliveries=deliveries):
                self._swept.inc(deliveries)
            case _:
                assert_never(fact)

    def exposition(self, sizes: Mapping[str, Counts]) -> bytes:
        """What a scrape gets; `sizes` are the outbox's counts by endpoint, read for it."""
        self._outbox.sizes = sizes
        return generate_latest(self._registry)

    def described(self) -> Iterable[tuple[str, str, tuple[str, ...], str]]:
        """Each metric's name as scraped, type, labels and meaning."""
        for family in self._registry.collect():
            metric = self._registry._names_to_collectors.get(family.name)
            labels = getattr(metric, "_labelnames", OUTBOX_LABELS)
            suffix = "_total" if family.type == "counter" else ""
            yield f"{family.name}{suffix}", family.type, tuple(labels), family.documentation

    def _captured(self, fact: Captured) -> None:
        self._changes.inc(fact.changes)
        self._events.inc(fact.events)
        self._deliveries.inc(fact.stored)
        self._lag.set(_seconds(fact.lag) if fact.lag is not None else 0)
        if fact.changes:
            self._batch.observe(_seconds(fact.took))

    def _attempted(self, fact: Attempted) -> None:
        self._attempts.labels(fact.endpoint, outcome_word(fact.outcome), verdict_word(fact.verdict)).inc()
        self._attempt.labels(fact.endpoint).observe(_seconds(fact.took))
        if isinstance(fact.verdict, Delivered):
            self._receipt.labels(fact.endpoint).observe(_seconds(fact.age))


def outcome_word(outcome: Outcome) -> str:
    """`2xx`, `5xx`, or the first word of why there was no answer: few values, whatever receivers do."""
    match outcome:
        case Answered(status=status):
            return f"{status // 100}xx"
        case Unreachable(reason=reason):
            return reason.partition(":")[0]
        case NotSent():
            return "not_sent"
        case _:
            assert_never(outcome)


def verdict_word(verdict: Verdict) -> str:
    match verdict:
        case Delivered():
            return "delivered"
        case RetryAt():
            return "retry_at"
        case Release():
            return "release"
        case Dead():
            return "dead"
        case _:
            assert_never(verdict)


class _OutboxSize(Collector):
    """Read from the store for each scrape: counters of our own would drift from it."""

    def __init__(self) -> None:
        self.sizes: Mapping[str, Counts] = {}

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "watcher_outbox_deliveries", "Deliveries in the store.", labels=OUTBOX_LABELS
        )
        for endpoint, counts in self.sizes.items():
            for state in ("held", "pending", "delivered", "dead", "cancelled"):
                family.add_metric([endpoint, state], getattr(counts, state))
        yield family


def _seconds(span: timedelta) -> float:
    return span.total_seconds()
