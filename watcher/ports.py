"""What the pipeline needs of the world outside, as obligations. Adapters keep them; `testing.py`
keeps them too, and one contract suite per port (tests/contracts) proves both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Protocol

from watcher.core.backfill import Backfill
from watcher.core.changes import Change, Checkpoint
from watcher.core.circuits import Standing
from watcher.core.deliveries import Delivery, Dossier, Fate, Lift, State, Stored
from watcher.core.events import Entity, EventId
from watcher.core.facts import Fact
from watcher.core.figures import Figure
from watcher.core.headroom import Reach
from watcher.core.leases import Lease, Look
from watcher.core.managing import AuditEntry, Registered, Sealed
from watcher.core.marks import Mark as Mark
from watcher.core.memory import Remembered, Scan
from watcher.core.outcomes import Outcome
from watcher.core.recovery import Known, Position, Recovery, Row
from watcher.core.requests import Request
from watcher.core.searching import Wanted
from watcher.core.settlements import Settlement as Settlement

ANYTHING = "*"
"""Whatever was there."""

NOTHING_LEARNED: Mapping[Entity, Remembered | None] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Changes read together, in commit order, and the position after them."""

    changes: tuple[Change, ...]
    checkpoint: Checkpoint
    through: datetime
    """Stream time: every change that happened before it has been yielded. Holds end by it, not by the wall
    clock: after an outage the change that ends a hold may still be waiting in the oplog."""
    imageless: frozenset[str] = frozenset()
    """Watched collections that keep no pre-images: a deletion there tells no more than an `_id`."""
    weight: int = field(default=0, compare=False)
    """About how many bytes its bodies will be for all endpoints together, with the rows before the changes; 0
    where nobody has looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Rows read together by a scan."""

    rows: Mapping[Entity, Remembered]
    after: str | None
    """Where the next page begins; None: this was the last one."""
    total: int
    """About how many rows the collection has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Rows read together by a recovery or a backfill, whole but for what never leaves MongoDB."""

    rows: Sequence[Row]
    after: str | None
    """Where the next page begins; None: this was the last one."""
    exact: bool
    """They are as they were at the asked-for position; if not, as they are now."""


class RowSource(Protocol):
    """The rows of a collection as they are now, a page at a time."""

    async def page(self, collection: str, names: frozenset[str], *, after: str | None, limit: int) -> Page:
        """The next rows in order of `_id`, of each the given top-level names, veiled as the memory is.

        Every row that is there before the first page and after the last one is in exactly one of them. Each
        is exact after a time of the server's clock at which the page had been read.
        Raises SourceUnavailable or SourceRefused."""
        ...

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
        """The next rows in order of `_id` that came since, or of which one of the stamps (paths to a date or
        an ObjectId) is not older. None: every row.

        As they were at a position of the stream, so that its changes follow upon them without a gap, where
        the server still can (`exact`); else, and with None, as they are now.
        Raises SourceUnavailable or SourceRefused."""
        ...

    async def count(self, collection: str, *, since: datetime) -> int:
        """About how many rows came since (by their `_id`). Raises SourceUnavailable or SourceRefused."""
        ...

    async def existing(
        self, collection: str, ids: Sequence[str], *, as_of: Checkpoint | None
    ) -> frozenset[str]:
        """Which of these rows (`_id` as text) are there. Raises SourceUnavailable or SourceRefused."""
        ...


def always() -> bool:
    return True


class ChangeSource(Protocol):
    def open(
        self, checkpoint: Checkpoint | None, *, hurried: Callable[[], bool] = always
    ) -> AbstractAsyncContextManager[AsyncIterator[Batch]]:
        """Stream every committed change after the checkpoint (None: from `startFrom`), in commit order.

        A quiet stream still yields empty batches, whose checkpoint moves with the server's clock: every few
        seconds, or as soon as may be while somebody waits for stream time (`hurried`, asked before each).
        The first batch comes at once, so that the position of a first start can be stored.
        Raises SourceUnavailable, SourceRefused or PositionLost, also in mid-stream."""
        ...


class Oplog(Protocol):
    async def reach(self, position: Checkpoint) -> Reach | None:
        """The oplog as it is now, and where the position lies in it; None where it may not be read.

        Raises SourceUnavailable or SourceRefused."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Deliveries of one endpoint, by state."""

    held: int = 0
    pending: int = 0
    delivered: int = 0
    dead: int = 0
    cancelled: int = 0


