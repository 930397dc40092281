"""Tenures: who did what, and how soon another did it, by the replicas' own journals."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tests.end_to_end.harness import Watcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenure:
    """One lease, as long as one replica held it. Times are those of the wall clock, in seconds."""

    lease: str
    epoch: int
    watcher: Watcher
    taken: float
    ended: float
    """As the journal says; infinity where it says nothing: it still holds, or was killed."""


def tenures(watchers: Sequence[Watcher]) -> Sequence[Tenure]:
    """All that there were, in order of their leases' epochs."""
    found = [tenure for watcher in watchers for tenure in _of(watcher)]
    return sorted(found, key=lambda tenure: (tenure.lease, tenure.epoch))


def holder(lease: str, watchers: Sequence[Watcher]) -> Watcher:
    """Who took it last."""
    return [tenure for tenure in tenures(watchers) if tenure.lease == lease][-1].watcher


def takeovers(of: Watcher, since: float, history: Sequence[Tenure]) -> Mapping[str, float]:
    """After how many seconds each lease that a replica held at a moment was taken again; infinity: never."""
    held = [
        tenure
        for tenure in history
        if tenure.watcher is of
        and tenure.taken <= since < tenure.ended
        and not _later(tenure, history, since)
    ]
    return {
        tenure.lease: min((after.taken for after in _later(tenure, history)), default=math.inf) - since
        for tenure in held
    }


def _later(tenure: Tenure, history: Sequence[Tenure], until: float = math.inf) -> Sequence[Tenure]:
    return [
        other
        for other in history
        if other.lease == tenure.lease and other.epoch > tenure.epoch and other.taken <= until
    ]


def _of(watcher: Watcher) -> Sequence[Tenure]:
    lines = [json.loads(line) for line in watcher.log.splitlines() if '"lease.' in line]
    times = {
        (line["event"], line["lease"], line["epoch"]): datetime.fromisoformat(line["timestamp"]).timestamp()
        for line in lines
    }
    return [
        Tenure(
            lease=lease,
            epoch=epoch,
            watcher=watcher,
            taken=at,
            ended=times.get(("lease.ended", lease, epoch), math.inf),
        )
        for (event, lease, epoch), at in times.items()
        if event == "lease.taken"
    ]
