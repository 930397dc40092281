"""Facts: what happened, told once. Metrics, log lines, readiness and tests read the same values.

A fact holds ids, names, counts and spans; never document contents, secrets or URLs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from watcher.core.changes import Operation
from watcher.core.circuits import Standing
from watcher.core.events import EventId, EventType
from watcher.core.outcomes import Outcome
from watcher.core.swift import swift
from watcher.core.verdicts import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOpened:
    """The change stream is open at a position."""

    resumed: bool
    """From a stored checkpoint; False on a first start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLost:
    """The change stream broke; capture opens it again after `retry_in`."""

    reason: str
    retry_in: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """One batch of changes was mapped and stored with its position."""

    changes: int
    events: int
    deliveries: int
    stored: int
    """New deliveries; fewer than `deliveries` after a repeat."""
    lag: timedelta | None
    """From the last change's wallTime to its commit here; None for a batch without changes."""
    lags: tuple[timedelta, ...] = ()
    """The same of each change, in their order."""
    took: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A change or its event could not be made into a delivery as it should; the stream went on."""

    collection: str
    event: EventType | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An endpoint's body could not be made of an event: it is stored dead, and the stream went on."""

    endpoint: str
    id: EventId
    event: EventType
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinned:
    """A change beyond 16 MB was read without its largest parts, and told; the stream went on."""

    collection: str
    operation: Operation
    left_out: tuple[str, ...]
    """Names of the row before it that were not read; `*`: nothing was read but names."""
    row_found: bool
    """The row as it is now stood in for what was not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """A page of a first scan was remembered."""

    collection: str
    read: int
    """Rows of this page."""
    rows: int
    """So far."""
    total: int
    """About how many there are."""
    done: bool
    took: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFailed:
    """A first scan could not read on; it goes on after `retry_in`."""

    collection: str
    reason: str
    retry_in: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturePaused:
    """The store is full of what waits: nothing is read until there is room. Told again while it lasts."""

    used_bytes: int
    limit_bytes: int
    waiting: int
    """Deliveries pending or held."""
    dead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureResumed:
    """There is room again, and reading went on from the stored position."""

    after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class OplogMeasured:
    """How far the oplog reaches back, and how far inside it the stored position is."""

    window: timedelta
    headroom: timedelta
    """From the oplog's beginning to the position. Negative: it is lost."""
    left: timedelta | None
    """Until the position falls off, at the present pace; None: it does not near."""
    scarce: bool
    """Somebody must act."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OplogScarce:
    """The position will soon be lost. Told when it comes to that, and now and then while it lasts."""

    window: timedelta
    headroom: timedelta
    left: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OplogUnknown:
    """The oplog may not be read: nobody can tell when the position is lost. Told once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRestarted:
    """By the operator's choice (`onPositionLost: restart`) capture went on from now, leaving a gap."""

    since: datetime
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryBegan:
    """The position was lost: what changed in the gap is looked for now, and the stream waits for it."""

    since: datetime
    until: datetime
    reason: str
    resumed: bool
    """Begun by an earlier run, which was stopped in the middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovering:
    """A page of rows was looked at."""

    phase: str
    """`found`: what came or changed; `gone`: what is there no more."""
    collection: str
    rows: int
    """Looked at so far, in all collections."""
    events: int
    """Found so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """The gap is repaired, and the stream goes on."""

    since: datetime
    until: datetime
    rows: int
    counts: Mapping[str, int]
    """Events, by type."""
    took: timedelta
    """In this run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfilled:
    """A page of rows that were there before was looked at."""

    collection: str
    rows: int
    """So far, in all collections."""
    total: int
    """About how many there are."""
    stored: int
    """New deliveries so far."""


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """One request was made. A batch is one attempt that carries several deliveries."""

    endpoint: str
    id: EventId
    event: EventType
    members: tuple[EventId, ...]
    """The deliveries that it carried; of one alone, its own id."""
    attempt: int
    began: datetime
    outcome: Outcome
    verdict: Verdict
    took: timedelta
    age: timedelta
    """From the (newest carried) change to the end of the attempt."""
    storing: timedelta = timedelta(0)
    """Until the verdict was stored, after the end."""

    @property
    def carried(self) -> int:
        return len(self.members)


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of attempts at an endpoint is stored: of one, or of as many as were stored together."""

    attempts: tuple[Attempted, ...]
    """One at least, all at the same endpoint, in the order in which they ended."""

    @property
    def endpoint(self) -> str:
        return self.attempts[0].endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingChanged:
    """An endpoint's circuit opened or closed; or it was paused, resumed, or slowed down."""

    endpoint: str
    before: Standing | None
    after: Standing | None
    """None: it is sent what there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasesSeen:
    """This replica said that it lives, renewed what it holds, and saw how many live."""

    replicas: int
    reading: bool
    """One of them reads the change stream."""
    skew: timedelta = timedelta(0)
    """How far MongoDB's clock is ahead of this replica's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTaken:
    """From now on this replica does what the lease is for."""

    lease: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseEnded:
    """It does so no more."""

    lease: str
    epoch: int
    lost: bool
    """Another has taken it over, as it was not renewed in time; else it was given back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsReloaded:
    """The settings were read again, and are in force."""

    endpoints: tuple[str, ...]
    needs_restart: tuple[str, ...]
    """Keys that changed, and take effect at the next start only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsRefused:
    """The settings were read again, and are wrong: the old ones stay in force."""

    problems: tuple[str, ...]


LOOKING = "look at leases"
"""What a StoreFailed says that was `doing`, of leases."""

TALLYING = "tally"
"""The same, of figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFailed:
    """The outbox refused a write; it is tried again after `retry_in`."""

    doing: str
    reason: str
    retry_in: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """Settled deliveries were dropped: past their retention, or early, to make room for new ones."""

    deliveries: int
    early: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChanged:
    """An operator has deliveries sent again, or cancelled: what one request of his came to."""

    act: Literal["replay", "cancel"]
    chosen: str
    """Which ones, as he chose them."""
    by_endpoint: Mapping[str, int]
    """How many were changed."""
    left: int | None
    """How many are meant still; None where it was broken off, and nobody knows."""
    done: bool
    """Else he asks again, and it goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """The event loop came round, so much later than it was due."""

    late: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class SpansLost:
    """The collector of traces did not take them; they are dropped. Told at most once a minute."""

    spans: int
    """Since it was last told."""


Fact = (
    StreamOpened
    | StreamLost
    | Captured
    | Unreadable
    | Refused
    | Thinned
    | Scanned
    | ScanFailed
    | CapturePaused
    | CaptureResumed
    | OplogMeasured
    | OplogScarce
    | OplogUnknown
    | PositionRestarted
    | RecoveryBegan
    | Recovering
    | Recovered
    | Backfilled
    | Settled
    | StandingChanged
    | LeasesSeen
    | LeaseTaken
    | LeaseEnded
    | SettingsReloaded
    | SettingsRefused
    | StoreFailed
    | Swept
    | LogChanged
    | Beat
    | SpansLost
)
