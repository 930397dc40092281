"""The journal: facts as log lines. One line per thing that happened, of ids, counts, times; no contents."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Literal, assert_never

from watcher.adapters.lines import Level, Lines, as_json, for_terminal
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
from watcher.core.outcomes import Answered, NotSent, Outcome, Unreachable, Unsendable
from watcher.core.verdicts import Dead, Delivered, Release, RetryAt, Verdict

LINES = {
    "started": ("info", "The program runs.", ""),
    "stream.opened": ("info", "The change stream is open; `resumed`: from the stored position.", ""),
    "stream.lost": (
        "warning",
        "It broke, or MongoDB cannot be reached; tried again.",
        "The reason names the cure.",
    ),
    "changes.captured": (
        "info; debug: a quiet stream's",
        "One batch of changes was mapped and stored with its position.",
        "",
    ),
    "change.unreadable": (
        "warning",
        "A change could not be told: no pre-image, or a document that a rule failed on.",
        "`librechat-watcher prepare`; for a failed rule, look at the rule that `reason` names.",
    ),
    "delivery.refused": (
        "error",
        "An endpoint's body could not be made of an event; it is stored dead with this reason.",
        "Correct the `transform` of this endpoint; `librechat-watcher explain FILE` shows what it makes.",
    ),
    "change.thinned": (
        "warning",
        "A change beyond 16 MB was read without `left_out` (`*`: names only) and told; what was not read is "
        "taken from the row as it is now, if `row_found`.",
        "See why a row of LibreChat's is that large.",
    ),
    "delivery.attempted": (
        "info; warning: to be tried again; error: dead",
        "One request: endpoint, id, outcome (a status, or why there was none), verdict; `answer`: why its"
        " body was not read to the end.",
        "Dead ones: see what the outcome says of the receiver.",
    ),
    "circuit.opened": (
        "error",
        "An endpoint failed again and again: what is for it waits, nothing turns dead, and one request at a "
        "time finds out when it is back.",
        "See what `reason` says of the receiver.",
    ),
    "circuit.closed": ("info", "It answers again, and what has waited goes out.", ""),
    "endpoint.slowed": (
        "warning",
        "It asked to be left alone (429, 503, `Retry-After`): nothing goes before `until`, then fewer "
        "requests at once.",
        "If it happens often, set `rateLimit.maxPerSecond`.",
    ),
    "endpoint.paused": (
        "error",
        "Nothing goes to it any more: it answered 410 (Gone), or an operator wanted it.",
        "`librechat-watcher endpoints resume NAME`, when it may go on; or take it out of the settings.",
    ),
    "endpoint.resumed": ("info", "It is sent what there is again.", ""),
    "lease.taken": (
        "info",
        "This replica now does what the lease is for: `capture`, or sending to an endpoint.",
        "",
    ),
    "lease.ended": (
        "info; warning: lost",
        "It does so no more: it gave the lease back, or (`lost`) did not renew it in time; another has it.",
        "Lost again and again: is this replica short of CPU, or cut off from MongoDB at times?",
    ),
    "settings.reloaded": (
        "info; warning: some need a restart",
        "The settings or a mounted secret changed, and are in force.",
        "Keys in `needs_restart` take effect at the next start.",
    ),
    "settings.refused": (
        "error",
        "The changed settings are wrong: the old ones stay in force.",
        "Each of `problems` names its place and its cure.",
    ),
    "scan.progressed": (
        "info; debug: each page",
        "The first scan of a collection without pre-images: rows remembered so far.",
        "",
    ),
    "scan.finished": ("info", "It is done: deletions in this collection can be told.", ""),
    "scan.failed": (
        "warning",
        "A page of it could not be read or stored; tried again from there.",
        "The reason names the cure.",
    ),
    "store.failed": (
        "error",
        "The state refused a read or a write; tried again, nothing is lost.",
        "The reason names the cure: most often a full disk.",
    ),
    "capture.paused": (
        "error",
        "The store is full (`watcher.maxStore`): nothing is read until some of what is `waiting` has gone "
        "out. MongoDB's oplog is the buffer meanwhile. Said at most every 10 minutes.",
        "Bring the receivers back (`delivery.attempted` says what they answer), or raise `watcher.maxStore` "
        "and restart. Where most are `dead`, shorten `watcher.retention.dead`.",
    ),
    "capture.resumed": ("info", "There is room again; reading goes on from the stored position.", ""),
    "oplog.running_out": (
        "warning",
        "The stored position will soon fall off the oplog: `headroom_s` of its `window_s` are left, and at "
        "the present pace `left_s`. Said at most every 10 minutes.",
        "See what keeps it from reading (`/readyz`); meanwhile make the oplog larger, in mongosh on `admin`: "
        "`db.adminCommand({replSetResizeOplog: 1, size: MEGABYTES})`.",
    ),
    "oplog.measured": ("debug", "Twice a minute: how far the oplog reaches, and where in it we are.", ""),
    "oplog.unknown": (
        "info",
        "This user may not read the oplog: when the position is lost cannot be told ahead.",
        "Not needed; grant `read` on the database `local`.",
    ),
    "position.restarted": (
        "error",
        "The position was lost, and capture went on from now (`onPositionLost: restart`).",
        "What changed since `gap_since` was not sent. Make the oplog larger.",
    ),
    "recovery.began": (
        "error",
        "The position was lost: what changed since `gap_since` is looked for; the stream waits for it.",
        "Make the oplog larger. `resumed`: an earlier run was stopped in the middle of it.",
    ),
    "recovery.progressed": ("info; debug: each page", "Rows looked at, and events found, so far.", ""),
    "recovery.finished": (
        "info",
        "The gap is repaired, and the stream goes on; `counts`: events by type.",
        "",
    ),
    "backfill.progressed": ("info", "Rows that a backfill looked at, and deliveries it stored, so far.", ""),
    "deliveries.replayed": (
        "info",
        "By page or API deliveries were put up to be sent again; `left`: to be gone on with. Which ones were"
        " meant is in the audit list.",
        "",
    ),
    "deliveries.cancelled": ("info", "The same of deliveries that are never sent now.", ""),
    "deliveries.swept": ("info", "Settled deliveries past their retention were dropped.", ""),
    "deliveries.swept_early": (
        "info",
        "Delivered and cancelled ones were dropped before their retention, to make room for new ones.",
        "Raise `watcher.maxStore` to keep them for longer.",
    ),
    "traces.lost": (
        "warning",
        "The collector of traces did not take so many spans, which are dropped; deliveries go on. Said at"
        " most every minute.",
        "Is it up, and does `OTEL_EXPORTER_OTLP_ENDPOINT` name it?",
    ),
    "log.level": (
        "always",
        "`watcher.logLevel` was changed: from now on nothing below this level is logged.",
        "",
    ),
    "leases.seen": ("debug", "Each second: how many replicas live, and whether one of them reads.", ""),
    "stopping": ("info", "SIGTERM came: no new attempt is begun.", ""),
    "stopped": ("info", "Everything is closed.", ""),
}
"""Every line: its level, what it tells, and what an operator does about it."""

SCAN_LINE = 50_000
"""Rows of a first scan, or of a recovery, between two lines."""


def open_journal(style: Literal["json", "console"] | None, level: Level = "info") -> Journal:
    """A journal on standard error. None: `console` on a terminal, else `json`."""
    terminal = sys.stderr.isatty()
    as_text = for_terminal(colors=terminal) if style == "console" or (terminal and not style) else as_json
    return Journal(lambda least: Lines(sys.stderr, as_text, least), level)


class Journal:
    """An Observer that writes one line per fact."""

    def __init__(self, lines: Callable[[Level], Lines], level: Level) -> None:
        """`lines`: those of a level and above."""
        self._lines = lines
        self._level = level
        self._log = lines(level)
        self._recovery_place: object = None

    def become(self, level: Level) -> None:
        """From now on nothing below this is written; that it changed is, whatever it is."""
        if level != self._level:
            self._lines("debug").info("log.level", before=self._level, now=level)
            self._level, self._log = level, self._lines(level)

    def say(self, event: str, **values: object) -> None:
        """A line about the program itself: started, stopping."""
        self._log.info(event, **values)

    def __call__(self, fact: Fact) -> None:
        match fact:
            case Settled(attempts=attempts):
                self._log.write("delivery.attempted", [_attempt(each) for each in attempts])
            case Captured():
                # A quiet stream would say it twice a second.
                log = self._log.info if fact.changes else self._log.debug
                log(
                    "changes.captured",
                    changes=fact.changes,
                    events=fact.events,
                    deliveries=fact.deliveries,
                    stored=fact.stored,
                    lag_ms=_ms(fact.lag) if fact.lag is not None else None,
                    took_ms=_ms(fact.took),
                )
            case StreamOpened(resumed=resumed):
                self._log.info("stream.opened", resumed=resumed)
            case StreamLost(reason=reason, retry_in=retry_in):
                self._log.warning("stream.lost", reason=reason, retry_in_ms=_ms(retry_in))
            case Scanned():
                # A line for each of a thousand pages would drown the others.
                worth = fact.done or fact.rows // SCAN_LINE != (fact.rows - fact.read) // SCAN_LINE
                log = self._log.info if worth else self._log.debug
                log(
                    "scan.finished" if fact.done else "scan.progressed",
                    collection=fact.collection,
                    rows=fact.rows,
                    total=fact.total,
                )
            case ScanFailed(collection=collection, reason=reason, retry_in=retry_in):
                self._log.warning(
                    "scan.failed", collection=collection, reason=reason, retry_in_ms=_ms(retry_in)
                )
            case CapturePaused():
                self._log.error(
                    "capture.paused",
                    used_mb=_megabytes(fact.used_bytes),
                    limit_mb=_megabytes(fact.limit_bytes),
                    waiting=fact.waiting,
                    dead=fact.dead,
                )
            case CaptureResumed(after=after):
                self._log.info("capture.resumed", after_s=_seconds(after))
            case OplogMeasured():
                self._log.debug("oplog.measured", **_reach(fact))
            case OplogScarce():
                self._log.warning("oplog.running_out", **_reach(fact))
            case OplogUnknown():
                self._log.info("oplog.unknown")
            case PositionRestarted(since=since, until=until, reason=reason):
                self._log.error("position.restarted", **_gap(since, until), reason=reason)
            case RecoveryBegan(since=since, until=until, reason=reason, resumed=resumed):
                self._log.error("recovery.began", **_gap(since, until), reason=reason, resumed=resumed)
            case Recovering():
                self._recovering(fact)
            case Recovered(since=since, until=until):
                self._log.info(
                    "recovery.finished",
                    **_gap(since, until),
                    rows=fact.rows,
                    counts=dict(fact.counts),
                    took_ms=_ms(fact.took),
                )
            case Backfilled():
                self._log.info(
                    "backfill.progressed",
                    collection=fact.collection,
                    rows=fact.rows,
                    total=fact.total,
                    stored=fact.stored,
                )
            case Unreadable(collection=collection, event=event, reason=reason):
                self._log.warning("change.unreadable", collection=collection, would_be=event, reason=reason)
            case Refused():
                self._log.error(
                    "delivery.refused",
                    endpoint=fact.endpoint,
                    id=fact.id,
                    webhook=fact.event,
                    reason=fact.reason,
                )
            case Thinned():
                self._log.warning(
                    "change.thinned",
                    collection=fact.collection,
                    operation=fact.operation,
                    left_out=list(fact.left_out),
                    row_found=fact.row_found,
                )
            case StandingChanged():
                self._standing(fact)
            case LeasesSeen(replicas=replicas, reading=reading):
                self._log.debug("leases.seen", replicas=replicas, reading=reading)
            case LogChanged(act=act, by_endpoint=by_endpoint, left=left, done=done):
                line = "deliveries.replayed" if act == "replay" else "deliveries.cancelled"
                self._log.info(line, by_endpoint=dict(by_endpoint), left=left, done=done)
            case Beat():
                pass  # for the metrics
            case SpansLost(spans=spans):
                self._log.warning("traces.lost", spans=spans)
            case LeaseTaken(lease=lease, epoch=epoch):
                self._log.info("lease.taken", lease=lease, epoch=epoch)
            case LeaseEnded(lease=lease, epoch=epoch, lost=lost):
                log = self._log.warning if lost else self._log.info
                log("lease.ended", lease=lease, epoch=epoch, lost=lost)
            case SettingsReloaded(endpoints=endpoints, needs_restart=keys):
                log = self._log.warning if keys else self._log.info
                log("settings.reloaded", endpoints=list(endpoints), needs_restart=list(keys))
            case SettingsRefused(problems=problems):
                self._log.error("settings.refused", problems=list(problems))
            case StoreFailed(doing=doing, reason=reason, retry_in=retry_in):
                self._log.error("store.failed", doing=doing, reason=reason, retry_in_ms=_ms(retry_in))
            case Swept(deliveries=deliveries, early=early):
                self._log.info(
                    "deliveries.swept_early" if early else "deliveries.swept", deliveries=deliveries
                )
            case _:
                assert_never(fact)

    def _standing(self, fact: StandingChanged) -> None:
        before, after, endpoint = fact.before, fact.after, fact.endpoint
        if after is None:
            match before.state if before is not None else None:
                case "open":
                    self._log.info("circuit.closed", endpoint=endpoint)
                case "paused":
                    self._log.info("endpoint.resumed", endpoint=endpoint)
                case "slowed" | None:
                    pass  # the first request that went well says so
            return
        match after.state:
            case "open":
                self._log.error("circuit.opened", endpoint=endpoint, reason=after.reason)
            case "paused":
                self._log.error("endpoint.paused", endpoint=endpoint, reason=after.reason)
            case "slowed":
                until = after.until.isoformat(timespec="milliseconds") if after.until else None
                self._log.warning("endpoint.slowed", endpoint=endpoint, reason=after.reason, until=until)

    def _recovering(self, fact: Recovering) -> None:
        place = (fact.phase, fact.collection, fact.rows // SCAN_LINE)
        log = self._log.info if place != self._recovery_place else self._log.debug
        self._recovery_place = place
        log(
            "recovery.progressed",
            phase=fact.phase,
            collection=fact.collection,
            rows=fact.rows,
            events=fact.events,
        )


VERDICTS: Mapping[type[Verdict], tuple[Level, str]] = {
    Delivered: ("info", "delivered"),
    Release: ("info", "release"),
    RetryAt: ("warning", "retry_at"),
    Dead: ("error", "dead"),
}
"""At which level, and by which word, an attempt is told that ended so."""


def _attempt(made: Attempted) -> tuple[Level, Mapping[str, object]]:
    level, verdict = VERDICTS[type(made.verdict)]
    line: dict[str, object] = {
        "endpoint": made.endpoint,
        "id": made.id,
        "webhook": made.event,
        "attempt": made.attempt,
        "outcome": _outcome(made.outcome),
        "verdict": verdict,
    }
    if isinstance(made.verdict, RetryAt):
        line["at"] = made.verdict.at.isoformat(timespec="milliseconds")
    line["took_ms"] = _ms(made.took)
    if isinstance(made.outcome, Answered) and made.outcome.left:
        line["answer"] = made.outcome.left
    if made.carried > 1:
        line["carried"] = made.carried
    return level, line


def _outcome(outcome: Outcome) -> str | int:
    match outcome:
        case Answered(status=status):
            return status
        case Unreachable(reason=reason) | Unsendable(reason=reason):
            return reason
        case NotSent():
            return "not sent"
        case _:
            assert_never(outcome)


def _reach(fact: OplogMeasured | OplogScarce) -> dict[str, int | None]:
    return {
        "window_s": _seconds(fact.window),
        "headroom_s": _seconds(fact.headroom),
        "left_s": _seconds(fact.left) if fact.left is not None else None,
    }


def _gap(since: datetime, until: datetime) -> dict[str, str]:
    return {"gap_since": since.isoformat(), "gap_until": until.isoformat()}


def _ms(span: timedelta) -> float:
    return round(span.total_seconds() * 1000, 1)


def _seconds(span: timedelta) -> int:
    return round(span.total_seconds())


def _megabytes(size: int) -> float:
    return round(size / 1e6, 1)
