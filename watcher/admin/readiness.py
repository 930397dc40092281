"""Readiness: is there progress? Judged from facts, in words that name the cure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from watcher.core.circuits import Standing
from watcher.core.facts import (
    LOOKING,
    TALLYING,
    Captured,
    CapturePaused,
    CaptureResumed,
    Fact,
    LeaseEnded,
    LeasesSeen,
    LeaseTaken,
    OplogMeasured,
    OplogUnknown,
    Recovering,
    RecoveryBegan,
    SettingsRefused,
    SettingsReloaded,
    Settled,
    StandingChanged,
    StoreFailed,
    StreamLost,
    StreamOpened,
)
from watcher.core.leases import CAPTURE, LASTS, MUCH_SKEW, endpoint_lease
from watcher.core.outcomes import Unsendable
from watcher.core.verdicts import Dead, Delivered, Release, RetryAt
from watcher.ports import Clock

STALE = timedelta(seconds=30)
"""A quiet stream tells of itself every 5 s; a server that scans a long silent oplog may need longer."""

QUIET = timedelta(seconds=10)
"""Capture stores a quiet stream's position at least this often (`QUIET_STORE` in pipeline/capture.py)."""

SURE = timedelta(seconds=10)
"""An endpoint that only failed for so long is told of: one refusal among many 2xx is nobody's trouble."""

LOSS_TOLD = timedelta(minutes=1)
"""How long a lost lease is told of: long enough for a probe, a scrape and a glance; a metric counts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing that must work."""

    ready: bool
    says: str
    warns: bool = False
    """It works, and somebody should look at it all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """An endpoint whose last attempts all failed."""

    since: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Ready when every part is."""

    parts: dict[str, Part]

    @property
    def ready(self) -> bool:
        return all(part.ready for part in self.parts.values())


