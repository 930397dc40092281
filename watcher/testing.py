"""Public doubles that keep the ports' contracts; tests/contracts proves them beside the real ones.

`tail` stands on one of them: what it holds need not outlive it."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from watcher.core.attempts import KEPT, Attempt
from watcher.core.backfill import Backfill
from watcher.core.changes import Checkpoint, Document
from watcher.core.circuits import Standing
from watcher.core.deliveries import Delivery, Dossier, Fate, Lift, State, Stored
from watcher.core.events import Entity, EventId, EventType
from watcher.core.facts import Attempted, Fact, Settled
from watcher.core.figures import Attempts, Figure
from watcher.core.leases import LASTS, Lease, Look
from watcher.core.managing import AUDITED, AuditEntry, Registered, Sealed
from watcher.core.marks import Mark
from watcher.core.memory import Remembered, Scan, remembered
from watcher.core.outcomes import Answered, Outcome
from watcher.core.recovery import Known, Position, Recovery, Row, moment_at
from watcher.core.requests import Request
from watcher.core.searching import Wanted, change_part
from watcher.ports import ANYTHING, NOTHING_LEARNED, Batch, Counts, Found, Page, Settlement, always

F = TypeVar("F")


class FakeClock:
    """A `Clock` that stands still until it is advanced."""

    def __init__(self, now: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC)) -> None:
        self._now = now
        self._elapsed = timedelta(0)
        self._sleepers: list[tuple[timedelta, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed.total_seconds()

    async def sleep(self, span: timedelta) -> None:
        if span <= timedelta(0):
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._elapsed + span, woken))
        await woken

    def jitter(self) -> float:
        return 0.0

    def advance(self, span: timedelta) -> None:
        """Let time pass: whoever slept until then wakes."""
        self._elapsed += span
        for until, woken in self._sleepers:
            if until <= self._elapsed and not woken.done():
                woken.set_result(None)
        self._sleepers = [sleeper for sleeper in self._sleepers if not sleeper[1].done()]


class Facts:
    """An `Observer` in which tests wait for what happens instead of for time."""

    def __init__(self) -> None:
        self.seen: list[Fact] = []
        self._news = asyncio.Event()

    def __call__(self, fact: Fact) -> None:
        self.seen.append(fact)
        self._news.set()

    def of(self, kind: type[F]) -> list[F]:
        """Facts of a kind; or each `Attempted`, however many were settled together."""
        return [each for fact in self.seen for each in (fact, *_attempts(fact)) if isinstance(each, kind)]

    async def until(self, kind: type[F], count: int = 1) -> list[F]:
        """The first `count` facts of a kind, as soon as they are there."""
        async with asyncio.timeout(10):
            while len(self.of(kind)) < count:
                self._news.clear()
                await self._news.wait()
        return self.of(kind)[:count]


def _attempts(fact: Fact) -> Sequence[Attempted]:
    return fact.attempts if isinstance(fact, Settled) else ()


class RecordingSender:
    """A `Sender` that answers as told, and remembers what it was given."""

    def __init__(self, answer: Callable[[Request], Outcome] = lambda _: Answered(status=200)) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.open = asyncio.Event()
        """Cleared: requests hang until it is set again."""
        self.open.set()
        self.given = asyncio.Event()
        """Set as soon as there was a request."""

    async def send(self, request: Request, *, on_written: Callable[[], object] = lambda: None) -> Outcome:
        on_written()
        self.requests.append(request)
        self.given.set()
        await self.open.wait()
        return self.answer(request)


@dataclass
class ScriptedSource:
    """A `ChangeSource` over given batches, then quiet; it can break after some of them."""

    batches: Sequence[Batch]
    breaks: dict[int, Exception] = field(default_factory=dict)
    """Raised, once, after so many batches of the script."""
    opened_at: list[Checkpoint | None] = field(default_factory=list)
    after_each: Callable[[], object] = lambda: None
    """Called when a batch has been dealt with and the next is asked for."""
    hurried: Callable[[], bool] = always
    """Of who opened it last."""

    @asynccontextmanager
    async def open(
        self, checkpoint: Checkpoint | None, *, hurried: Callable[[], bool] = always
    ) -> AsyncIterator[AsyncIterator[Batch]]:
        self.hurried = hurried
        self.opened_at.append(checkpoint)
        if -1 in self.breaks:
            raise self.breaks.pop(-1)
        yield self._after(checkpoint)

    async def _after(self, checkpoint: Checkpoint | None) -> AsyncIterator[Batch]:
        tokens = [batch.checkpoint.token for batch in self.batches]
        start = tokens.index(checkpoint.token) + 1 if checkpoint and checkpoint.token in tokens else 0
        for number, batch in enumerate(self.batches):
            if number >= start:
                yield batch
                self.after_each()
                if number + 1 in self.breaks:
                    raise self.breaks.pop(number + 1)
        await asyncio.Event().wait()


class ScriptedRows:
    """A `RowSource` over given rows, in the order of their `_id`s as text; seen at a given time.

    It has no history: rows are always as they are now."""

    def __init__(self, *, seen_at: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC)) -> None:
        self.rows: dict[Entity, Document] = {}
        self.seen_at = seen_at
        self.refuse: Exception | None = None
        """Raised instead of the next page."""
        self.after_each: Callable[[], object] = lambda: None
        """Called when a page has been read."""

    async def page(self, collection: str, names: frozenset[str], *, after: str | None, limit: int) -> Page:
        self._may_read()
        mine = sorted(row for row in self.rows if row.partition(":")[0] == collection)
        left = [row for row in mine if after is None or row > after]
        self.after_each()
        return Page(
            rows={
                row: Remembered(
                    fields=remembered(collection, self.rows[row], names), exact_after=self.seen_at
                )
                for row in left[:limit]
            },
            after=left[limit - 1] if len(left) > limit else None,
            total=len(mine),
        )

    async def touched(
        self,
        collection: str,
        stamps: Sequence[str] | None,
        *,
        since: datetime,
        as_of: Checkpoint | None,
        after: str | None,
        limit: int,
    ) -> Found:
        self._may_read()
        found = [
            Row(collection=collection, id=row.partition(":")[2], fields=self.rows[row])
            for row in sorted(self.rows)
            if row.partition(":")[0] == collection
            and (stamps is None or _is_touched(self.rows[row], ("_id", *stamps), since))
        ]
        left = [row for row in found if after is None or row.id > after]
        self.after_each()
        more = len(left) > limit
        return Found(rows=left[:limit], after=left[limit - 1].id if more else None, exact=False)

    async def count(self, collection: str, *, since: datetime) -> int:
        mine = [row for row in self.rows if row.partition(":")[0] == collection]
        return sum(_is_touched(self.rows[row], ("_id",), since) for row in mine)

    async def existing(
        self, collection: str, ids: Sequence[str], *, as_of: Checkpoint | None
    ) -> frozenset[str]:
        self._may_read()
        return frozenset(each for each in ids if Entity(f"{collection}:{each}") in self.rows)

    def _may_read(self) -> None:
        if self.refuse is not None:
            error, self.refuse = self.refuse, None
            raise error


def _is_touched(row: Document, paths: Sequence[str], since: datetime) -> bool:
    moments = (moment_at(row, path) for path in paths)
    return any(moment is not None and moment >= since for moment in moments)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    stored: Stored
    state: State
    status: int | None = None
    reason: str | None = None
    attempted_at: datetime | None = None
    settled_at: datetime | None = None
    log: tuple[Attempt, ...] = ()


class MemoryOutbox:
    """An `Outbox` in memory: the contract in its plainest form."""

    def __init__(self) -> None:
        self._rows: dict[EventId, _Row] = {}
        self._last_seq = 0
        self._position: Position | None = None
        self._backfills: dict[str, Backfill] = {}
        self._marks: dict[tuple[Entity, Entity | None], Mark] = {}
        self._scans: dict[str, Scan] = {}
        self._memory: dict[Entity, Remembered] = {}
        self._standings: dict[str, Standing] = {}
        self._recalls: Counter[str] = Counter()
        self._registered = Registered()
        self._audit: list[AuditEntry] = []
        self._figures: dict[tuple[datetime, str, EventType], Attempts] = {}
        self._news = asyncio.Event()
        self.refuse: Exception | None = None
        """Raised instead of the next write."""

    async def position(self) -> Position | None:
        return self._position

    async def marks(self) -> Sequence[Mark]:
        return list(self._marks.values())

    async def append(
        self,
        entries: Sequence[Delivery | Lift],
        *,
        checkpoint: Checkpoint,
        through: datetime,
        marks: Sequence[Mark] = (),
        learned: Mapping[Entity, Remembered | None] = NOTHING_LEARNED,
        recovery: Recovery | None = None,
    ) -> int:
        self._may_write()
        lifted = {entry.key for entry in entries if isinstance(entry, Lift) and entry.by == "row"}
        held = [row for row in self._in(("held",)) if _until(row) <= through and _key(row) not in lifted]
        for row in sorted(held, key=lambda row: (_until(row), row.stored.seq)):
            self._let_go(row)
        new = 0
        for number, entry in enumerate(entries):
            if isinstance(entry, Lift):
                ahead = [later.id for later in entries[number:] if isinstance(later, Delivery)]
                self._lift(entry, ahead)
            else:
                new += self._enter(entry)
        self._marks |= {(mark.entity, mark.row): mark for mark in marks}
        for key, memory in learned.items():
            if key.partition(":")[0] in self._scans:
                self._memory.pop(key, None)
                if memory is not None:
                    self._memory[key] = memory
        last = self._position
        self._position = Position(
            checkpoint=replace(checkpoint, at=checkpoint.at or (last.checkpoint.at if last else None)),
            through=through,
            began=last.began if last else through,
            recovery=recovery,
        )
        self._news.set()
        return new

    async def memories(self, wanted: Mapping[str, frozenset[str]]) -> Sequence[Scan]:
        self._may_write()
        kept = {name: scan for name, scan in self._scans.items() if frozenset(scan.names) == wanted.get(name)}
        self._memory = {row: each for row, each in self._memory.items() if row.partition(":")[0] in kept}
        begun = {
            name: Scan(collection=name, names=tuple(sorted(names)))
            for name, names in wanted.items()
            if name not in kept
        }
        self._scans = dict(sorted((kept | begun).items()))
        return list(self._scans.values())

    async def recall(self, rows: Iterable[Entity]) -> Mapping[Entity, Remembered]:
        return {row: self._memory[row] for row in rows if row in self._memory}

    async def remember(self, rows: Mapping[Entity, Remembered], scan: Scan) -> None:
        self._may_write()
        if scan.collection in self._scans and self._scans[scan.collection].names == scan.names:
            self._memory = {**rows, **self._memory}
            self._scans[scan.collection] = scan

    async def remembered(
        self, collection: str, *, after: str | None, limit: int
    ) -> tuple[Mapping[Entity, Remembered], str | None]:
        mine = sorted(row for row in self._memory if row.partition(":")[0] == collection)
        page = [row for row in mine if after is None or row.partition(":")[2] > after][:limit]
        return (
            {row: self._memory[row] for row in page},
            page[-1].partition(":")[2] if len(page) == limit else None,
        )

    async def known(self, rows: Sequence[Entity]) -> Mapping[Entity, Known]:
        known = {row: Known(memory=self._memory[row]) for row in rows if row in self._memory}
        for each in self._rows.values():
            row, at = each.stored.delivery.row, each.stored.delivery.at
            if row in rows:
                before = known.get(row, Known())
                known[row] = replace(
                    before,
                    told=max(at, before.told) if before.told else at,
                    held=before.held or each.state == "held",
                )
        return known

    async def backfill(self, name: str) -> Backfill | None:
        return self._backfills.get(name)

    async def backfills(self) -> Sequence[Backfill]:
        return [each for _, each in sorted(self._backfills.items()) if not each.done]

    async def fill(self, deliveries: Sequence[Delivery], backfill: Backfill) -> int:
        self._may_write()
        new = sum(self._enter(delivery) for delivery in deliveries)
        self._backfills[backfill.name] = replace(backfill, stored=backfill.stored + new)
        self._news.set()
        return new

    async def pending(self, endpoint: str, *, after: int, limit: int, max_bytes: int) -> Sequence[Stored]:
        rows = [row for row in self._pending(endpoint) if row.seq > after]
        return _bounded(rows[:limit], max_bytes)

    async def pending_of(
        self, endpoint: str, entity: Entity, *, start: int, limit: int, max_bytes: int
    ) -> Sequence[Stored]:
        mine = [row for row in self._pending(endpoint) if row.delivery.entity == entity]
        return _bounded([row for row in mine if row.seq >= start][:limit], max_bytes)

    async def members(self, endpoint: str, batch: EventId) -> Sequence[Stored]:
        return [row for row in self._pending(endpoint) if row.batch == batch]

    async def bind(self, members: Sequence[Stored], batch: EventId) -> None:
        self._may_write()
        for member in members:
            row = self._rows[member.delivery.id]
            if row.state == "pending":
                self._put(replace(row, stored=replace(row.stored, batch=batch)))

    async def settle(self, settlements: Sequence[Settlement], *, hurried: bool = True) -> None:
        self._may_write()
        for settlement in settlements:
            row = self._rows.get(settlement.stored.delivery.id)
            if row is not None and row.state == "pending" and row.stored.seq == settlement.stored.seq:
                self._put(_after(row, settlement))

    async def appended(self, endpoint: str, *, after: int) -> None:
        while not any(row.seq > after for row in self._pending(endpoint)):
            self._news.clear()
            await self._news.wait()

    async def standings(self) -> Mapping[str, Standing]:
        return dict(self._standings)

    async def stand(
        self, endpoint: str, standing: Standing | None, *, replacing: str | None = ANYTHING
    ) -> bool:
        self._may_write()
        before = self._standings.get(endpoint)
        if replacing not in (ANYTHING, before.state if before is not None else None):
            return False
        self._standings.pop(endpoint, None)
        if standing is not None:
            self._standings[endpoint] = standing
        return True

    async def counts(self) -> dict[str, Counts]:
        numbers: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for row in self._rows.values():
            numbers[row.stored.delivery.endpoint][row.state] += 1
        return {endpoint: Counts(**states) for endpoint, states in numbers.items()}

    async def oldest(self) -> Mapping[str, datetime]:
        pending = [row.stored.delivery for row in self._in(("pending",))]
        return {delivery.endpoint: delivery.at for delivery in reversed(pending)}

    async def fates(self, row: Entity, *, limit: int) -> Sequence[Fate]:
        rows = sorted(self._rows.values(), key=lambda each: each.stored.seq)
        return [_fate(each) for each in rows if each.stored.delivery.row == row][-limit:]

    async def search(
        self, wanted: Wanted, *, after: EventId | None, limit: int, oldest_first: bool = False
    ) -> Sequence[Fate]:
        fates = sorted(self._wanted(wanted), key=lambda fate: fate.id, reverse=not oldest_first)
        beyond = [
            fate for fate in fates if after is None or (fate.id > after if oldest_first else fate.id < after)
        ]
        return beyond[:limit]

    async def number(self, wanted: Wanted) -> Mapping[State, int]:
        return Counter(fate.state for fate in self._wanted(wanted))

    async def dossier(self, identity: EventId) -> Dossier | None:
        row = self._rows.get(identity)
        if row is None:
            return None
        delivery = row.stored.delivery
        return Dossier(
            fate=_fate(row), entity=delivery.entity, row=delivery.row, body=delivery.body, attempts=row.log
        )

    async def replay(self, ids: Sequence[EventId]) -> Mapping[str, int]:
        self._may_write()
        settled = self._in(("delivered", "dead", "cancelled"))
        rows = [row for row in settled if row.stored.delivery.id in ids and not _fate(row).refused]
        for row in sorted(rows, key=lambda row: (change_part(row.stored.delivery.id), row.stored.seq)):
            self._last_seq += 1
            stored = Stored(
                seq=self._last_seq, delivery=row.stored.delivery, attempts=0, due_at=None, batch=None
            )
            self._put(_Row(stored=stored, state="pending", log=row.log))
        self._news.set()
        return Counter(row.stored.delivery.endpoint for row in rows)

    async def cancel(self, ids: Sequence[EventId], *, reason: str) -> Mapping[str, int]:
        self._may_write()
        rows = [row for row in self._in(("held", "pending")) if row.stored.delivery.id in ids]
        for row in rows:
            stored = replace(row.stored, due_at=None)
            now = datetime.now(UTC)
            self._put(replace(row, stored=stored, state="cancelled", settled_at=now, reason=reason))
        changed = Counter(row.stored.delivery.endpoint for row in rows)
        self._recalls.update(changed.keys())
        return changed

    async def recalls(self) -> Mapping[str, int]:
        return dict(self._recalls)

    async def revision(self) -> int:
        return self._registered.revision

    async def registered(self) -> Registered:
        return self._registered

    async def register(self, endpoint: Sealed, *, replacing: int | None, entry: AuditEntry) -> int | None:
        self._may_write()
        endpoints = {each.name.lower(): each for each in self._registered.endpoints}
        before = endpoints.get(endpoint.name.lower())
        if replacing != (before.revision if before is not None else None):
            return None
        revision = self._registered.revision + 1
        created_at = before.created_at if before is not None else endpoint.created_at
        endpoints[endpoint.name.lower()] = replace(endpoint, revision=revision, created_at=created_at)
        self._registered = Registered(revision=revision, endpoints=tuple(endpoints.values()))
        self._audit.append(entry)
        return revision

    async def deregister(self, name: str, *, replacing: int, entry: AuditEntry) -> bool:
        self._may_write()
        left = [each for each in self._registered.endpoints if each.name.lower() != name.lower()]
        gone = [each for each in self._registered.endpoints if each not in left]
        if [each.revision for each in gone] != [replacing]:
            return False
        self._registered = Registered(revision=self._registered.revision + 1, endpoints=tuple(left))
        self._audit.append(entry)
        return True

    async def note(self, entry: AuditEntry) -> None:
        self._may_write()
        self._audit.append(entry)

    async def audit(self, *, before: int | None, limit: int) -> Sequence[tuple[int, AuditEntry]]:
        numbered = list(enumerate(self._audit, start=1))[-AUDITED:]
        older = [each for each in numbered if before is None or each[0] < before]
        return older[::-1][:limit]

    async def tally(self, figures: Sequence[Figure]) -> None:
        self._may_write()
        for figure in figures:
            key = (figure.hour, figure.endpoint, figure.event)
            self._figures.setdefault(key, Attempts()).add(figure)

    async def figures(
        self, since: datetime, until: datetime, *, endpoint: str | None = None
    ) -> Sequence[Figure]:
        return [
            Figure(
                endpoint=name,
                event=event,
                hour=hour,
                delivered=made.delivered,
                failed=made.failed,
                durations=dict(made.durations),
            )
            for (hour, name, event), made in sorted(self._figures.items(), key=lambda each: each[0])
            if since <= hour < until and endpoint in (None, name)
        ]

    async def forget_figures(self, *, before: datetime, limit: int) -> int:
        self._may_write()
        old = sorted(key for key in self._figures if key[0] < before)[:limit]
        for key in old:
            del self._figures[key]
        return len(old)

    async def examine(self) -> None:
        pass  # memory is sound

    async def used_bytes(self) -> int:
        return sum(row.stored.delivery.size for row in self._rows.values())

    async def forget_rows(self, *, limit: int) -> int:
        return 0  # it keeps none that nobody wants

    async def forget(
        self, *, delivered_before: datetime, dead_before: datetime, marks_before: datetime, limit: int
    ) -> int:
        self._may_write()
        before = {"delivered": delivered_before, "cancelled": delivered_before, "dead": dead_before}
        old = [
            (row.settled_at, row)
            for row in self._in(tuple(before))
            if row.settled_at is not None and row.settled_at < before[row.state]
        ]
        for _, row in sorted(old, key=lambda each: each[0])[:limit]:
            del self._rows[row.stored.delivery.id]
        self._marks = {key: mark for key, mark in self._marks.items() if mark.at >= marks_before}
        return min(len(old), limit)

    def take(self) -> Sequence[Delivery]:
        """What is pending, of every endpoint, in order. Neither that nor what is settled is kept."""
        taken = [row.stored.delivery for row in self._in(("pending",))]
        self._rows = {row.stored.delivery.id: row for row in self._in(("held",))}
        return taken

    def _may_write(self) -> None:
        if self.refuse is not None:
            error, self.refuse = self.refuse, None
            raise error

    def _enter(self, entry: Delivery) -> int:
        self._last_seq += 1
        if entry.id in self._rows:
            return 0
        stored = Stored(seq=self._last_seq, delivery=entry, attempts=0, due_at=None, batch=None)
        state: State = "dead" if entry.refused else "held" if entry.hold else "pending"
        settled_at = datetime.now(UTC) if state == "dead" else None
        self._put(_Row(stored=stored, state=state, settled_at=settled_at, reason=entry.refused))
        return 1

    def _lift(self, lift: Lift, ahead: Sequence[EventId]) -> None:
        for row in sorted(self._in(("held",)), key=_until):
            delivery = row.stored.delivery
            if lift.key != (_key(row) if lift.by == "row" else delivery.entity) or delivery.id in ahead:
                continue
            if lift.to == "pending":
                self._let_go(row)
            else:
                self._put(replace(row, state="cancelled", settled_at=datetime.now(UTC), reason=lift.reason))

    def _let_go(self, row: _Row) -> None:
        self._last_seq += 1
        self._put(replace(row, stored=replace(row.stored, seq=self._last_seq), state="pending"))

    def _wanted(self, wanted: Wanted) -> list[Fate]:
        rows = self._rows.values()
        return [_fate(row) for row in rows if wanted.takes(row.stored.delivery, row.state)]

    def _put(self, row: _Row) -> None:
        self._rows[row.stored.delivery.id] = row

    def _in(self, states: tuple[str, ...]) -> list[_Row]:
        return sorted(
            (row for row in self._rows.values() if row.state in states), key=lambda row: row.stored.seq
        )

    def _pending(self, endpoint: str) -> list[Stored]:
        rows: Iterable[Stored] = (row.stored for row in self._in(("pending",)))
        return [_as_read(row) for row in rows if row.delivery.endpoint == endpoint]


def _bounded(rows: Sequence[Stored], max_bytes: int) -> Sequence[Stored]:
    total = 0
    for number, row in enumerate(rows, start=1):
        total += row.delivery.size
        if total >= max_bytes:
            return rows[:number]
    return rows


def _as_read(row: Stored) -> Stored:
    """What dispatch reads has no hold any more."""
    return replace(row, delivery=replace(row.delivery, hold=None))


def _key(row: _Row) -> str:
    assert row.stored.delivery.hold is not None
    return row.stored.delivery.hold.key


def _until(row: _Row) -> datetime:
    assert row.stored.delivery.hold is not None
    return row.stored.delivery.hold.until


def _fate(row: _Row) -> Fate:
    stored, delivery = row.stored, row.stored.delivery
    return Fate(
        id=delivery.id,
        endpoint=delivery.endpoint,
        event=delivery.event,
        at=delivery.at,
        state=row.state,
        attempts=stored.attempts,
        status=row.status,
        reason=row.reason,
        due_at=stored.due_at,
        held_until=delivery.hold.until if delivery.hold else None,
        attempted_at=row.attempted_at,
        settled_at=row.settled_at,
        user=delivery.user,
        conversation=delivery.conversation,
    )


def _after(row: _Row, settlement: Settlement) -> _Row:
    attempt = settlement.attempt
    return replace(
        row,
        stored=replace(row.stored, attempts=settlement.attempts, due_at=settlement.due_at),
        state=settlement.state,
        status=attempt.status,
        reason=attempt.reason,
        attempted_at=attempt.at,
        settled_at=settlement.settled_at,
        log=row.log if attempt in row.log else (*row.log, attempt)[-KEPT:],
    )


@dataclass(slots=True)
class Board:
    """What all replicas see: who lives until when, and who holds what until when."""

    clock: FakeClock = field(default_factory=FakeClock)
    alive: dict[str, datetime] = field(default_factory=dict)
    knows: dict[str, frozenset[str]] = field(default_factory=dict)
    held: dict[str, tuple[Lease, datetime]] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=lambda: defaultdict(int))


class MemoryLeases:
    """`Leases` of replicas that share a `Board`."""

    def __init__(self, replica: str, board: Board) -> None:
        self._replica = replica
        self._board = board
        self.refuse: Exception | None = None
        """Raised by each look, while it is set."""

    async def look(self, knows: Collection[str]) -> Look:
        if self.refuse is not None:
            raise self.refuse
        board, now = self._board, self._board.clock.now()
        until = now + LASTS
        board.alive[self._replica] = until
        board.knows[self._replica] = frozenset(knows)
        for name, (lease, _) in board.held.items():
            if lease.holder == self._replica:
                board.held[name] = lease, until
        live = {name: lease for name, (lease, end) in board.held.items() if end > now}
        return Look(
            replica=self._replica,
            replicas=frozenset(alive := [replica for replica, end in board.alive.items() if end > now]),
            knows={replica: board.knows[replica] for replica in alive},
            holders={name: lease.holder for name, lease in live.items()},
            mine=frozenset(lease for lease in live.values() if lease.holder == self._replica),
        )

    async def take(self, name: str) -> Lease | None:
        board = self._board
        if name in board.held and board.held[name][1] > board.clock.now():
            return None
        board.epochs[name] += 1
        lease = Lease(name=name, holder=self._replica, epoch=board.epochs[name])
        board.held[name] = lease, board.clock.now() + LASTS
        return lease

    async def give_back(self, lease: Lease) -> None:
        if self._board.held.get(lease.name, (None, None))[0] == lease:
            del self._board.held[lease.name]

    async def leave(self) -> None:
        self._board.alive.pop(self._replica, None)
        mine = [lease for lease, _ in self._board.held.values() if lease.holder == self._replica]
        for lease in mine:
            del self._board.held[lease.name]
