"""Undertakings: long work that is under way, and how far it has come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from watcher.core.backfill import Backfill
from watcher.core.facts import (
    Fact,
    LeaseEnded,
    LogChanged,
    OplogMeasured,
    OplogUnknown,
    Recovered,
    Recovering,
    RecoveryBegan,
    Scanned,
    StreamLost,
    StreamOpened,
)
from watcher.core.leases import CAPTURE
from watcher.ports import Clock

FORGOTTEN = timedelta(days=1)
"""A backfill that stood still for so long is nobody's work any more."""

GIVEN_UP = timedelta(seconds=30)
"""Replaying many takes many requests: when none came for so long, whoever asked has stopped it, or left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undertaking:
    """One long work."""

    name: str
    unit: Literal["rows", "deliveries"] = "rows"
    rows: int
    of: int | None
    """About how many there are; None: nobody knows."""
    since: datetime | None


class Undertakings:
    """An Observer of them; and of the oplog, in which the time for them is counted."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._works: dict[str, Undertaking] = {}
        self._changes: dict[str, tuple[Undertaking, float]] = {}
        self.oplog: OplogMeasured | None = None

    def __call__(self, fact: Fact) -> None:
        match fact:
            case Scanned(collection=collection, rows=rows, total=total, done=done):
                self._go_on(f"first scan of {collection}", rows, max(total, rows), done=done)
            case RecoveryBegan(since=since):
                self._go_on(f"repair of the gap since {since.isoformat(timespec='seconds')}", 0, None)
            case Recovering(rows=rows):
                for name in [name for name in self._works if name.startswith("repair ")]:
                    self._works[name] = replace(self._works[name], rows=rows)
            case Recovered() | StreamOpened():
                self._drop("repair ")
            case StreamLost():
                pass  # a repair goes on where it stopped
            case LeaseEnded(lease=lease) if lease == CAPTURE:
                self._works.clear()  # another replica's now
                self.oplog = None
            case LogChanged():
                self._log_changed(fact)
            case OplogMeasured():
                self.oplog = fact
            case OplogUnknown():
                self.oplog = None
            case _:
                pass

    def now(self) -> Sequence[Undertaking]:
        heard_since = self._clock.monotonic() - GIVEN_UP.total_seconds()
        self._changes = {name: each for name, each in self._changes.items() if each[1] >= heard_since}
        return (*self._works.values(), *(work for work, _ in self._changes.values()))

    def _log_changed(self, fact: LogChanged) -> None:
        name = f"{fact.act} of {fact.chosen or 'all'}"
        before, _ = self._changes.pop(name, (None, 0.0))
        if fact.done:
            return
        rows = (before.rows if before is not None else 0) + sum(fact.by_endpoint.values())
        work = Undertaking(
            name=name,
            unit="deliveries",
            rows=rows,
            of=rows + fact.left if fact.left is not None else None,
            since=before.since if before is not None else self._clock.now(),
        )
        self._changes[name] = (work, self._clock.monotonic())

    def _go_on(self, name: str, rows: int, of: int | None, *, done: bool = False) -> None:
        before = self._works.pop(name, None)
        if not done:
            since = before.since if before is not None else self._clock.now()
            self._works[name] = Undertaking(name=name, rows=rows, of=of, since=since)

    def _drop(self, beginning: str) -> None:
        self._works = {name: each for name, each in self._works.items() if not name.startswith(beginning)}


def backfilling(backfills: Iterable[Backfill], now: datetime) -> Sequence[Undertaking]:
    """Backfills, which are another process's work: what the state tells of them."""
    return [
        Undertaking(name=_named(each, now), rows=each.rows, of=each.total, since=each.began_at)
        for each in backfills
        if each.page_at is not None and now - each.page_at < FORGOTTEN
    ]


def _named(backfill: Backfill, now: datetime) -> str:
    what = backfill.events[0] if len(backfill.events) == 1 else f"{len(backfill.events)} events"
    since, until = (at.isoformat(timespec="seconds") for at in (backfill.since, backfill.until))
    halted = "" if backfill.is_under_way(now) else " (stands still: given again, the command goes on)"
    return f"backfill of {what} from {since} to {until}{halted}"
