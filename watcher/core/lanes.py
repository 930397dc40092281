"""A Lane: the deliveries of one endpoint on their way out, in order per entity, at its pace.

    store ──offer──▶ line of its entity ──take──▶ in flight ──settle──▶ gone
                        ▲                            │
                        └── back ◀── due ◀── parked ◀┘   (to be tried again)

The law: of one entity only the oldest delivery (or one batch that begins with it) is ever in flight.
Memory is bounded by rows, not by what waits: an entity that must wait is *parked*. Its rows leave memory,
one number stays (the `seq` from which to read it again), and rows of it met meanwhile are passed over."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from watcher.core.bodies import form_of
from watcher.core.circuits import Circuit
from watcher.core.deliveries import Stored
from watcher.core.encoding import MAX_BODY_BYTES
from watcher.core.endpoints import Endpoint
from watcher.core.events import Entity, EventId, batch_id
from watcher.core.pacing import RateWindow, Ticket
from watcher.core.requests import Parcel
from watcher.core.swift import swift
from watcher.core.verdicts import Dead, Delivered, Release, RetryAt, Verdict

WINDOW_ROWS = 1_000
"""Rows a lane holds in memory. Enough to keep all slots busy between two reads of the store."""

LANES_BYTES, WINDOW_BYTES, LEAST_BYTES = 32 * 1024 * 1024, 16 * 1024 * 1024, 256 * 1024
"""What bodies may weigh in all lanes of a program together; in one of few; in one of very many. Kilobytes
come nowhere near: rows of a megabyte must not fill a pod."""

LINE_ROWS = 32
"""Rows of one entity in memory: a busy conversation must not fill the window that others need."""

LINE_BYTES = 1024 * 1024
"""What they may weigh."""

UNSETTLED = 4
"""Attempts that wait to be settled, by slot: enough to keep a receiver busy while the store commits."""

ENVELOPE_BYTES = 1_000
"""What a batch's own five keys may weigh, generously."""


@dataclass(slots=True)
class _Line:
    """One entity's deliveries in memory that are not in flight, oldest first."""

    rows: deque[Stored] = field(default_factory=deque)
    rest: int | None = None
    """Rows from this `seq` on wait in the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """An entity whose wait is over: its rows from `start` are to be read, and handed to `back`."""

    entity: Entity
    start: int


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A parcel to be sent now."""

    parcel: Parcel
    ticket: Ticket
    bound: bool
    """The store already knows this parcel's batch."""