@dataclass(slots=True)
class ReadinessObserver:
    """An Observer that remembers what readiness needs."""

    clock: Clock
    shares: bool = False
    """The work with other replicas: then it is ready, too, while another one reads the stream."""
    _held: set[str] = field(default_factory=set)
    _replicas: int = 0
    _read_by_one: bool = False
    _skew: timedelta = timedelta(0)
    _seen_at: float | None = None
    _open: bool = False
    _lost: str = ""
    _repair: str = ""
    _progress: str = ""
    _heard_at: float | None = None
    _store: str = ""
    _failed_at: float = 0.0
    _failed_to_look: bool = False
    _lag: timedelta | None = None
    _paused: str = ""
    _oplog: str = "not known yet"
    _scarce: bool = False
    _standings: dict[str, Standing] = field(default_factory=dict)
    _failing: dict[str, Failing] = field(default_factory=dict)
    _lost_leases: dict[str, float] = field(default_factory=dict)
    _settings: str = ""

    def __call__(self, fact: Fact) -> None:
        match fact:
            case StreamOpened():
                self._open, self._repair = True, ""
            case RecoveryBegan(since=since):
                self._open, self._repair = False, f"repairing the gap since {since.isoformat()}"
            case Recovering():
                self._lost = ""
                self._progress = (
                    f": {fact.collection}, {fact.rows} rows looked at, {fact.events} events found"
                )
            case StreamLost(reason=reason):
                self._open, self._lost = False, reason
            case Captured():
                self._captured(fact)
            case StoreFailed(doing=doing) if doing == TALLYING:
                pass  # nobody waits for figures; a store that takes nothing is told of by who has to write
            case StoreFailed(doing=doing, reason=reason):
                self._store, self._failed_at = reason, self.clock.monotonic()
                self._failed_to_look = doing == LOOKING
            case Settled():
                self._settled(fact)
            case CapturePaused():
                self._paused = _full(fact)
            case CaptureResumed():
                self._paused, self._heard_at = "", self.clock.monotonic()
            case StandingChanged(endpoint=endpoint, after=after):
                self._standings.pop(endpoint, None)
                if after is not None:
                    self._standings[endpoint] = after
            case LeasesSeen(replicas=replicas, reading=reading, skew=skew):
                self._replicas, self._read_by_one, self._skew = replicas, reading, skew
                self._seen_at = self.clock.monotonic()
                if self._failed_to_look:  # who stands by has nothing else to write
                    self._store = ""
            case LeaseTaken(lease=lease):
                self._held.add(lease)
            case LeaseEnded(lease=lease, lost=lost):
                self._held.discard(lease)
                if lost:
                    self._lost_leases[lease] = self.clock.monotonic()
                if not self._failed_to_look:  # what failed in its name is another replica's to do
                    self._store = ""
                self._standings.pop(lease.removeprefix(endpoint_lease("")), None)
                self._failing.pop(lease.removeprefix(endpoint_lease("")), None)
                if lease == CAPTURE:
                    self._lag = None
                    self._open, self._heard_at, self._repair, self._paused = False, None, "", ""
            case SettingsReloaded(endpoints=endpoints, needs_restart=keys):
                for gone in (self._standings.keys() | self._failing.keys()) - set(endpoints):
                    self._standings.pop(gone, None)
                    self._failing.pop(gone, None)
                self._settings = f"changed, and in force after a restart: {', '.join(keys)}" if keys else ""
            case SettingsRefused(problems=problems):
                self._settings = f"wrong in their files, older ones are in force. {problems[0]}"
            case OplogMeasured():
                self._oplog, self._scarce = _headroom(fact), fact.scarce
            case OplogUnknown():
                self._scarce = False
                self._oplog = "not known: it takes `read` on the database local"
            case _:
                pass

    @property
    def lag(self) -> timedelta | None:
        """Of the last change; None while nothing is known."""
        return self._lag

    @property
    def replicas(self) -> int:
        return self._replicas

    @property
    def held(self) -> frozenset[str]:
        """Leases of this replica."""
        return frozenset(self._held)

    @property
    def failing(self) -> Mapping[str, Failing]:
        """Endpoints that this replica has only failed to reach for a while, whatever their standing."""
        begun_before = self.clock.now() - SURE
        return {name: each for name, each in self._failing.items() if each.since <= begun_before}

    def judge(self) -> Readiness:
        return Readiness(
            parts={
                **({"leases": self._leases()} if self.shares else {}),
                "stream": self._stream(),
                "store": self._stored(),
                "lag": self._lagging(),
                # Never unready by it: whoever takes it for a reason to restart us makes it worse.
                "oplog": Part(ready=True, says=self._oplog, warns=self._scarce),
                "endpoints": Part(ready=True, says=self._receivers()),
                "settings": Part(ready=True, says=self._settings or "in force", warns=bool(self._settings)),
            }
        )

    def _captured(self, fact: Captured) -> None:
        now = self.clock.monotonic()
        self._heard_at, self._lag = now, fact.lag
        # Most quiet batches write nothing, and would call a full disk writable twice a second. But one that
        # began QUIET after the failure either stored the position or comes after one that did.
        began = now - fact.took.total_seconds()
        if fact.changes or began - self._failed_at >= QUIET.total_seconds():
            self._store = ""

    def _settled(self, fact: Settled) -> None:
        endpoint = fact.endpoint
        for each in fact.attempts:
            match each.verdict:
                case Release():
                    continue  # nothing was written
                case Delivered():
                    self._failing.pop(endpoint, None)
                case RetryAt(reason=reason) | Dead(reason=reason) if not isinstance(each.outcome, Unsendable):
                    before = self._failing.get(endpoint)
                    since = before.since if before is not None else each.began
                    self._failing[endpoint] = Failing(since=since, reason=reason)
                case _:
                    pass
            self._store = ""

    def _leases(self) -> Part:
        if self._seen_at is None:
            return Part(
                ready=False, says="not seen yet: is the state in MongoDB there, and may it be written?"
            )
        silent = self.clock.monotonic() - self._seen_at
        if silent > LASTS.total_seconds():
            why = self._store or "nothing is heard from MongoDB: is it up, and can it be reached from here?"
            return Part(ready=False, says=f"not renewed for {silent:.0f} s: {why}")
        held = ", ".join(sorted(self._held)) or "none"
        trouble = _apart(self._skew) + self._losses()
        return Part(
            ready=True, says=f"{held} of {self._replicas} replicas' work{trouble}", warns=bool(trouble)
        )

    def _losses(self) -> str:
        now = self.clock.monotonic()
        recent = {
            lease: now - at
            for lease, at in self._lost_leases.items()
            if now - at <= LOSS_TOLD.total_seconds()
        }
        if not recent:
            return ""
        return (
            f"; {', '.join(sorted(recent))} lost to another replica {min(recent.values()):.0f} s ago, not"
            " renewed in time: was this one stopped, or cut off from MongoDB? Is it short of CPU or memory?"
        )

    @property
    def _stands_by(self) -> bool:
        return self.shares and self._read_by_one and CAPTURE not in self._held

    def _stream(self) -> Part:
        if self._stands_by:
            return Part(ready=True, says="another replica reads it")
        if not self._open and self._repair and not self._lost:
            return Part(ready=False, says=self._repair + self._progress)
        if not self._open:
            return Part(ready=False, says=self._lost or "the change stream is not open yet")
        if self._paused:
            return Part(ready=True, says="not read while the store is full")
        if self._heard_at is None:
            return Part(ready=False, says="open, and nothing read yet")
        silent = self.clock.monotonic() - self._heard_at
        if silent > STALE.total_seconds():
            return Part(
                ready=False,
                says=f"nothing heard from MongoDB for {silent:.0f} s: is it overloaded, or the network cut?",
            )
        return Part(ready=True, says="open")

    def _stored(self) -> Part:
        trouble = self._store or self._paused
        return Part(ready=not trouble, says=trouble or "can be written")

    def _receivers(self) -> str:
        told = {
            name: f"{name} {_fails(name, each.since, each.reason)}" for name, each in self.failing.items()
        }
        told |= {name: f"{name} {_stands(name, each)}" for name, each in self._standings.items()}
        return "; ".join(told[name] for name in sorted(told)) or "none is down, slowed or paused"

    def _lagging(self) -> Part:
        if self._stands_by:
            return Part(ready=True, says="another replica's")
        if self._heard_at is None:
            return Part(ready=False, says="not known yet")
        return Part(
            ready=True, says=f"{self._lag.total_seconds():.3f} s" if self._lag is not None else "none"
        )


