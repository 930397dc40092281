"""The judge: a model of what is promised (no gap, same id and bytes, order, nothing invented), held against
what was written, what the receivers got, and what the store says. It knows nothing of how it is done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise

from tests.crashes.ledger import Owed
from tests.crashes.receivers import Attempt, Body, carried
from watcher.core.endpoints import Endpoint

NEVER = 10**9

MANY, SOME, LONG = 10, 3, timedelta(minutes=1)
"""An endpoint is down when so many different deliveries failed in a row; or so many over so long."""

PROBED_WITHIN = timedelta(seconds=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A delivery as the store tells of it."""

    id: str
    endpoint: str
    state: str
    reason: str | None
    attempts: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in an attempt a delivery was carried."""

    attempt: Attempt
    index: int


@dataclass(frozen=True)
class Evidence:
    """Everything that is known outside of the program."""

    owed: Sequence[Owed]
    endpoints: Sequence[Endpoint]
    attempts: Sequence[Attempt]
    rows: Sequence[Row]
    beginnings: Mapping[int, Mapping[str, Row]] = field(default_factory=dict)
    """By life: the rows in the store when it began, by their ids."""

    def wanted(self) -> Iterator[tuple[Endpoint, int, Owed]]:
        for endpoint in self.endpoints:
            for number, owed in enumerate(self.owed):
                yield endpoint, number, owed

    @cached_property
    def places(self) -> Mapping[tuple[str, int | None], Sequence[Place]]:
        """By endpoint and what was owed: the attempts that carried it, in order. None: what nobody owes."""
        found: dict[tuple[str, int | None], list[Place]] = defaultdict(list)
        for attempt in sorted(self.attempts, key=lambda attempt: attempt.began):
            for index, body in enumerate(attempt.carried):
                place = Place(attempt=attempt, index=index)
                found[attempt.endpoint, self.meaning(body)].append(place)
        return found

    @cached_property
    def kept(self) -> Mapping[tuple[str, int | None], Sequence[Row]]:
        """By endpoint and what was owed: the rows in the store."""
        found: dict[tuple[str, int | None], list[Row]] = defaultdict(list)
        for row in self.rows:
            [body] = carried(row.body)
            found[row.endpoint, self.meaning(body)].append(row)
        return found

    @cached_property
    def perhaps_down(self) -> Mapping[str, frozenset[int]]:
        """By endpoint: the moments at which a failure was heard, and it may have counted as down then."""
        return {
            endpoint.name: frozenset(self._down(endpoint, of_one_life=False)) for endpoint in self.endpoints
        }

    @cached_property
    def surely_down(self) -> Mapping[str, frozenset[int]]:
        """Those at which it must have counted as down: what failed in that very life was enough."""
        return {
            endpoint.name: frozenset(self._down(endpoint, of_one_life=True)) for endpoint in self.endpoints
        }

    def _down(self, endpoint: Endpoint, *, of_one_life: bool) -> Iterator[int]:
        failed: dict[str, datetime] = {}
        life, down = 0, False
        # The program's clock counts in floats: a minute to the microsecond may be less than one to it.
        long = LONG + timedelta(microseconds=1) if of_one_life else LONG
        heard = [each for each in self.attempts if each.endpoint == endpoint.name and each.heard is not None]
        for attempt in sorted(heard, key=lambda each: each.heard or 0):
            if of_one_life and attempt.life != life:
                failed, down = {}, False
            life = attempt.life
            if attempt.accepted and attempt.answer != "lost":
                failed, down = {}, False
                continue
            carried = [body["webhookId"] for body in attempt.carried]
            if attempt.number > len(endpoint.retry_delays) and failed.keys() <= set(carried):
                carried = carried[:1]  # what fails for the last time, and alone, may be wrong itself
            for identity in carried:
                failed.setdefault(identity, attempt.at)
            assert attempt.heard is not None
            lasted = (attempt.heard_at or attempt.at) - min(failed.values())
            down = down or len(failed) >= MANY or (len(failed) >= SOME and lasted >= long)
            if down:
                yield attempt.heard

    def before(self, place: Place) -> Row | None:
        """What the store said of a delivery when the life began that sent it here."""
        identity = place.attempt.carried[place.index]["webhookId"]
        return self.beginnings.get(place.attempt.life, {}).get(identity)

    def meaning(self, body: Body) -> int | None:
        """Which of the things owed a body tells of."""
        event, data = body["event"], body["data"]
        ids = {name: data[name] for name in self._names[event] if name in data}
        like = (number for each in ids.items() for number in self._by_id.get((event, *each), ()))
        return next((number for number in like if self._fits(number, body)), None)

    @cached_property
    def _names(self) -> Mapping[str, set[str]]:
        """By event: what `about` begins with, an id."""
        found: dict[str, set[str]] = defaultdict(set)
        for owed in self.owed:
            found[owed.event].add(next(iter(owed.about)))
        return found

    @cached_property
    def _by_id(self) -> Mapping[tuple[str, str, str], Sequence[int]]:
        found: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        for number, owed in enumerate(self.owed):
            found[owed.event, *next(iter(owed.about.items()))].append(number)
        return found

    def _fits(self, number: int, body: Body) -> bool:
        about = self.owed[number].about
        return all(name in body["data"] and body["data"][name] == value for name, value in about.items())


def broken(evidence: Evidence, *, read: int | None = None) -> list[str]:
    """Every promise that was not kept, in words.

    `read`: it was cut off, and its position stands behind so many changes; None: it came to its end."""
    return [
        *_gaps(evidence, read),
        *_inventions(evidence),
        *_changed_ids_or_bytes(evidence),
        *_disorder(evidence),
        *_untrue_states(evidence),
        *_needless_repeats(evidence),
        *_hasty_retries(evidence),
        *_crowding(evidence),
    ]


def _gaps(evidence: Evidence, read: int | None) -> Iterator[str]:
    for endpoint, number, owed in evidence.wanted():
        if read is not None and owed.change >= read:
            continue
        rows = evidence.kept[endpoint.name, number]
        states = {row.state for row in rows}
        accepted = any(place.attempt.accepted for place in evidence.places[endpoint.name, number])
        if owed.fate == "cancelled":
            if read is None and rows and states != {"cancelled"}:
                yield f"came to nothing, and is {states} at {endpoint.name}: {_told(owed)}"
        elif not accepted and not rows:
            yield f"lost at {endpoint.name}: {_told(owed)}"
        elif read is None and not states <= _ends(endpoint, evidence):
            yield f"is still {states} at {endpoint.name}: {_told(owed)}"
        elif states == {"cancelled"}:
            yield f"was cancelled at {endpoint.name}: {_told(owed)}"
        for row in rows:
            if row.state in ("dead", "cancelled") and not row.reason:
                yield f"{row.state} without a reason at {endpoint.name}: {_told(owed)}"


def _ends(endpoint: Endpoint, evidence: Evidence) -> set[str]:
    """What all has to come to in the end. For one that is down it waits, and nothing dies."""
    heard = [
        each.heard for each in evidence.attempts if each.endpoint == endpoint.name and each.heard is not None
    ]
    down = bool(heard) and max(heard) in evidence.perhaps_down[endpoint.name]
    return {"delivered", "dead", "pending"} if down else {"delivered", "dead"}


def _inventions(evidence: Evidence) -> Iterator[str]:
    for endpoint in evidence.endpoints:
        for place in evidence.places[endpoint.name, None]:
            yield f"nobody owes what {endpoint.name} was sent: {place.attempt.carried[place.index]}"
        for row in evidence.kept[endpoint.name, None]:
            yield f"nobody owes what is {row.state} for {endpoint.name}: {carried(row.body)}"
    for endpoint, number, owed in evidence.wanted():
        if owed.fate == "cancelled" and evidence.places[endpoint.name, number]:
            yield f"came to nothing, and was sent to {endpoint.name}: {_told(owed)}"


def _changed_ids_or_bytes(evidence: Evidence) -> Iterator[str]:
    bodies: dict[tuple[str, str], set[bytes]] = defaultdict(set)
    for attempt in evidence.attempts:
        bodies[attempt.endpoint, attempt.request].add(attempt.body)
    for (name, request), versions in bodies.items():
        if len(versions) > 1:
            yield f"{request} had other bytes when it was sent again to {name}: {versions}"
    owners: dict[str, tuple[str, int]] = {}
    for endpoint, number, owed in evidence.wanted():
        places, rows = evidence.places[endpoint.name, number], evidence.kept[endpoint.name, number]
        ids = {place.attempt.carried[place.index]["webhookId"] for place in places} | {row.id for row in rows}
        if len(ids) > 1 or len(rows) > 1:
            yield f"has the ids {ids} at {endpoint.name}: {_told(owed)}"
        if _changed_carrier(places):
            yield f"changed its batch at {endpoint.name}: {_told(owed)}"
        for identity in ids:
            if owners.setdefault(identity, (endpoint.name, number)) != (endpoint.name, number):
                yield f"{identity} stands for two things, one of them at {endpoint.name}: {_told(owed)}"


def _changed_carrier(places: Sequence[Place]) -> bool:
    """A batch stays the same batch. Alone before it is only what was cut off, so that nobody knew of it."""
    carriers = [(place.attempt.life, place.attempt.batch) for place in places]
    return any(
        batch != before and (before is not None or life == life_before)
        for (life_before, before), (life, batch) in pairwise(carriers)
    )


def _disorder(evidence: Evidence) -> Iterator[str]:
    for endpoint in evidence.endpoints:
        lines: dict[str, list[int]] = defaultdict(list)
        for number, owed in enumerate(evidence.owed):
            if owed.fate == "sent":
                for line in owed.lines:
                    lines[line].append(number)
        for line, numbers in lines.items() if endpoint.ordered else ():
            for later in range(1, len(numbers)):
                first = next(iter(evidence.places[endpoint.name, numbers[later]]), None)
                for number in numbers[:later] if first else ():
                    places = evidence.places[endpoint.name, number]
                    assert first is not None
                    if not _over(places, evidence.kept[endpoint.name, number], before=first):
                        yield (
                            f"{endpoint.name} was sent {_told(evidence.owed[numbers[later]])} of {line}"
                            f" while this was not over: {_told(evidence.owed[number])}"
                        )


def _over(places: Sequence[Place], rows: Sequence[Row], *, before: Place) -> bool:
    """Had it got its 2xx, or was it dead, before that? In one batch the one in front is told first."""
    if any(place.attempt is before.attempt and place.index < before.index for place in places):
        return True
    ends = [place.attempt.answered or NEVER for place in places if place.attempt.accepted]
    if not ends and any(row.state == "dead" for row in rows):
        ends = [place.attempt.heard or NEVER for place in places[-1:]]
    return bool(ends) and ends[0] < before.attempt.began


def _untrue_states(evidence: Evidence) -> Iterator[str]:
    """What the store calls delivered was accepted; what it calls dead was tried as often as it must be, not
    counting what we cut off ourselves."""
    for endpoint, number, owed in evidence.wanted():
        places = evidence.places[endpoint.name, number]
        for row in evidence.kept[endpoint.name, number]:
            if row.state == "delivered" and not any(place.attempt.accepted for place in places):
                yield f"is called delivered, and was never accepted by {endpoint.name}: {_told(owed)}"
            tried = sum(place.attempt.heard is not None for place in places)
            if row.state == "dead" and tried <= len(endpoint.retry_delays):
                yield f"is dead after {tried} attempts at {endpoint.name}: {_told(owed)}"
            if row.state == "dead" and _last_heard(places) in evidence.surely_down[endpoint.name]:
                yield f"died while {endpoint.name} was down: {_told(owed)}"


def _last_heard(places: Sequence[Place]) -> int | None:
    return max((place.attempt.heard for place in places if place.attempt.heard is not None), default=None)


def _needless_repeats(evidence: Evidence) -> Iterator[str]:
    """At least once means: what is settled, or was heard of in this life, is not sent again."""
    for endpoint, number, owed in evidence.wanted():
        heard: set[int] = set()
        for place in evidence.places[endpoint.name, number]:
            attempt, row = place.attempt, evidence.before(place)
            if row is not None and row.state in ("delivered", "dead", "cancelled"):
                yield f"was {row.state} before a restart, and sent to {endpoint.name} again: {_told(owed)}"
            if attempt.life in heard:
                yield f"was accepted by {endpoint.name}, and sent again: {_told(owed)}"
            if attempt.accepted and attempt.heard is not None and attempt.answer != "lost":
                heard.add(attempt.life)


def _hasty_retries(evidence: Evidence) -> Iterator[str]:
    """Each failure is followed by its wait; over a restart, too, unless nobody knew of it any more. While an
    endpoint is down, whoever is next tries it, and goes on beyond the last of the waits."""
    for endpoint, number, owed in evidence.wanted():
        last: Attempt | None = None
        for place in evidence.places[endpoint.name, number]:
            attempt, row = place.attempt, evidence.before(place)
            noted = row.attempts if row is not None else 0
            if last is not None and last.heard_at and (last.life == attempt.life or last.number <= noted):
                wait = dict(enumerate(endpoint.retry_delays, start=1)).get(last.number)
                if last.heard in evidence.perhaps_down[endpoint.name]:
                    wait = min(wait or timedelta(0), PROBED_WITHIN)
                if wait is None:
                    yield f"was sent to {endpoint.name} after its last attempt: {_told(owed)}"
                    continue
                early = last.heard_at + wait - attempt.at
                if early > timedelta(0):
                    yield f"was sent to {endpoint.name} {early.total_seconds()} s too early: {_told(owed)}"
            last = attempt


def _crowding(evidence: Evidence) -> Iterator[str]:
    """One that is down gets one request at a time; but for those that were as good as under way when it came
    to that, in the same moment."""
    for endpoint in evidence.endpoints:
        mine = sorted(
            (each for each in evidence.attempts if each.endpoint == endpoint.name),
            key=lambda each: each.began,
        )
        for attempt in mine:
            before = [each for each in mine if each.life == attempt.life and each.began < attempt.began]
            ended = [each for each in before if each.heard is not None and each.heard < attempt.began]
            last = max(ended, key=lambda each: each.heard or 0, default=None)
            if last is not None and last.heard in evidence.surely_down[endpoint.name]:
                since = last.heard_at or last.at
                under_way = [
                    each for each in before if each.at > since and (each.heard or NEVER) > attempt.began
                ]
                if under_way:
                    yield f"{endpoint.name} was down, and was sent {attempt.request} beside another"


def _told(owed: Owed) -> str:
    return f"{owed.event} {dict(owed.about)}"
