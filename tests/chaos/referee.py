"""The referee: compares what receivers accepted with the ledger, and explains each repeat by a fault."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.chaos.ledger import Ledger, Mark, events_of, mark_of
from tests.chaos.receiver import Arrival


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A time in which an answer of a receiver may have been lost on its way to the watcher's store."""

    cause: str
    began: float
    ended: float
    endpoint: str


@dataclass(slots=True)
class _Seen:
    """What one endpoint got."""

    digests: dict[str, bytes] = field(default_factory=dict)
    """By id: of the body that came first."""
    accepted: dict[Mark, str] = field(default_factory=dict)
    """By mark, in the order of first acceptance: the id."""
    accepted_at: dict[Mark, float] = field(default_factory=dict)
    last: dict[str, Arrival] = field(default_factory=dict)
    """By id: the last arrival that was accepted, without its body."""
    repeats: list[tuple[Arrival, Arrival]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What a run has come to, over all endpoints. From `lost` on, all should be 0."""

    events: int
    """Committed changes that somebody is to be told of."""
    deliveries: int
    """Different events accepted, over all endpoints."""
    requests: int
    repeats: Counter[str]
    """Accepted again, with the same id, by what has kept the answer from the watcher's store."""
    lost: int
    invented: int
    id_changes: int
    """Changes that came under a second id."""
    byte_changes: int
    """Ids that came with other bytes."""
    inversions: int
    """First acceptances that stand behind a later one of the same entity."""
    unsigned: int

    def repeats_after(self, cause: str) -> int:
        return sum(count for name, count in self.repeats.items() if name.startswith(cause))

    @property
    def clean(self) -> bool:
        wrong = (self.lost, self.invented, self.id_changes, self.byte_changes, self.inversions, self.unsigned)
        return not any(wrong)


class Referee:
    """Takes each arrival as it comes; rules when everything has calmed down."""

    def __init__(self, endpoints: Iterable[str]) -> None:
        self._seen = {name: _Seen() for name in endpoints}
        self._wrong: Counter[str] = Counter()
        self._requests = 0
        self._news = asyncio.Event()
        self.examples: list[str] = []
        """Of what went wrong, for whoever has to find out why."""

    def take(self, arrival: Arrival) -> None:
        seen = self._seen[arrival.endpoint]
        self._requests += 1
        self._news.set()
        if not arrival.signed:
            self._blame("unsigned", f"{arrival}")
        digest = hashlib.blake2b(arrival.body, digest_size=16).digest()
        if seen.digests.setdefault(arrival.id, digest) != digest:
            self._blame("byte_changes", f"{arrival}")
        if not arrival.accepted:
            return

        before = seen.last.get(arrival.id)
        if before is not None:
            seen.repeats.append((before, arrival))
        seen.last[arrival.id] = _bodiless(arrival)
        for event in events_of(json.loads(arrival.body)):
            mark = mark_of(event["event"], event["data"])
            known = seen.accepted.setdefault(mark, event["webhookId"])
            seen.accepted_at.setdefault(mark, arrival.at)
            if known != event["webhookId"]:
                self._blame("id_changes", f"{mark} at {arrival.endpoint}: {known}, {event['webhookId']}")

    @property
    def deliveries(self) -> int:
        """Different events accepted so far, over all endpoints."""
        return sum(len(seen.accepted) for seen in self._seen.values())

    def missing(self, ledger: Ledger) -> int:
        """How many deliveries are still owed."""
        return sum(len(ledger.entries.keys() - seen.accepted.keys()) for seen in self._seen.values())

    async def accepted(self, mark: Mark, endpoint: str) -> float:
        """When the endpoint accepted the event first; waits for it."""
        times = self._seen[endpoint].accepted_at
        while mark not in times:
            self._news.clear()
            await self._news.wait()
        return times[mark]

    def rule(self, ledger: Ledger, doubts: Sequence[Doubt]) -> Ruling:
        """`doubts`: where several explain a repeat, the first does."""
        repeats: Counter[str] = Counter()
        for endpoint, seen in self._seen.items():
            for mark in ledger.entries.keys() - seen.accepted.keys():
                self._blame("lost", f"{mark} at {endpoint}: {ledger.entries[mark]}")
            for mark in seen.accepted.keys() - ledger.entries.keys():
                self._blame("invented", f"{mark} at {endpoint}: {seen.accepted[mark]}")
            reached: dict[str, int] = defaultdict(lambda: -1)
            for mark in seen.accepted:
                entry = ledger.entries.get(mark)
                if entry is None:
                    continue
                if entry.place < reached[entry.entity]:
                    self._blame(
                        "inversions", f"{mark} at {endpoint}: {entry}, behind {reached[entry.entity]}"
                    )
                reached[entry.entity] = max(reached[entry.entity], entry.place)
            for before, again in seen.repeats:
                repeats[_cause(doubts, before, again)] += 1
        return Ruling(
            events=len(ledger.entries),
            deliveries=self.deliveries,
            requests=self._requests,
            repeats=repeats,
            **{
                name: self._wrong[name]
                for name in (
                    "lost",
                    "invented",
                    "id_changes",
                    "byte_changes",
                    "inversions",
                    "unsigned",
                )
            },
        )

    def _blame(self, what: str, example: str) -> None:
        self._wrong[what] += 1
        if self._wrong[what] <= 5:
            self.examples.append(f"{what}: {example}")


def _cause(doubts: Iterable[Doubt], before: Arrival, again: Arrival) -> str:
    for doubt in doubts:
        if doubt.endpoint == before.endpoint and doubt.began <= again.at and before.at <= doubt.ended:
            return doubt.cause
    return "a time-out" if before.heard else "an answer too late"


def _bodiless(arrival: Arrival) -> Arrival:
    return Arrival(
        endpoint=arrival.endpoint,
        id=arrival.id,
        body=b"",
        signed=arrival.signed,
        accepted=arrival.accepted,
        heard=arrival.heard,
        at=arrival.at,
    )