def _full(fact: CapturePaused) -> str:
    return (
        f"full: {fact.used_bytes / 1e6:.0f} of {fact.limit_bytes / 1e6:.0f} MB, with"
        f" {fact.waiting} deliveries waiting and {fact.dead} dead."
        " Capture is paused, and MongoDB's oplog is the buffer."
        " Bring the receivers back, or raise watcher.maxStore"
    )


def _fails(name: str, since: datetime, reason: str) -> str:
    return (
        f"has failed since {since.isoformat(timespec='seconds')} ({reason}): what is for it waits. Bring the"
        f" receiver back, or correct its url; until then `librechat-watcher endpoints pause {name}`"
    )


def _stands(name: str, standing: Standing) -> str:
    since = standing.since.isoformat(timespec="seconds")
    match standing.state:
        case "open":
            return _fails(name, standing.since, standing.reason)
        case "paused":
            return f"is paused since {since} ({standing.reason}): `librechat-watcher endpoints resume {name}`"
        case "slowed":
            return f"asked to be left alone ({standing.reason})"


def _headroom(fact: OplogMeasured) -> str:
    if fact.headroom < timedelta(0):
        return "the position has fallen off the oplog: once the stream breaks, it is lost"
    says = f"the position is {_long(fact.headroom)} inside of {_long(fact.window)}"
    if fact.left is not None:
        says += f"; at the present pace it is lost in {_long(fact.left)}"
    if fact.scarce:
        says += ". Make the oplog larger: db.adminCommand({replSetResizeOplog: 1, size: MEGABYTES})"
    return says


def _apart(skew: timedelta) -> str:
    if abs(skew) <= MUCH_SKEW:
        return ""
    way = "behind" if skew > timedelta(0) else "ahead of"
    return f"; its clock is {abs(skew).total_seconds():.0f} s {way} MongoDB's: synchronise both (NTP)"


def _long(span: timedelta) -> str:
    hours = span / timedelta(hours=1)
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"
