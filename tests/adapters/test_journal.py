"""Facts as log lines."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.builders import NOON
from watcher.adapters.journal import LINES, open_journal
from watcher.core.circuits import Standing
from watcher.core.events import EventId, EventType
from watcher.core.facts import (
    Attempted,
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
from watcher.core.outcomes import Answered, Unreachable
from watcher.core.verdicts import Dead, Delivered, RetryAt

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def attempted(**fields) -> Settled:
    made = Attempted(
        **{
            "endpoint": "crm",
            "id": EventId("webhook_1"),
            "event": EventType("message.created"),
            "members": (EventId("webhook_1"),),
            "began": NOON,
            "attempt": 2,
            "outcome": Answered(status=503),
            "verdict": RetryAt(at=NOON, reason="status 503"),
            "took": timedelta(milliseconds=41),
            "age": SECOND,
            **fields,
        }
    )
    return Settled(attempts=(made,))


@pytest.fixture
def lines(capsys):
    def of(*facts: Fact, level="info"):
        journal = open_journal("json", level)
        for fact in facts:
            journal(fact)
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    return of


def test_one_canonical_line_per_attempt(lines):
    (line,) = lines(attempted())

    assert {key: line[key] for key in line if key != "timestamp"} == {
        "event": "delivery.attempted",
        "level": "warning",
        "endpoint": "crm",
        "id": "webhook_1",
        "webhook": "message.created",
        "attempt": 2,
        "outcome": 503,
        "verdict": "retry_at",
        "at": "2026-11-24T12:00:00.000+00:00",
        "took_ms": 41.0,
    }


def test_the_level_says_whether_somebody_must_look(lines):
    good = attempted(outcome=Answered(status=200), verdict=Delivered())
    dead = attempted(outcome=Unreachable(reason="dns: no such host"), verdict=Dead(reason="dns"))

    assert [line["level"] for line in lines(good, attempted(), dead)] == ["info", "warning", "error"]


def test_a_quiet_stream_says_nothing(lines):
    assert lines(Captured(changes=0, events=0, deliveries=0, stored=0, lag=None, took=SECOND)) == []


def test_the_oplog_is_measured_in_silence_and_running_out_is_a_warning_with_the_time_left(lines):
    hours = {"window": 8 * HOUR, "headroom": HOUR / 2}

    (line,) = lines(
        OplogMeasured(**hours, left=MINUTE, scarce=True),
        OplogScarce(**hours, left=MINUTE),
    )

    assert (line["event"], line["level"]) == ("oplog.running_out", "warning")
    assert (line["window_s"], line["headroom_s"], line["left_s"]) == (28_800, 1_800, 60)


def test_a_full_store_is_an_error_that_says_what_fills_it(lines):
    (line,) = lines(CapturePaused(used_bytes=4_012_345_678, limit_bytes=4 * 10**9, waiting=7, dead=2))

    assert (line["event"], line["level"]) == ("capture.paused", "error")
    assert (line["used_mb"], line["limit_mb"], line["waiting"], line["dead"]) == (4012.3, 4000.0, 7, 2)


def test_what_an_operator_had_sent_again_is_told_by_endpoint_and_not_by_what_he_searched_for(lines):
    (line,) = lines(LogChanged(act="replay", chosen="user=ann", by_endpoint={"crm": 3}, left=4, done=False))

    assert (line["event"], line["by_endpoint"], line["left"]) == ("deliveries.replayed", {"crm": 3}, 4)
    assert "ann" not in str(line)


def test_a_long_scan_says_now_and_then_how_far_it_is(lines):
    pages = [a_page(rows=rows) for rows in range(1_000, 120_000, 1_000)]

    told = [(line["event"], line["rows"]) for line in lines(*pages, a_page(rows=120_000, done=True))]

    assert told == [("scan.progressed", 50_000), ("scan.progressed", 100_000), ("scan.finished", 120_000)]


OPEN = Standing(state="open", reason="status 503", since=NOON)
SLOWED = Standing(state="slowed", reason="status 429", since=NOON, until=NOON)
PAUSED = Standing(state="paused", reason="status 410", since=NOON)


def test_that_a_slow_down_is_over_is_not_worth_a_line(lines):
    assert lines(StandingChanged(endpoint="crm", before=SLOWED, after=None)) == []


def test_every_fact_has_its_line_and_every_line_is_described(lines):
    facts = [
        attempted(),
        Captured(changes=1, events=1, deliveries=1, stored=1, lag=SECOND, took=SECOND),
        Captured(changes=0, events=0, deliveries=0, stored=0, lag=None, took=SECOND),
        Beat(late=SECOND),
        StreamOpened(resumed=False),
        StreamLost(reason="x", retry_in=SECOND),
        PositionRestarted(since=NOON, until=NOON, reason="x"),
        Backfilled(collection="messages", rows=1, total=2, stored=1),
        RecoveryBegan(since=NOON, until=NOON, reason="x", resumed=False),
        Recovering(phase="found", collection="messages", rows=500, events=7),
        Recovered(since=NOON, until=NOON, rows=900, counts={"message.created": 9}, took=SECOND),
        CapturePaused(used_bytes=1, limit_bytes=1, waiting=1, dead=0),
        CaptureResumed(after=SECOND),
        OplogMeasured(window=SECOND, headroom=SECOND, left=None, scarce=False),
        OplogScarce(window=SECOND, headroom=SECOND, left=None),
        OplogUnknown(),
        Unreadable(collection="messages", event=None, reason="x"),
        Refused(endpoint="slack", id=EventId("webhook_1"), event=EventType("user.login"), reason="x"),
        Thinned(collection="messages", operation="update", left_out=("text",), row_found=True),
        *(
            StandingChanged(endpoint="crm", before=before, after=after)
            for before, after in [(None, OPEN), (OPEN, None), (None, SLOWED), (None, PAUSED), (PAUSED, None)]
        ),
        LeasesSeen(replicas=2, reading=True),
        LeaseTaken(lease="capture", epoch=1),
        LeaseEnded(lease="capture", epoch=1, lost=True),
        LogChanged(act="replay", chosen="user=u1", by_endpoint={"crm": 3}, left=0, done=True),
        LogChanged(act="cancel", chosen="user=u1", by_endpoint={}, left=None, done=False),
        SettingsReloaded(endpoints=("crm",), needs_restart=()),
        SettingsRefused(problems=("x",)),
        StoreFailed(doing="append", reason="x", retry_in=SECOND),
        SpansLost(spans=9),
        Swept(deliveries=1),
        Swept(deliveries=1, early=True),
        a_page(rows=50_000),
        a_page(rows=50_001, done=True),
        ScanFailed(collection="messages", reason="x", retry_in=SECOND),
    ]

    told = {line["event"] for line in lines(*facts, level="debug")}

    assert told | {"started", "log.level", "stopping", "stopped"} == set(LINES)


def test_every_line_of_a_level_above_info_says_what_to_do_or_is_over_by_itself():
    loud = {name for name, (level, *_) in LINES.items() if "warning" in level or "error" in level}

    assert {name for name in loud if not LINES[name][2]} == set()


@pytest.mark.parametrize(
    ("level", "told"),
    [
        ("debug", ["debug", "debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_nothing_below_the_level_is_written(lines, level, told):
    facts = [
        Captured(changes=0, events=0, deliveries=0, stored=0, lag=None, took=SECOND),
        LeasesSeen(replicas=2, reading=True),
        StreamOpened(resumed=True),
        attempted(),
        StoreFailed(doing="append", reason="x", retry_in=SECOND),
    ]

    assert [line["level"] for line in lines(*facts, level=level)] == told


def test_the_level_changes_while_it_runs_and_that_it_did_is_always_written(capsys):
    journal = open_journal("json", "error")
    for level in ("info", "info", "warning"):
        journal(StreamOpened(resumed=True))
        journal.become(level)

    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line.get("now")) for line in told] == [
        ("log.level", "info"),
        ("stream.opened", None),
        ("stream.opened", None),
        ("log.level", "warning"),
    ]


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://lc:s3cr3t@db:27017/",
        "mongodb+srv://lc:s3cr3t@db/",
        "MongoDB://lc:s3cr3t@db",
        # As people write them who do not percent-encode: just these end up in messages.
        "mongodb://lc:p@s3cr3t@db",
        "mongodb://lc:p/s3cr3t@db",
        "mongodb://lc:p s3cr3t@db",
        "mongodb://lc:p\ns3cr3t@db",
    ],
)
def test_a_password_in_a_message_does_not_get_through(lines, uri):
    (line,) = lines(StreamLost(reason=f"no {uri} here", retry_in=SECOND))

    assert "s3cr3t" not in json.dumps(line)
    assert line["reason"].lower().startswith("no mongodb")
    assert line["reason"].endswith("here")


@pytest.mark.parametrize("style", ["json", "console"])
def test_nor_does_one_inside_of_a_list_a_mapping_or_an_object(capsys, style):
    uri = "mongodb://lc:s3cr3t@db"

    open_journal(style).say("started", listed=[uri], mapped={"uri": (uri,)}, raised=ValueError(uri))

    line = capsys.readouterr().err
    assert "s3cr3t" not in line
    assert line.count("@db") == 3


def test_what_is_no_text_keeps_its_form(capsys):
    open_journal("json").say(
        "started", endpoints=["crm", "audit"], counts={"crm": 1}, resumed=True, since=None
    )

    line = json.loads(capsys.readouterr().err)
    assert (line["endpoints"], line["counts"]) == (["crm", "audit"], {"crm": 1})
    assert (line["resumed"], line["since"]) == (True, None)


def test_a_uri_without_a_user_is_left_as_it_is(lines):
    (line,) = lines(StreamLost(reason="no answer from mongodb://db:27017/LibreChat", retry_in=SECOND))

    assert line["reason"] == "no answer from mongodb://db:27017/LibreChat"


def test_the_console_has_the_same_words(capsys):
    open_journal("console")(attempted())

    line = capsys.readouterr().err
    assert "delivery.attempted" in line
    assert "endpoint=crm" in line


def a_page(*, rows: int, done: bool = False) -> Scanned:
    return Scanned(collection="messages", read=1_000, rows=rows, total=120_000, done=done, took=SECOND)
