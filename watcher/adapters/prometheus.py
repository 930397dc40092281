"""Prometheus: facts as metrics. Every metric's name stands in this file, and nowhere else."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from functools import cache
from types import MappingProxyType
from typing import assert_never

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from watcher import __version__
from watcher.adapters.durations import Durations
from watcher.core.backfill import Backfill
from watcher.core.facts import (
    Backfilled,
    Beat,
    Captured,
    CapturePaused,
    CaptureResumed,
    Fact,
    LeaseEnded,
    LeasesSeen,
    LeaseTaken,
    LogChanged,
    OplogMeasured,
    OplogScarce,
    OplogUnknown,
    PositionRestarted,
    Recovered,
    Recovering,
    RecoveryBegan,
    Refused,
    ScanFailed,
    Scanned,
    SettingsRefused,
    SettingsReloaded,
    Settled,
    SpansLost,
    StandingChanged,
    StoreFailed,
    StreamLost,
    StreamOpened,
    Swept,
    Thinned,
    Unreadable,
)
from watcher.core.leases import CAPTURE, endpoint_lease
from watcher.core.outcomes import Answered, NotSent, Outcome, Unreachable, Unsendable
from watcher.core.verdicts import Dead, Delivered, Release, RetryAt, Verdict
from watcher.ports import Counts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

NO_AGES: Mapping[str, timedelta] = MappingProxyType({})

STANDINGS = ("open", "slowed", "paused")

STORE_FAILURES = ("append", "bind", "examine", "forget", "look at leases", "read", "settle", "stand")
"""What the state may refuse."""

# Beside each counter a time that nobody asks for: as many series again.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """An Observer whose registry can be scraped."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._outbox = _OutboxSize()
        self._registry.register(self._outbox)
        self._oplog = _OplogReach()
        self._registry.register(self._oplog)
        ProcessCollector(registry=self._registry)
        self._expected: set[str] = set()
        self._failed: dict[str, bool] = {}  # what `_failing` says; to look it up there costs more
        self.table: list[tuple[str, str, tuple[str, ...], str]] = [
            *self._outbox.described,
            *self._oplog.described,
            *_OF_THE_PROCESS,
        ]
        """Each metric's name as scraped, type, labels and meaning, for docs/OPERATING.md."""

        gauge, counter, histogram = self._gauge, self._counter, self._histogram
        build = gauge("watcher_build_info", "Always 1; the version is the label.", "version")
        build.labels(__version__).set(1)
        self._stream_open = gauge("watcher_stream_open", "1 while the change stream is open.")
        self._stream_lost = counter("watcher_stream_lost", "Times the change stream broke.")
        self._paused = gauge("watcher_capture_paused", "1 while nothing is read, since the store is full.")
        self._restarts = counter(
            "watcher_position_restarts", "Times capture went on from now, leaving a gap."
        )
        self._recovering = gauge(
            "watcher_recovery_active", "1 while a gap is being repaired, and the stream waits for it."
        )
        self._recoveries = counter("watcher_recoveries", "Gaps after a lost position that were repaired.")
        self._recovery_rows = gauge(
            "watcher_recovery_rows", "Rows looked at by the repair under way, or by the last one."
        )
        self._recovered = counter("watcher_recovered_events", "Events found by repairs.", "event")
        self._backfills = gauge("watcher_backfill_active", "Backfills under way, of another process.")
        self._backfill_rows = gauge("watcher_backfill_rows", "Rows that they have looked at.")
        self._backfill_expected = gauge(
            "watcher_backfill_expected_rows", "Rows that they will have looked at, about."
        )
        self._changes = counter("watcher_changes", "Changes read that were not noise.")
        self._events = counter("watcher_events", "Events that somebody subscribes to.")
        self._deliveries = counter("watcher_deliveries", "Deliveries stored.")
        self._lag = gauge("watcher_capture_lag_seconds", "From the last change to its being stored.")
        self._batch = histogram("watcher_capture_batch_seconds", "Mapping and storing one batch of changes.")
        self._stored = histogram(
            "watcher_commit_to_stored_seconds",
            "From the commit of a change in MongoDB to its being mapped and stored here.",
        )
        self._unreadable = counter("watcher_unreadable", "Changes that could not be told.", "collection")
        self._refused = counter(
            "watcher_refused", "Deliveries whose body could not be made, stored dead.", "endpoint"
        )
        self._thinned = counter(
            "watcher_changes_thinned", "Changes beyond 16 MB, read without their largest parts.", "collection"
        )
        self._attempts = counter("watcher_attempts", "Requests made.", "endpoint", "outcome", "verdict")
        self._first_attempt = histogram(
            "watcher_commit_to_attempt_seconds",
            "From the commit in MongoDB to the beginning of the first request.",
            "endpoint",
        )
        self._attempt = histogram("watcher_attempt_seconds", "One request.", "endpoint")
        self._settling = histogram(
            "watcher_settle_seconds", "Storing what became of one request, after its answer.", "endpoint"
        )
        self._receipt = histogram(
            "watcher_commit_to_receipt_seconds",
            "From the commit in MongoDB to the receiver's 2xx.",
            "endpoint",
        )
        self._settled = counter(
            "watcher_deliveries_settled",
            "Deliveries that are through: `delivered` or `dead`. A batch counts as all that it carries.",
            "endpoint",
            "verdict",
        )
        self._replayed = counter(
            "watcher_deliveries_replayed", "Deliveries sent again by page or API.", "endpoint"
        )
        self._cancelled = counter(
            "watcher_deliveries_cancelled", "Deliveries cancelled by page or API.", "endpoint"
        )
        self._open = gauge("watcher_circuit_open", "1 while an endpoint's circuit is open.", "endpoint")
        self._failing = gauge(
            "watcher_endpoint_failing", "1 while its last attempt failed, whatever its standing.", "endpoint"
        )
        self._endpoint_paused = gauge("watcher_endpoint_paused", "1 while nothing goes to it.", "endpoint")
        self._standing = gauge(
            "watcher_endpoint_standing",
            "1 while it stands so: `open` (its circuit), `slowed`, `paused`; else it is sent what there is.",
            "endpoint",
            "state",
        )
        self._slowed = counter(
            "watcher_endpoint_slowed", "Times an endpoint asked to be left alone for a while.", "endpoint"
        )
        self._replicas = gauge(
            "watcher_replicas", "Replicas that share a state in MongoDB, this one included."
        )
        self._lease_held = gauge(
            "watcher_lease_held",
            "1 while this replica does what the lease is for; over all replicas together, 1 each.",
            "lease",
        )
        self._leases_lost = counter(
            "watcher_leases_lost", "Leases that another replica took over, as they were not renewed in time."
        )
        self._reloads = counter("watcher_settings_reloads", "Times changed settings came into force.")
        self._settings_refused = gauge(
            "watcher_settings_refused", "1 while the settings' files are wrong, and older ones in force."
        )
        self._store_failures = counter(
            "watcher_store_failures", "Writes or reads that the state refused.", "doing"
        )
        self._scanned = gauge(
            "watcher_scan_rows", "Rows that the first scan has remembered so far.", "collection"
        )
        self._scan_failures = counter("watcher_scan_failures", "Pages of a first scan that failed.")
        self._swept = counter(
            "watcher_deliveries_swept", "Settled deliveries dropped: past their retention, or for room."
        )
        self._late = histogram(
            "watcher_event_loop_lag_seconds",
            "How late the event loop came round, looked at each second: all waits when it does not.",
        )
        self._spans_lost = counter(
            "watcher_trace_spans_lost", "Spans that the collector of traces did not take."
        )
        # Looked up once, and not for each attempt: only what is never taken away again.
        self._attempts_of = cache(self._attempts.labels)
        self._settled_of = cache(self._settled.labels)
        for doing in STORE_FAILURES:
            self._store_failures.labels(doing)
        self._observer_failures = gauge(
            "watcher_observer_failures", "Facts that a log line or a metric could not be made of."
        )

    def expect(self, endpoints: Iterable[str], collections: Iterable[str]) -> None:
        """Show just these from now on, at 0: of a counter that begins at 1 no alert sees that it rose."""
        wanted = set(endpoints)
        for endpoint in self._expected - wanted:  # how they stood is nobody's trouble any more
            self._open.remove(endpoint)
            self._failing.remove(endpoint)
            self._failed.pop(endpoint, None)
            self._endpoint_paused.remove(endpoint)
            for state in STANDINGS:
                self._standing.remove(endpoint, state)
        self._expected = wanted
        for endpoint in wanted:
            self._refused.labels(endpoint)
            self._slowed.labels(endpoint)
            self._open.labels(endpoint)
            self._failing.labels(endpoint)
            self._endpoint_paused.labels(endpoint)
            for state in STANDINGS:
                self._standing.labels(endpoint, state)
            self._replayed.labels(endpoint)
            self._cancelled.labels(endpoint)
            for verdict in ("delivered", "dead"):
                self._settled.labels(endpoint, verdict)
        for collection in collections:
            self._unreadable.labels(collection)
            self._thinned.labels(collection)

    def __call__(self, fact: Fact) -> None:
        match fact:
            case Captured():
                self._captured(fact)
            case Settled():
                self._attempted(fact)
            case StreamOpened():
                self._stream_open.set(1)
            case StreamLost():
                self._stream_open.set(0)
                self._stream_lost.inc()
            case Scanned(collection=collection, rows=rows):
                self._scanned.labels(collection).set(rows)
            case ScanFailed():
                self._scan_failures.inc()
            case CapturePaused():
                self._paused.set(1)
            case CaptureResumed():
                self._paused.set(0)
            case OplogMeasured():
                self._oplog.measured = fact
            case OplogUnknown():
                self._oplog.measured = None
            case OplogScarce():
                pass  # the measures tell it
            case PositionRestarted():
                self._restarts.inc()
            case RecoveryBegan():
                self._recovering.set(1)
            case Recovering(rows=rows):
                self._recovery_rows.set(rows)
            case Recovered(counts=counts):
                self._recovering.set(0)
                self._recoveries.inc()
                for event, number in counts.items():
                    self._recovered.labels(event).inc(number)
            case Backfilled():
                pass  # a command's own, which nobody scrapes; the state tells of it
            case Unreadable(collection=collection):
                self._unreadable.labels(collection).inc()
            case Refused(endpoint=endpoint):
                self._refused.labels(endpoint).inc()
            case Thinned(collection=collection):
                self._thinned.labels(collection).inc()
            case StandingChanged(endpoint=endpoint, after=after):
                state = after.state if after is not None else None
                self._stands(endpoint, state)
                if state == "slowed":
                    self._slowed.labels(endpoint).inc()
            case LeasesSeen(replicas=replicas):
                self._replicas.set(replicas)
            case LeaseTaken(lease=lease):
                self._lease_held.labels(lease).set(1)
            case LeaseEnded(lease=lease, lost=lost):
                self._lease_held.labels(lease).set(0)
                self._leases_lost.inc(lost)
                if lease == CAPTURE:  # what it told of the stream is another replica's to tell
                    self._stream_open.set(0)
                    self._lag.set(0)
                    self._paused.set(0)
                    self._recovering.set(0)
                    self._oplog.measured = None
                elif (endpoint := lease.removeprefix(endpoint_lease(""))) in self._expected:
                    self._stands(endpoint, None)  # so is how the endpoint stands
                    self._fails(endpoint, fails=False)
            case SettingsReloaded():
                self._reloads.inc()
                self._settings_refused.set(0)
            case SettingsRefused():
                self._settings_refused.set(1)
            case StoreFailed(doing=doing):
                self._store_failures.labels(doing).inc()
            case Swept(deliveries=deliveries):
                self._swept.inc(deliveries)
            case LogChanged(act=act, by_endpoint=by_endpoint):
                changed = self._replayed if act == "replay" else self._cancelled
                for endpoint, number in by_endpoint.items():
                    changed.labels(endpoint).inc(number)
            case Beat(late=late):
                self._late.observe((late,))
            case SpansLost(spans=spans):
                self._spans_lost.inc(spans)
            case _:
                assert_never(fact)

    def exposition(
        self,
        sizes: Mapping[str, Counts],
        *,
        ages: Mapping[str, timedelta] = NO_AGES,
        used_bytes: int | None = None,
        backfills: Collection[Backfill] = (),
        observer_failures: int = 0,
    ) -> bytes:
        """What a scrape gets. Read for it from the outbox: `sizes`, its counts by endpoint; `ages`, of the
        first delivery that waits for each; `used_bytes`; `backfills`, those under way."""
        self._outbox.sizes, self._outbox.ages, self._outbox.used_bytes = sizes, ages, used_bytes
        self._backfills.set(len(backfills))
        self._backfill_rows.set(sum(each.rows for each in backfills))
        self._backfill_expected.set(sum(max(each.total or 0, each.rows) for each in backfills))
        self._observer_failures.set(observer_failures)
        return generate_latest(self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        self.table.append((name, "gauge", labels, text))
        return Gauge(name, text, labels, registry=self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        self.table.append((f"{name}_total", "counter", labels, text))
        return Counter(name, text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, label: str | None = None) -> Durations:
        self.table.append((name, "histogram", () if label is None else (label,), text))
        durations = Durations(name, text, label)
        self._registry.register(durations)
        return durations

    def _stands(self, endpoint: str, now: str | None) -> None:
        self._open.labels(endpoint).set(now == "open")
        self._endpoint_paused.labels(endpoint).set(now == "paused")
        for state in STANDINGS:
            self._standing.labels(endpoint, state).set(now == state)

    def _captured(self, fact: Captured) -> None:
        self._changes.inc(fact.changes)
        self._events.inc(fact.events)
        self._deliveries.inc(fact.stored)
        self._lag.set(_seconds(fact.lag) if fact.lag is not None else 0)
        if fact.changes:
            self._batch.observe((fact.took,))
        self._stored.observe(fact.lags)

    def _attempted(self, fact: Settled) -> None:
        endpoint, made = fact.endpoint, fact.attempts
        requests: defaultdict[tuple[str, str], int] = defaultdict(int)
        for each in made:
            requests[outcome_word(each.outcome), verdict_word(each.verdict)] += 1
        for (outcome, verdict), number in requests.items():
            self._attempts_of(endpoint, outcome, verdict).inc(number)
        self._attempt.observe([each.took for each in made], endpoint)

        counted = [each for each in made if not isinstance(each.verdict, Release)]
        self._settling.observe([each.storing for each in counted], endpoint)
        first = [each for each in counted if each.attempt == 1]
        self._first_attempt.observe([each.age - each.took for each in first], endpoint)
        if sent := [each for each in counted if not isinstance(each.outcome, Unsendable)]:
            self._fails(endpoint, fails=not isinstance(sent[-1].verdict, Delivered))

        delivered = [each for each in counted if isinstance(each.verdict, Delivered)]
        dead = [each for each in counted if isinstance(each.verdict, Dead)]
        self._receipt.observe([each.age for each in delivered], endpoint)
        for verdict, through in (("delivered", delivered), ("dead", dead)):
            if through:
                self._settled_of(endpoint, verdict).inc(sum([each.carried for each in through]))

    def _fails(self, endpoint: str, *, fails: bool) -> None:
        if endpoint in self._expected and self._failed.get(endpoint) is not fails:
            self._failed[endpoint] = fails
            self._failing.labels(endpoint).set(fails)


def outcome_word(outcome: Outcome) -> str:
    """`2xx`, `5xx`, or the first word of why there was no answer: few values, whatever receivers do."""
    match outcome:
        case Answered(status=status):
            return f"{status // 100}xx"
        case Unreachable(reason=reason):
            return reason.partition(":")[0]
        case NotSent():
            return "not_sent"
        case Unsendable():
            return "unsendable"
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

    described = (
        ("watcher_outbox_deliveries", "gauge", ("endpoint", "state"), "Deliveries in the store."),
        (
            "watcher_outbox_oldest_seconds",
            "gauge",
            ("endpoint",),
            "Age of the change whose delivery is the first in order that is pending; 0: none is.",
        ),
        ("watcher_store_bytes", "gauge", (), "What the store holds, to be held against `watcher.maxStore`."),
    )

    def __init__(self) -> None:
        self.sizes: Mapping[str, Counts] = {}
        self.ages: Mapping[str, timedelta] = {}
        self.used_bytes: int | None = None

    def collect(self) -> Iterable[Metric]:
        sizes, ages, used = self.described
        family = GaugeMetricFamily(sizes[0], sizes[3], labels=sizes[2])
        for endpoint, counts in self.sizes.items():
            for state in ("held", "pending", "delivered", "dead", "cancelled"):
                family.add_metric([endpoint, state], getattr(counts, state))
        yield family
        family = GaugeMetricFamily(ages[0], ages[3], labels=ages[2])
        for endpoint in self.sizes:
            age = self.ages.get(endpoint, timedelta(0))
            family.add_metric([endpoint], max(_seconds(age), 0))  # our clock and MongoDB's may differ
        yield family
        if self.used_bytes is not None:
            yield GaugeMetricFamily(used[0], used[3], value=self.used_bytes)


_OF_THE_PROCESS: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("process_resident_memory_bytes", "gauge", (), "The program's memory (like the next five: on Linux)."),
    ("process_virtual_memory_bytes", "gauge", (), "Addresses it has reserved."),
    ("process_cpu_seconds_total", "counter", (), "CPU that it has used."),
    ("process_start_time_seconds", "gauge", (), "When it began, in seconds since 1970."),
    ("process_open_fds", "gauge", (), "Files and sockets that it has open."),
    ("process_max_fds", "gauge", (), "How many it may have open."),
)
"""Of `prometheus_client` itself, under the names that every Prometheus client gives them."""


class _OplogReach(Collector):
    """Absent while the oplog is not known: 0 would be an alarm."""

    described = (
        ("watcher_oplog_window_seconds", "gauge", (), "How far the oplog reaches back."),
        ("watcher_oplog_headroom_seconds", "gauge", (), "From the oplog's beginning to the stored position."),
        (
            "watcher_oplog_left_seconds",
            "gauge",
            (),
            "Until the stored position falls off the oplog, at the present pace; +Inf: it does not near.",
        ),
    )

    def __init__(self) -> None:
        self.measured: OplogMeasured | None = None

    def collect(self) -> Iterable[Metric]:
        if self.measured is None:
            return
        left = self.measured.left
        values = (
            _seconds(self.measured.window),
            _seconds(self.measured.headroom),
            _seconds(left) if left is not None else math.inf,
        )
        for (name, _, _, text), value in zip(self.described, values, strict=True):
            yield GaugeMetricFamily(name, text, value=value)


def _seconds(span: timedelta) -> float:
    return span.total_seconds()
