"""Undertakings: long work that is under way, and how far it has come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from watcher.core.backfill import Backfill
from watcher.core.facts import (
    Fact,
    LeaseEnded,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Undertaking:
    """One long work."""

    name: str
    rows: int
    of: int | None
    """About how many there are; None: nobody knows."""
    since: datetime | None


class Undertakings:
    """An Observer of them; and of the oplog, in which the time for them is counted."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._works: dict[str, Undertaking] = {}
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
            case OplogMeasured():
                self.oplog = fact
            case OplogUnknown():
                self.oplog = None
            case _:
                pass

    def now(self) -> Sequence[Undertaking]:
        return tuple(self._works.values())

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