class Outbox(Protocol):
    """Deliveries and the checkpoint, stored together: the wall between capture and dispatch."""

    async def position(self) -> Position | None:
        """Where the last append left capture; None before the first start."""
        ...

    async def marks(self) -> Sequence[Mark]:
        """The marks of earlier appends, as they were last, but for those dropped by housekeeping."""
        ...

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
        """Store the entries, the marks, what was learned of rows (None: forgotten), and the position they
        came from in one transaction. `recovery`: the repair that has yet to go on from there.

        First, holds whose `until` is not after `through` become pending, but for those of rows that a Lift
        among the entries names: what the changes say of a row goes before what time says. Then the entries
        in their order: a Delivery gets the next `seq` (already there, same id: left as it is; `refused`:
        stored dead; `hold`: stored held); a Lift ends the holds of its row, or of its entity, but not of what
        comes behind it among the entries: on a repeat that is there already. A held delivery
        that becomes pending gets a new `seq` at that moment, so that it stands behind what was appended
        before. A mark takes the place of an earlier one with the same entity and row.
        Returns how many deliveries were new. Raises OutboxError; then nothing of it is stored."""
        ...

    async def memories(self, wanted: Mapping[str, frozenset[str]]) -> Sequence[Scan]:
        """Remember rows of just these collections, with just these names, from now on.

        How far each scan has come. One with other names than before, or that was not wanted for a while,
        begins anew; what was remembered for it is forgotten (housekeeping clears it away)."""
        ...

    async def recall(self, rows: Iterable[Entity]) -> Mapping[Entity, Remembered]:
        """What is known of those rows of which something is known."""
        ...

    async def remember(self, rows: Mapping[Entity, Remembered], scan: Scan) -> None:
        """Store a page of a scan, and how far it has come. Rows that are known already are left alone."""
        ...

    async def remembered(
        self, collection: str, *, after: str | None, limit: int
    ) -> tuple[Mapping[Entity, Remembered], str | None]:
        """The next rows that are remembered of a collection, and where the next page begins (None: nowhere).

        Each that is remembered before the first page and after the last is in exactly one of them."""
        ...

    async def known(self, rows: Sequence[Entity]) -> Mapping[Entity, Known]:
        """Of rows of which something is known: what is remembered, and what deliveries there are."""
        ...

    async def backfill(self, name: str) -> Backfill | None:
        """How far the backfill of this name has come; None for one that was never begun."""
        ...

    async def backfills(self) -> Sequence[Backfill]:
        """Those that have not come to their end, under way or stopped, in the order of their names."""
        ...

    async def fill(self, deliveries: Sequence[Delivery], backfill: Backfill) -> int:
        """Store a page of a backfill, and how far it has come, in one transaction.

        What is already there (same id) is left as it is. Returns how many were new."""
        ...

    async def pending(self, endpoint: str, *, after: int, limit: int, max_bytes: int) -> Sequence[Stored]:
        """The endpoint's pending deliveries with `seq > after`, in order: at most `limit`, and no more
        after those whose bodies together reach `max_bytes`.

        What another process stores may be missing until `appended` tells of it."""
        ...

    async def pending_of(
        self, endpoint: str, entity: Entity, *, start: int, limit: int, max_bytes: int
    ) -> Sequence[Stored]:
        """The pending deliveries of one entity with `seq >= start`, in order, bounded like `pending`."""
        ...

    async def members(self, endpoint: str, batch: EventId) -> Sequence[Stored]:
        """The pending deliveries bound to a batch, in order."""
        ...

    async def bind(self, members: Sequence[Stored], batch: EventId) -> None:
        """Remember, before its first attempt, which deliveries a batch carries."""
        ...

    async def settle(self, settlements: Sequence[Settlement], *, hurried: bool = True) -> None:
        """Write what became of attempts. A delivery that is no longer pending is left as it is.
        Not `hurried`: nobody waits for it, and it may share a transaction with what comes within 50 ms.

        Settled twice is settled once: a store that failed may have done what it is asked for again."""
        ...

    async def appended(self, endpoint: str, *, after: int) -> None:
        """Return as soon as the endpoint has a delivery with `seq > after` (at once if it has)."""
        ...

    async def standings(self) -> Mapping[str, Standing]:
        """Of endpoints that are not simply sent what there is: how they stand."""
        ...

    async def stand(
        self, endpoint: str, standing: Standing | None, *, replacing: str | None = ANYTHING
    ) -> bool:
        """Store how an endpoint stands; None: it is sent what there is.

        `replacing`: only if its state is this one (None: it has no standing). Whether it was stored."""
        ...

    async def counts(self) -> dict[str, Counts]:
        """Deliveries by endpoint and state."""
        ...

    async def oldest(self) -> Mapping[str, datetime]:
        """Of each endpoint that something is pending for: when the change of the first in order happened."""
        ...

    async def fates(self, row: Entity, *, limit: int) -> Sequence[Fate]:
        """What became of the newest `limit` deliveries that changes of a row (`<collection>:<_id>`) made, in
        the order of `seq`."""
        ...

    async def recalls(self) -> Mapping[str, int]:
        """How often something was cancelled that an endpoint was to be sent. It only grows."""
        ...

    async def examine(self) -> None:
        """Look through the whole store, beside everything else. Raises OutboxBroken when it is damaged."""
        ...

    async def used_bytes(self) -> int:
        """What is stored takes so much room. What was dropped, and can be written over, does not count."""
        ...

    async def forget_rows(self, *, limit: int) -> int:
        """Drop at most `limit` rows that nobody wants to remember any more; how many went."""
        ...

    async def forget(
        self, *, delivered_before: datetime, dead_before: datetime, marks_before: datetime, limit: int
    ) -> int:
        """Drop at most `limit` settled deliveries older than that, of each state the oldest first, and old
        marks; how many deliveries went."""
        ...


