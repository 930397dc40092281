"""Facts as metrics."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any, Literal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.builders import NOON
from watcher.adapters.prometheus import Metrics
from watcher.core.backfill import Backfill
from watcher.core.circuits import Standing
from watcher.core.events import EventId, EventType
from watcher.core.facts import (
    Attempted,
    Beat,
    Captured,
    CapturePaused,
    CaptureResumed,
    Fact,
    LeaseEnded,
    LogChanged,
    OplogMeasured,
    OplogUnknown,
    PositionRestarted,
    Recovered,
    Recovering,
    RecoveryBegan,
    Refused,
    Settled,
    StandingChanged,
    StoreFailed,
    StreamLost,
    StreamOpened,
    Swept,
    Thinned,
    Unreadable,
)
from watcher.core.outcomes import Answered, NotSent, Outcome, Unreachable, Unsendable
from watcher.core.verdicts import Dead, Delivered, Release, RetryAt, Verdict
from watcher.ports import Counts

SECOND = timedelta(seconds=1)


def scraped(*facts: Fact, sizes: dict[str, Counts] | None = None) -> dict[str, float]:
    metrics = Metrics()
    for fact in facts:
        metrics(fact)
    text = metrics.exposition(sizes or {}).decode()
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def attempted(outcome: Outcome, verdict: Verdict, **fields: Any) -> Settled:
    made = Attempted(
        **{
            "endpoint": "crm",
            "id": EventId("webhook_1"),
            "event": EventType("message.created"),
            "members": (EventId("webhook_1"),),
            "began": NOON,
            "attempt": 1,
            "outcome": outcome,
            "verdict": verdict,
            "took": SECOND,
            "age": 2 * SECOND,
            **fields,
        }
    )
    return Settled(attempts=(made,))


@pytest.mark.parametrize(
    ("outcome", "verdict", "labels"),
    [
        (Answered(status=204), Delivered(), ["2xx", "crm", "delivered"]),
        (Answered(status=302), RetryAt(at=NOON, reason="x"), ["3xx", "crm", "retry_at"]),
        (Unreachable(reason="tls: certificate expired"), Dead(reason="x"), ["crm", "dead", "tls"]),
        (NotSent(), Release(), ["crm", "not_sent", "release"]),
        (Unsendable(reason="url: x"), Dead(reason="url: x"), ["crm", "dead", "unsendable"]),
    ],
)
def test_attempts_are_counted_by_endpoint_outcome_and_verdict(outcome, verdict, labels):
    samples = scraped(attempted(outcome, verdict))

    assert samples[f"watcher_attempts_total{sorted(labels)}"] == 1
    assert samples["watcher_attempt_seconds_sum['crm']"] == 1


def test_only_what_was_delivered_counts_as_received():
    samples = scraped(
        attempted(Answered(status=200), Delivered()), attempted(Answered(status=500), Dead(reason="x"))
    )

    assert samples["watcher_commit_to_receipt_seconds_count['crm']"] == 1
    assert samples["watcher_commit_to_receipt_seconds_sum['crm']"] == 2


def test_captured_batches_add_up():
    batch = Captured(changes=3, events=2, deliveries=4, stored=4, lag=SECOND, took=SECOND)

    samples = scraped(StreamOpened(resumed=True), batch, batch)

    assert samples["watcher_changes_total[]"] == 6
    assert samples["watcher_events_total[]"] == 4
    assert samples["watcher_deliveries_total[]"] == 8
    assert samples["watcher_capture_lag_seconds[]"] == 1
    assert samples["watcher_stream_open[]"] == 1


def test_what_goes_wrong_is_counted():
    samples = scraped(
        StreamOpened(resumed=True),
        StreamLost(reason="election", retry_in=SECOND),
        StoreFailed(doing="append", reason="full", retry_in=SECOND),
        Unreadable(collection="messages", event=None, reason="x"),
        Refused(endpoint="slack", id=EventId("webhook_1"), event=EventType("user.login"), reason="x"),
        PositionRestarted(since=NOON, until=NOON, reason="x"),
        Thinned(collection="agents", operation="update", left_out=("x",), row_found=True),
        Swept(deliveries=7),
        Swept(deliveries=2, early=True),
    )

    assert samples["watcher_stream_open[]"] == 0
    assert samples["watcher_stream_lost_total[]"] == 1
    assert samples["watcher_store_failures_total['append']"] == 1
    assert samples["watcher_unreadable_total['messages']"] == 1
    assert samples["watcher_refused_total['slack']"] == 1
    assert samples["watcher_changes_thinned_total['agents']"] == 1
    assert samples["watcher_position_restarts_total[]"] == 1
    assert samples["watcher_deliveries_swept_total[]"] == 9


def test_a_repair_is_seen_while_it_runs_and_afterwards():
    began = RecoveryBegan(since=NOON, until=NOON, reason="x", resumed=False)
    page = Recovering(phase="found", collection="messages", rows=500, events=7)
    done = Recovered(since=NOON, until=NOON, rows=900, counts={"message.created": 9}, took=SECOND)

    during, after = scraped(began, page), scraped(began, page, done)

    assert (during["watcher_recovery_active[]"], during["watcher_recovery_rows[]"]) == (1, 500)
    assert (after["watcher_recovery_active[]"], after["watcher_recoveries_total[]"]) == (0, 1)
    assert after["watcher_recovered_events_total['message.created']"] == 9


@pytest.mark.parametrize(("left", "shown"), [(5 * SECOND, 5.0), (None, math.inf)])
def test_the_oplog_s_reach_is_shown_once_it_is_known(left, shown):
    measured = OplogMeasured(window=60 * SECOND, headroom=20 * SECOND, left=left, scarce=False)

    samples = scraped(measured)

    assert samples["watcher_oplog_window_seconds[]"] == 60
    assert samples["watcher_oplog_headroom_seconds[]"] == 20
    assert samples["watcher_oplog_left_seconds[]"] == shown


@pytest.mark.parametrize("facts", [[], [OplogUnknown()]])
def test_while_it_is_not_known_there_is_no_number_that_could_be_taken_for_it(facts):
    measured = OplogMeasured(window=60 * SECOND, headroom=20 * SECOND, left=None, scarce=False)

    assert not any("oplog" in name for name in scraped(*facts))
    assert not any("oplog" in name for name in scraped(measured, OplogUnknown()))


def test_a_pause_is_shown_while_it_lasts():
    paused = CapturePaused(used_bytes=1, limit_bytes=1, waiting=1, dead=0)

    assert scraped()["watcher_capture_paused[]"] == 0
    assert scraped(paused)["watcher_capture_paused[]"] == 1
    assert scraped(paused, CaptureResumed(after=SECOND))["watcher_capture_paused[]"] == 0


def test_the_store_s_size_is_shown_where_it_could_be_read():
    assert b"\nwatcher_store_bytes 4096.0" in Metrics().exposition({}, used_bytes=4096)
    assert b"watcher_store_bytes" not in Metrics().exposition({}, used_bytes=None)


def test_the_outbox_s_size_is_read_for_each_scrape():
    samples = scraped(sizes={"crm": Counts(pending=5, dead=1)})

    assert samples["watcher_outbox_deliveries['crm', 'pending']"] == 5
    assert samples["watcher_outbox_deliveries['crm', 'dead']"] == 1
    assert samples["watcher_outbox_deliveries['crm', 'held']"] == 0


def test_every_metric_that_is_shown_is_in_the_table_and_no_other():
    metrics = Metrics()
    metrics.expect(["crm"], ["messages"])

    families = text_string_to_metric_families(metrics.exposition({}).decode())

    shown = {f"{each.name}_total" if each.type == "counter" else each.name for each in families}
    absent = {name for name, *_ in metrics.table if name.startswith("watcher_oplog_")} | {
        "watcher_store_bytes"
    }
    assert shown == {name for name, *_ in metrics.table} - absent


def test_the_oldest_that_waits_is_shown_by_its_age():
    counts = {"crm": Counts(pending=1), "slack": Counts(delivered=1), "early": Counts(pending=1)}
    ages = {"crm": 90 * SECOND, "early": -SECOND}

    text = Metrics().exposition(counts, ages=ages).decode()

    assert 'watcher_outbox_oldest_seconds{endpoint="crm"} 90.0' in text
    assert 'watcher_outbox_oldest_seconds{endpoint="slack"} 0.0' in text
    assert 'watcher_outbox_oldest_seconds{endpoint="early"} 0.0' in text


def test_each_stage_s_time_is_told_apart():
    batch = Captured(
        changes=2, events=2, deliveries=2, stored=2, lag=SECOND, lags=(3 * SECOND, SECOND), took=SECOND / 2
    )
    request = attempted(Answered(status=200), Delivered(), age=9 * SECOND, took=2 * SECOND, storing=SECOND)

    samples = scraped(batch, request, Beat(late=SECOND / 4))

    assert samples["watcher_commit_to_stored_seconds_count[]"] == 2
    assert samples["watcher_commit_to_stored_seconds_sum[]"] == 4
    assert samples["watcher_capture_batch_seconds_sum[]"] == 0.5
    assert samples["watcher_commit_to_attempt_seconds_sum['crm']"] == 7
    assert samples["watcher_attempt_seconds_sum['crm']"] == 2
    assert samples["watcher_settle_seconds_sum['crm']"] == 1
    assert samples["watcher_commit_to_receipt_seconds_sum['crm']"] == 9
    assert samples["watcher_event_loop_lag_seconds_sum[]"] == 0.25


def test_only_first_attempts_tell_how_long_it_was_waited_for_one():
    samples = scraped(
        attempted(Answered(status=500), RetryAt(at=NOON, reason="x"), attempt=2),
        attempted(NotSent(), Release()),
    )

    assert "watcher_commit_to_attempt_seconds_count['crm']" not in samples


def members(count: int) -> tuple[EventId, ...]:
    return tuple(EventId(f"webhook_{number}") for number in range(count))


def test_a_batch_that_is_through_counts_as_all_that_it_carries():
    samples = scraped(
        attempted(Answered(status=200), Delivered(), members=members(5)),
        attempted(Answered(status=500), RetryAt(at=NOON, reason="x"), members=members(3)),
        attempted(Answered(status=500), Dead(reason="x"), members=members(2)),
    )

    assert samples["watcher_deliveries_settled_total['crm', 'delivered']"] == 5
    assert samples["watcher_deliveries_settled_total['crm', 'dead']"] == 2


def shown(metrics: Metrics) -> str:
    return metrics.exposition({}).decode()


def test_what_is_expected_begins_at_0_so_that_the_first_failure_is_a_rise():
    metrics = Metrics()
    metrics.expect(["crm"], ["messages"])

    assert 'watcher_deliveries_settled_total{endpoint="crm",verdict="dead"} 0.0' in shown(metrics)
    assert 'watcher_refused_total{endpoint="crm"} 0.0' in shown(metrics)
    assert 'watcher_unreadable_total{collection="messages"} 0.0' in shown(metrics)
    assert 'watcher_store_failures_total{doing="append"} 0.0' in shown(metrics)


def opened(endpoint: str) -> StandingChanged:
    standing = Standing(state="open", reason="status 500", since=NOON, until=None)
    return StandingChanged(endpoint=endpoint, before=None, after=standing)


@pytest.mark.parametrize("state", ["open", "slowed", "paused"])
def test_an_endpoint_stands_in_one_way_at_a_time(state):
    metrics = Metrics()
    metrics.expect(["crm"], [])
    metrics(opened("crm"))
    standing = Standing(state=state, reason="x", since=NOON, until=None)

    metrics(StandingChanged(endpoint="crm", before=None, after=standing))

    for each in ("open", "slowed", "paused"):
        line = f'watcher_endpoint_standing{{endpoint="crm",state="{each}"}} {float(each == state)}'
        assert line in shown(metrics)


def test_how_an_endpoint_stood_goes_with_it():
    metrics = Metrics()
    metrics.expect(["crm", "slack"], [])
    metrics(opened("crm"))

    metrics.expect(["slack"], [])

    assert 'watcher_circuit_open{endpoint="crm"}' not in shown(metrics)
    assert 'watcher_endpoint_standing{endpoint="crm"' not in shown(metrics)
    assert 'watcher_circuit_open{endpoint="slack"} 0.0' in shown(metrics)


def test_how_an_endpoint_stands_is_told_by_whoever_sends_to_it():
    metrics = Metrics()
    metrics.expect(["crm"], [])
    metrics(opened("crm"))

    metrics(LeaseEnded(lease="endpoint:crm", epoch=1, lost=True))

    assert 'watcher_circuit_open{endpoint="crm"} 0.0' in shown(metrics)


def test_the_lag_is_told_by_whoever_reads():
    metrics = Metrics()
    late = timedelta(minutes=5)
    metrics(Captured(changes=1, events=0, deliveries=0, stored=0, lag=late, took=timedelta(0)))
    assert "watcher_capture_lag_seconds 300.0" in shown(metrics)

    metrics(LeaseEnded(lease="capture", epoch=1, lost=True))

    assert "watcher_capture_lag_seconds 0.0" in shown(metrics)


def test_what_operators_had_sent_again_or_cancelled_is_counted_by_endpoint():
    def changed(act: Literal["replay", "cancel"], **by_endpoint: int) -> LogChanged:
        return LogChanged(act=act, chosen="state=dead", by_endpoint=by_endpoint, left=0, done=True)

    found = scraped(changed("replay", crm=3, audit=1), changed("replay", crm=2), changed("cancel", crm=7))

    assert found["watcher_deliveries_replayed_total['crm']"] == 5
    assert found["watcher_deliveries_replayed_total['audit']"] == 1
    assert found["watcher_deliveries_cancelled_total['crm']"] == 7


def test_backfills_under_way_are_summed_and_gone_when_they_are():
    metrics = Metrics()
    counted = Backfill(name="a", since=NOON, until=NOON, events=(), rows=20, total=100)
    uncounted = Backfill(name="b", since=NOON, until=NOON, events=(), rows=7)

    def scraped_with(*backfills: Backfill) -> list[str]:
        text = metrics.exposition({}, backfills=backfills).decode()
        return [line for line in text.splitlines() if line.startswith("watcher_backfill")]

    assert scraped_with(counted, uncounted) == [
        "watcher_backfill_active 2.0",
        "watcher_backfill_rows 27.0",
        "watcher_backfill_expected_rows 107.0",
    ]
    assert {line.split()[1] for line in scraped_with()} == {"0.0"}


def test_a_receiver_fails_until_it_takes_something_or_another_replica_sends_to_it():
    def failing(*facts: Fact) -> float:
        metrics = Metrics()
        metrics.expect(["crm"], [])
        for fact in facts:
            metrics(fact)
        text = metrics.exposition({}).decode()
        (line,) = [each for each in text.splitlines() if each.startswith("watcher_endpoint_failing{")]
        return float(line.split()[-1])

    refused = attempted(Unreachable(reason="refused: nobody"), RetryAt(at=NOON, reason="refused: nobody"))

    assert failing() == 0
    assert failing(refused) == 1
    assert failing(refused, attempted(Answered(status=200), Delivered())) == 0
    assert failing(refused, LeaseEnded(lease="endpoint:crm", epoch=1, lost=False)) == 0
    assert failing(attempted(Unsendable(reason="no host"), Dead(reason="no host"))) == 0
    assert failing(refused, attempted(NotSent(), Release())) == 1