def window_of(endpoints: int) -> int:
    """The share of a lane, in bytes, beside so many. What it has just read may go over it once."""
    return max(LEAST_BYTES, min(WINDOW_BYTES, LANES_BYTES // max(1, endpoints)))


class Lane:
    """The pure part of dispatching to one endpoint: what goes next, and when."""

    def __init__(self, endpoint: Endpoint, *, window_bytes: int = WINDOW_BYTES) -> None:
        """`window_bytes`: what the bodies in it may weigh, those under way and not yet settled with them."""
        self.endpoint = endpoint
        self.window_bytes = window_bytes
        self.cursor = 0
        """Every delivery up to this `seq` has been offered."""
        self.in_flight = 0
        """Requests that have no answer yet."""
        self.unsettled = 0
        """Attempts that have ended, and are not settled."""
        self._unsettled_most = UNSETTLED * endpoint.max_in_flight
        self._out_bytes = 0  # under way, or not yet settled
        self.circuit = Circuit(endpoint.max_in_flight)
        self._pace = RateWindow(endpoint.rate.max_per_second)
        self._lines: dict[Entity, _Line] = {}
        self._ready: deque[Entity] = deque()
        self._rows = 0  # in all lines together
        self._bytes = 0
        self._again: deque[Parcel] = deque()
        self._again_bytes = 0
        self._parked: dict[Entity, int] = {}
        self._wakes: list[tuple[datetime, int, Entity | None, EventId | None]] = []
        self._wakes_made = 0
        self._batches: dict[EventId, set[Entity]] = {}  # batches to be sent again, and whom they keep parked
        self._dissolved: set[EventId] = set()
        self._was_batch = False  # the last parcel was a batch that was sent before
        self._ahead: set[int] = set()  # rows beyond the cursor that came with their batch

    # ------------------------------------------------------------------ from the store

    def room(self) -> int:
        """How many more rows it would take in. Sips of a few rows would cost a query per delivery."""
        free = WINDOW_ROWS - self._rows
        return free if free >= WINDOW_ROWS // 4 and self._left > 0 else 0

    def offer(self, rows: Sequence[Stored], *, now: datetime) -> None:
        """Take in the next rows of the store, in order of `seq`, all beyond `cursor`."""
        for row in rows:
            self.cursor = row.seq
            if row.seq in self._ahead:
                self._ahead.discard(row.seq)
            elif row.delivery.entity not in self._parked:
                self._meet(row, now)

    def due(self, now: datetime) -> tuple[list[Return], list[EventId]]:
        """Entities and batches whose wait is over: to be read, for `back` and for `regroup`."""
        entities: list[Return] = []
        batches: list[EventId] = []
        if not self._wakes:
            return entities, batches
        room = self._returns
        while self._wakes and self._wakes[0][0] <= now and len(entities) + len(batches) < room:
            _, _, entity, batch = heapq.heappop(self._wakes)
            if entity is not None and entity in self._parked:
                entities.append(Return(entity=entity, start=self._parked[entity]))
            elif batch is not None:
                batches.append(batch)
        return entities, batches

    def back(self, returned: Return, rows: Sequence[Stored], *, now: datetime) -> None:
        """The first of a parked entity's rows are here."""
        del self._parked[returned.entity]
        known = [row for row in rows if row.seq <= self.cursor]  # what is beyond will be offered
        for row in known:
            if returned.entity not in self._parked:
                self._meet(row, now)
        line = self._lines.get(returned.entity)
        if line is not None:
            line.rest = known[-1].seq + 1  # there may be more: asked for when these are through

    def regroup(self, batch: EventId, members: Sequence[Stored], *, now: datetime) -> None:
        """A batch that was sent before is due again: it goes as the same batch, or not as a batch."""
        whole = bool(members) and batch_id(tuple(row.delivery.id for row in members)) == batch
        if not whole or not self._batches_go:
            self._dissolved.add(batch)
            # What is beyond the cursor has not been met: it comes as any other.
            self._ahead.difference_update(row.seq for row in members)
            self._release_batch(batch, now)
            return
        for row in members:
            self._parked.setdefault(row.delivery.entity, row.seq)
            self._batches[batch].add(row.delivery.entity)
        self._ahead.update(row.seq for row in members if row.seq > self.cursor)
        parcel = Parcel(members=tuple(members), batch=batch)
        self._again.append(parcel)
        self._again_bytes += parcel.weight

    def recall(self, now: datetime) -> None:
        """Something was taken back in the store: what is here, and not in flight, is to be read again."""
        resting = set(self._ready)
        self._ready.clear()
        for entity, line in list(self._lines.items()):
            if not line.rows:
                continue
            first = line.rows[0].seq
            self._forget(line.rows)
            line.rows.clear()
            if entity not in resting:
                line.rest = first  # one of it is in flight
                continue
            del self._lines[entity]
            self._parked[entity] = first
            self._wake(now, entity=entity)
        while self._again:
            parcel = self._take_again()
            self._ahead.difference_update(row.seq for row in parcel.members)
            self._wake(now, batch=parcel.batch)

    # ------------------------------------------------------------------ to the receiver

    def take(self, *, clock: float) -> Launch | None:
        """The next parcel to send now, or None: nothing is ready, or circuit or pace say wait."""
        if not self._may_go(clock):
            return None
        allowance = self._pace.allowance(clock)
        if allowance < 1:
            return None
        # One probe after the other must not be the same batch: it may be the batch that is wrong.
        others_turn = self._was_batch and self._ready and self.circuit.is_open
        if self._again and not others_turn:
            parcel, self._was_batch = self._take_again(), True
        elif self._ready:
            parcel, self._was_batch = self._next_parcel(allowance), False
        else:
            return None
        self.in_flight += 1
        self._out_bytes += parcel.weight
        return Launch(parcel=parcel, ticket=self._pace.take(), bound=parcel.batch in self._batches)

    def written(self, launch: Launch, *, clock: float) -> None:
        """The request has its connection and goes out: it arrives about now."""
        self._pace.written(launch.ticket, clock)

    @property
    def is_waiting(self) -> bool:
        """May anything wait for what has ended to be settled: what is behind it here or in the store, a batch
        that goes again and whom it keeps parked, or room for more?"""
        if self._rows or self._again or self._batches or self._left <= 0:
            return True
        return any(line.rest is not None for line in self._lines.values())

    @property
    def is_paced(self) -> bool:
        """Is there a limit to its requests per second?"""
        return self._pace.is_limited

    def answered(self, launch: Launch, *, clock: float) -> None:
        """The attempt is over, whatever came of it: its slot is free, and its second of the pace runs."""
        self.in_flight -= 1
        self.unsettled += 1
        self._pace.answered(launch.ticket, clock)

    def settle(self, parcel: Parcel, verdict: Verdict, *, now: datetime) -> None:
        """The attempt is settled in the store: let the next of its entities go."""
        self.unsettled -= 1
        self._out_bytes -= parcel.weight
        match verdict:
            case Delivered() | Dead():
                self._advance(parcel, now)
            case RetryAt(at=at):
                self._wait(parcel, at)
            case Release():
                self._wait(parcel, now)

    def next_wake(self, *, now: datetime, clock: float) -> float | None:
        """In how many seconds time alone changes what `due` or `take` would say; None: never."""
        waits = []
        if self._wakes and self._returns:
            waits.append((self._wakes[0][0] - now).total_seconds())
        if (self._ready or self._again) and (launch := self._next_launch(clock)) is not None:
            waits.append(launch - clock)
        return max(0.0, min(waits)) if waits else None

    def begin(self, *, clock: float) -> None:
        """Somebody else may have sent to it a moment ago: this program before a restart, another replica."""
        self._pace.fill(clock)

    def become(self, endpoint: Endpoint, window_bytes: int, *, clock: float, now: datetime) -> None:
        """Go on by other settings. What is in flight, and what the pace has counted, stay as they are."""
        self.endpoint, self.window_bytes = endpoint, window_bytes
        while self._again and not self._batches_go:
            parcel = self._take_again()
            assert parcel.batch is not None
            self._dissolved.add(parcel.batch)
            self._ahead.difference_update(row.seq for row in parcel.members)
            self._release_batch(parcel.batch, now)
        self.circuit.resize(endpoint.max_in_flight)
        self._unsettled_most = UNSETTLED * endpoint.max_in_flight
        self._pace.become(endpoint.rate.max_per_second, clock)

    # ------------------------------------------------------------------ helpers

    @property
    def _left(self) -> int:
        """Bytes that may still be taken in."""
        return self.window_bytes - self._bytes - self._again_bytes - self._out_bytes

    @property
    def _returns(self) -> int:
        """How many entities or batches may come back. They must find room, too, whatever they weigh; one may
        where there is any."""
        return min(self.room() // LINE_ROWS, max(self._left // LINE_BYTES, 1))

    def _take_again(self) -> Parcel:
        parcel = self._again.popleft()
        self._again_bytes -= parcel.weight
        return parcel

    def _may_go(self, clock: float) -> bool:
        """Is a slot free? While the store takes nothing, nothing more is sent: it would go again after a
        crash."""
        return self.unsettled < self._unsettled_most and self.in_flight < self.circuit.slots(clock)

    @property
    def _batches_go(self) -> bool:
        """Else what was bound by other settings goes alone: its form or URL may be one event's."""
        return self.endpoint.rate.batch_size > 1

    def _next_launch(self, clock: float) -> float | None:
        """From when on time alone lets a request go; None: something else has to happen first."""
        at = self.circuit.next_free()
        if at is None:
            return None
        at = max(at, clock)
        if not self._may_go(at):
            return None
        if self._pace.allowance(clock) >= 1:
            return at
        free = self._pace.next_free()
        return max(at, free) if free is not None else None

    def _meet(self, row: Stored, now: datetime) -> None:
        entity = row.delivery.entity
        line = self._lines.get(entity)
        if line is not None:
            self._queue(line, row)
        elif row.batch is not None and row.batch not in self._dissolved and self._batches_go:
            # Sent before a restart: the batch comes back as a whole, when it is due.
            self._parked[entity] = row.seq
            if row.batch not in self._batches:
                self._batches[row.batch] = set()
                self._wake(row.due_at or now, batch=row.batch)
            self._batches[row.batch].add(entity)
        elif row.due_at is not None and row.due_at > now:
            self._parked[entity] = row.seq
            self._wake(row.due_at, entity=entity)
        else:
            line = self._lines[entity] = _Line()
            self._queue(line, row)
            self._ready.append(entity)

    def _queue(self, line: _Line, row: Stored) -> None:
        if line.rest is None and len(line.rows) < LINE_ROWS:
            line.rows.append(row)
            self._rows += 1
            self._bytes += row.delivery.size
        elif line.rest is None:
            line.rest = row.seq

    def _next_parcel(self, allowance: float) -> Parcel:
        """One delivery; or, when more waits than the pace lets go singly, a batch (CONTRACT §5)."""
        size = self.endpoint.rate.batch_size if self._rows > allowance else 1
        if size == 1 or _was_sent(self._lines[self._ready[0]].rows[0]):
            # Tried alone, it is tried alone again: its own id, its own number of attempts.
            row = self._lines[self._ready.popleft()].rows.popleft()
            self._forget((row,))
            return Parcel(members=(row,))
        members: list[Stored] = []
        weight = ENVELOPE_BYTES
        while self._ready and len(members) < size:
            rows = self._lines[self._ready[0]].rows
            if members and _was_sent(rows[0]):
                break
            while rows and len(members) < size and self._fits(rows[0], weight, members):
                weight += len(rows[0].delivery.body) + 1
                members.append(rows.popleft())
            if members and members[-1].delivery.entity != self._ready[0]:
                break  # the next one does not fit any more
            self._ready.popleft()
        self._forget(members)
        members.sort(key=lambda row: row.seq)  # as the store gives them back: the same batch keeps its id
        if len(members) == 1:
            return Parcel(members=(members[0],))
        return Parcel(members=tuple(members), batch=batch_id(tuple(row.delivery.id for row in members)))

    def _fits(self, row: Stored, weight: int, members: Sequence[Stored]) -> bool:
        if not members:
            return True
        # What was stored before the settings changed may be in another form: a receiver reads a batch in one.
        alike = _form(row) == _form(members[0])
        return alike and weight + len(row.delivery.body) + 1 <= MAX_BODY_BYTES

    def _advance(self, parcel: Parcel, now: datetime) -> None:
        if parcel.batch is not None and parcel.batch in self._batches:
            self._release_batch(parcel.batch, now)
            return
        for entity in _entities(parcel.members):
            line = self._lines[entity]
            if line.rows:
                self._ready.append(entity)
                continue
            del self._lines[entity]
            if line.rest is not None:
                self._parked[entity] = line.rest
                self._wake(now, entity=entity)

    def _wait(self, parcel: Parcel, until: datetime) -> None:
        for entity in _entities(parcel.members):
            line = self._lines.pop(entity, None)
            if line is not None:
                self._forget(line.rows)
        for row in reversed(parcel.members):
            self._parked[row.delivery.entity] = row.seq
        if parcel.batch is None:
            self._wake(until, entity=parcel.members[0].delivery.entity)
        else:
            self._batches[parcel.batch] = set(_entities(parcel.members))
            self._wake(until, batch=parcel.batch)

    def _release_batch(self, batch: EventId, now: datetime) -> None:
        """The batch keeps nobody parked any more: what stands behind its members may come."""
        for entity in self._batches.pop(batch):
            self._wake(now, entity=entity)

    def _forget(self, rows: Iterable[Stored]) -> None:
        for row in rows:
            self._rows -= 1
            self._bytes -= row.delivery.size

    def _wake(self, at: datetime, *, entity: Entity | None = None, batch: EventId | None = None) -> None:
        self._wakes_made += 1  # breaks ties: entities and batches do not compare
        heapq.heappush(self._wakes, (at, self._wakes_made, entity, batch))


def _was_sent(row: Stored) -> bool:
    return row.attempts > 0 or row.batch is not None


def _form(row: Stored) -> str:
    return form_of(row.delivery.body, row.delivery.id)


def _entities(rows: Iterable[Stored]) -> Iterable[Entity]:
    """The entities of rows, each once, in order."""
    return dict.fromkeys([row.delivery.entity for row in rows])