class LogReader(Protocol):
    """The log of deliveries, looked at. Raises OutboxError, and OutboxBroken where it is damaged."""

    async def search(
        self, wanted: Wanted, *, after: EventId | None, limit: int, oldest_first: bool = False
    ) -> Sequence[Fate]:
        """The next `limit` of those that are wanted, in the order of ids, the newest first.

        `after`: the id of the last one of the page before."""
        ...

    async def number(self, wanted: Wanted) -> Mapping[State, int]:
        """How many there are of those that are wanted, by state; without states of which there is none."""
        ...

    async def dossier(self, identity: EventId) -> Dossier | None:
        """All that is kept of one delivery."""
        ...


class Log(LogReader, Protocol):
    """The log of deliveries, as an operator puts right what went wrong."""

    async def replay(self, ids: Sequence[EventId]) -> Mapping[str, int]:
        """Send them again: those that were settled become pending, as if they had never been attempted,
        behind all that is pending, in the order in which they came at first. What is kept of attempts stays.

        Left as they are: what waits already, and what was refused (`Fate.refused`). How many it were of each
        endpoint."""
        ...

    async def cancel(self, ids: Sequence[EventId], *, reason: str) -> Mapping[str, int]:
        """Send them never: those held or pending become cancelled. How many it were of each endpoint.

        What dispatch holds in memory it hears of by `recalls`; what is under way still arrives."""
        ...


class Registry(Protocol):
    """Managed endpoints, and the audit list. Raises OutboxError, and OutboxBroken where it is damaged."""

    async def revision(self) -> int:
        """That of the whole set: another one when something of it has changed."""
        ...

    async def registered(self) -> Registered:
        """All managed endpoints."""
        ...

    async def register(self, endpoint: Sealed, *, replacing: int | None, entry: AuditEntry) -> int | None:
        """Store it and the entry in one transaction, with the next revision, which is returned.

        `replacing`: only if its revision is this one (None: if there is none of its name, in large or small
        letters). None: it is another one, and nothing is stored. `created_at` stays what it was."""
        ...

    async def deregister(self, name: str, *, replacing: int, entry: AuditEntry) -> bool:
        """Drop it, and store the entry, if its revision is this one. Whether it was."""
        ...

    async def note(self, entry: AuditEntry) -> None:
        """Store an entry of something else."""
        ...

    async def audit(self, *, before: int | None, limit: int) -> Sequence[tuple[int, AuditEntry]]:
        """The newest `limit` entries with their numbers, which grow; `before`: the number of one that they
        are older than. `AUDITED` of them are kept."""
        ...


class Sealing(Protocol):
    """Keeps a text secret from who reads the state."""

    def seal(self, text: str, *, name: str) -> bytes:
        """Encrypted for whom the name is of: under another name it does not open."""
        ...

    def opened(self, sealed: bytes, *, name: str) -> str:
        """Raises Unsealable."""
        ...

    def is_current(self, sealed: bytes) -> bool:
        """Was it sealed with the key that seals now?"""
        ...


class FiguresReader(Protocol):
    """Figures, looked at. Raises OutboxError, and OutboxBroken where they are damaged."""

    async def figures(
        self, since: datetime, until: datetime, *, endpoint: str | None = None
    ) -> Sequence[Figure]:
        """Those of hours that began at `since` or later, and before `until`, in the order of hour, endpoint
        and event. `endpoint`: of this one only."""
        ...


class Figures(FiguresReader, Protocol):
    """Figures, of all replicas together."""

    async def tally(self, figures: Sequence[Figure]) -> None:
        """Add them to what is stored, in one transaction.

        Raises OutboxError; then nothing of it is stored, or, where no answer came any more, all of it."""
        ...

    async def forget_figures(self, *, before: datetime, limit: int) -> int:
        """Drop at most `limit` of hours that began before, the oldest first; how many went."""
        ...


class StateReader(LogReader, FiguresReader, Protocol):
    """What commands look at in a state, beside a `run` or without one; empty where none was ever begun.

    Raises OutboxError, and OutboxBroken where it is damaged."""

    async def checkpoint(self) -> Checkpoint | None: ...

    async def standings(self) -> Mapping[str, Standing]: ...

    async def counts(self) -> Mapping[str, Counts]: ...

    async def fates(self, row: Entity, *, limit: int) -> Sequence[Fate]: ...

    async def registered(self) -> Registered: ...

    async def audit(self, *, before: int | None, limit: int) -> Sequence[tuple[int, AuditEntry]]: ...

    async def try_writing(self) -> None:
        """Find out whether `run` may write there, and leave everything as it is."""
        ...


class Leases(Protocol):
    """Who of several replicas does what."""

    async def look(self, knows: Collection[str]) -> Look:
        """Say that this replica lives and what it knows to do, renew what it holds, and see who else lives,
        knows and holds what.

        What is not renewed for `LASTS` is free. Raises OutboxError."""
        ...

    async def take(self, name: str) -> Lease | None:
        """Hold a lease that nobody holds, with the next epoch; None when somebody does.

        Whatever is written in the name of an earlier epoch after this is refused. Raises OutboxError."""
        ...

    async def give_back(self, lease: Lease) -> None:
        """Nobody holds it any more, unless another has taken it meanwhile. Raises OutboxError."""
        ...

    async def leave(self) -> None:
        """This replica is no more, and all that it held is free. Raises OutboxError."""
        ...


class Sender(Protocol):
    async def send(self, request: Request, *, on_written: Callable[[], object] = lambda: None) -> Outcome:
        """POST the request once: no redirect followed, no retry, whole attempt within its timeout.

        `on_written` is called as soon as there is a connection that it goes out on. Where it raises
        CancelledError nothing goes out, and `send` raises that.
        Never raises for what a receiver or the network does. Cancelling it cuts the attempt."""
        ...


class Clock(Protocol):
    def now(self) -> datetime:
        """The time of day, UTC. Stored and sent; may step."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step back. For spans only."""
        ...

    async def sleep(self, span: timedelta) -> None: ...

    def jitter(self) -> float:
        """A fair number in [0, 1)."""
        ...


class Tracer(Protocol):
    """What makes one trace of all that is done for an event, over restarts and replicas."""

    def headers(self, identity: EventId, attempt: int, began: datetime) -> Sequence[tuple[str, str]]:
        """What a request carries, so that its receiver can go on in the same trace."""
        ...

    def watched(self, outbox: Outbox) -> Outbox:
        """The same outbox, of which it notices what is appended."""
        ...


class Untraced:
    """No traces: nothing is sent along, nothing noticed."""

    def headers(self, identity: EventId, attempt: int, began: datetime) -> Sequence[tuple[str, str]]:
        return ()

    def watched(self, outbox: Outbox) -> Outbox:
        return outbox


UNTRACED = Untraced()


class Observer(Protocol):
    def __call__(self, fact: Fact, /) -> None:
        """Take note of a fact. Must not raise and must not block."""
        ...
