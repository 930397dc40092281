"""Recovery: what the rows themselves tell of changes that nobody watched.

    since ───────── the gap: nobody read ───────── until ──▶ the stream goes on

    came      its `_id` was made in the gap, and nothing was known of it
    changed   it differs from what was remembered; or, of rows that are not remembered, a stamp of its own
              (`updatedAt`) lies in the gap
    went      it was remembered, and is there no more

What came and went within the gap has left no trace. The law: a change that is found twice has the same id."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from watcher.core.changes import Change, ChangeId, Checkpoint, Document
from watcher.core.events import Entity, EventType
from watcher.core.memory import Remembered, differing
from watcher.core.views import Noise

MARGIN = timedelta(seconds=5)
"""Stamps are of LibreChat's clock, the gap is of MongoDB's. `check` calls a larger difference a problem."""

SAME = timedelta(seconds=2)
"""A stamp is taken a moment before the write that bears it, and an ObjectId's is a whole second."""

SECOND = timedelta(seconds=1)

CAME_WITH = timedelta(seconds=1)
"""Stamps of a row's first moment belong to its coming."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What was not read."""

    since: datetime
    """Stream time of the position that was lost: all before it had been read."""
    until: datetime
    """The stream goes on from here: all after it will be read."""
    earliest: datetime
    """Stamps from here on may be of the gap."""
    reason: str
    """Why the position was lost, in an operator's words."""

    @classmethod
    def between(cls, since: datetime, until: datetime, *, began: datetime | None, reason: str) -> Gap:
        """`began`: when this state began to watch. What was there before was never to be sent."""
        earliest = since - MARGIN if began is None else max(since - MARGIN, min(began, since))
        return cls(since=since, until=max(since, until), earliest=earliest, reason=reason)


Phase = Literal["found", "gone"]
"""First what is there, then what is there no more: nothing of a thing is told after its end."""

Stage = tuple[Phase, str]
"""A phase, and a collection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How far the repair of a gap has come. Stored with what it found, in one transaction."""

    gap: Gap
    stage: Stage | None = None
    """Under way; None before the first."""
    after: str | None = None
    """Where the next page of the stage begins, as the source (or the store, in `gone`) writes it."""
    rows: int = 0
    """Looked at so far."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Events found so far, by type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where capture stands."""

    checkpoint: Checkpoint
    through: datetime
    """Stream time: every change before it has been dealt with, but for those of a gap under repair."""
    began: datetime | None = None
    """Stream time of the first position ever; None where an earlier version did not note it."""
    recovery: Recovery | None = None
    """The repair of a gap that has to be finished before the stream is followed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """A field of a row that tells when these names of it were last written."""

    path: str
    """A date, or an ObjectId, which has one in it: `updatedAt`, `feedback._id`."""
    names: frozenset[str] | Literal["any"]
    """`any`: all that is no noise, and has no stamp of its own."""
    held: bool = False
    """It tells something only of rows of which a delivery is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What the rows of one collection tell of their changes."""

    stamps: tuple[Stamp, ...] = ()
    unstamped: frozenset[str] = frozenset()
    """Names that LibreChat at times writes without any stamp: only comparing tells."""
    noise: Noise = field(default_factory=Noise)

    @property
    def paths(self) -> Sequence[str]:
        return tuple(dict.fromkeys(stamp.path for stamp in self.stamps))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row as it was found."""

    collection: str
    id: str
    fields: Document

    @property
    def entity(self) -> Entity:
        return Entity(f"{self.collection}:{self.id}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the store knows of a row."""

    memory: Remembered | None = None
    told: datetime | None = None
    """When the newest change of it happened of which a delivery is stored."""
    held: bool = False
    """A delivery of it is held."""


def stages(collections: Sequence[str], *, remembered: Collection[str]) -> Sequence[Stage]:
    """What is to be looked at, in order. `collections`: those of things that others belong to come first, so
    that a conversation comes before its messages, and its end before theirs, which then went with it."""
    found: list[Stage] = [("found", name) for name in collections]
    return found + [("gone", name) for name in collections if name in remembered]


def resumed(recovery: Recovery, order: Sequence[Stage]) -> Recovery | None:
    """Where to go on with a repair; None: there is nothing to look at.

    With other settings than before, a phase whose stage is not known any more begins anew."""
    if recovery.stage in order:
        return recovery
    phase = recovery.stage[0] if recovery.stage else "found"
    stage = next((each for each in order if each[0] == phase), None) or next(iter(order), None)
    return replace(recovery, stage=stage, after=None) if stage else None


def next_stage(recovery: Recovery, order: Sequence[Stage]) -> Recovery | None:
    """The same repair at the stage behind; None: this was the last."""
    assert recovery.stage is not None
    following = next(iter(order[order.index(recovery.stage) + 1 :]), None)
    return replace(recovery, stage=following, after=None) if following else None


def advanced(
    recovery: Recovery, *, after: str | None, rows: int, events: Mapping[EventType, int]
) -> Recovery:
    """The repair, a page further."""
    counts = Counter(recovery.counts)
    counts.update(events)
    return replace(recovery, after=after, rows=recovery.rows + rows, counts=dict(counts))


def found(
    row: Row, gap: Gap, traces: Traces, known: Known, *, names: frozenset[str], exact: bool
) -> Sequence[Change]:
    """The changes that a row tells of, oldest first.

    `names`: what is remembered of rows of its collection; empty: nothing. `exact`: the row is as it was at
    the end of the gap; if not, later changes may be in it, of which the stream will tell as well."""
    memory = known.memory if known.memory and known.memory.exact_after <= gap.until else None
    if memory is not None and memory.exact_after <= gap.since:
        return _compared(row, gap, traces, memory, names)
    born = _born(row)
    if born is None or born < gap.earliest or known.told is not None:
        stamped = _stamped(row, gap, traces, known, since=None)
        if memory is None:
            return stamped
        # A scan saw it in the gap: what was written by then is stamped, and what was written later differs.
        compared = _compared(row, gap, traces, memory, names)
        earlier = [change for change in stamped if change.at <= memory.exact_after]
        return [*(each for each in earlier if each.id not in {other.id for other in compared}), *compared]
    if not exact and born > gap.until + MARGIN:
        return ()  # it came after the gap
    came = _change(row, "insert", born, "created", recovered=True)
    return [came, *_stamped(row, gap, traces, Known(), since=born + CAME_WITH)]


def gone(collection: str, document_id: str, memory: Remembered, gap: Gap) -> Change:
    """A row that was remembered, and is there no more. When it went is not known: by the end of the gap."""
    row = Row(collection=collection, id=document_id, fields=memory.row)
    return _change(row, "delete", gap.until, "deleted", recovered=True)


def came(row: Row) -> Change | None:
    """A row that exists, as the insert that it once was; None where it does not tell when (backfills)."""
    born = _born(row)
    return None if born is None else _change(row, "insert", born, "existing", recovered=False)


def moment_of(value: Any) -> datetime | None:
    """A date, or the time inside an ObjectId (its 24 hex digits).

    >>> moment_of("6b044d4a5965717e2ecc3a2f").isoformat()
    '2026-11-23T14:27:22+00:00'
    """
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else None
    if isinstance(value, str) and _OBJECT_ID.fullmatch(value):
        return datetime.fromtimestamp(int(value[:8], 16), UTC)
    return None


def moment_at(row: Document, path: str) -> datetime | None:
    """The moment at a (dotted) path of a row."""
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return moment_of(value)


_OBJECT_ID = re.compile("[0-9a-f]{24}")


def _born(row: Row) -> datetime | None:
    """When the row came: by its `_id`, never by `createdAt` alone, as imports and forks carry old dates."""
    made, stamped = moment_of(row.fields.get("_id")), moment_of(row.fields.get("createdAt"))
    if made is None:
        return stamped
    # An ObjectId tells the second; a date in just that second tells it to the millisecond.
    if stamped is not None and made <= stamped < made + SECOND:
        return stamped
    return made + SECOND - timedelta(milliseconds=1)


def _compared(
    row: Row, gap: Gap, traces: Traces, memory: Remembered, names: frozenset[str]
) -> Sequence[Change]:
    """What differs from what was remembered: exactly that was changed, be it stamped or not."""
    changed = differing(row.collection, row.fields, memory, names)
    if not changed:
        return ()
    moments = (moment_at(row.fields, path) for path in traces.paths)
    stamped = [moment for moment in moments if moment is not None and gap.earliest <= moment <= gap.until]
    at = max(stamped, default=gap.until)
    return [_update(row, at, changed, before=memory.row, vague=False)]


def _stamped(row: Row, gap: Gap, traces: Traces, known: Known, *, since: datetime | None) -> Sequence[Change]:
    """What the row's own stamps tell. `since`: the row came in the gap, with all that was written by then."""
    by_moment: dict[datetime, set[str]] = {}
    vague: set[datetime] = set()
    born = _born(row)
    own = {name for stamp in traces.stamps if stamp.names != "any" for name in stamp.names}
    for stamp in traces.stamps:
        moment = moment_at(row.fields, stamp.path)
        if moment is None or moment < (since or gap.earliest) or _was_told(moment, gap, known):
            continue
        if stamp.names == "any":
            if since is not None or (born is not None and moment <= born):
                continue  # it came as it is
            vague.add(moment)
            by_moment.setdefault(moment, set()).update(
                name for name in row.fields if name != "_id" and name not in own and name not in traces.noise
            )
        elif known.held or not stamp.held:
            by_moment.setdefault(moment, set()).update(stamp.names)
    return [
        _update(row, moment, names, before=None, vague=moment in vague)
        for moment, names in sorted(by_moment.items())
    ]


def _was_told(moment: datetime, gap: Gap, known: Known) -> bool:
    """Near the beginning of the gap: is it the change that was sent before it?"""
    return moment < gap.since and known.told is not None and known.told >= moment - SAME and not known.held


def _update(row: Row, at: datetime, names: Iterable[str], *, before: Document | None, vague: bool) -> Change:
    listed = sorted(names)
    return Change(
        id=_found_id(row, at, f"updated {(at - _EPOCH) // timedelta(milliseconds=1)}"),
        collection=row.collection,
        operation="update",
        at=at,
        document_id=row.id,
        before=before,
        after=row.fields,
        updated={name: row.fields[name] for name in listed if name in row.fields},
        removed=() if vague else tuple(name for name in listed if name not in row.fields),
        recovered=True,
        vague=vague,
    )


def _change(
    row: Row, operation: Literal["insert", "delete"], at: datetime, how: str, *, recovered: bool
) -> Change:
    return Change(
        id=_found_id(row, at, how),
        collection=row.collection,
        operation=operation,
        at=at,
        document_id=row.id,
        before=row.fields if operation == "delete" else None,
        after=row.fields if operation == "insert" else None,
        updated={},
        removed=(),
        recovered=recovered,
    )


def _found_id(row: Row, at: datetime, how: str) -> ChangeId:
    """An id in the form of a streamed change's: first, in hex, when it happened."""
    seconds = min(max(0, int(at.timestamp())), 2**32 - 1)
    return ChangeId(f"82{seconds:08X}00000000 {row.collection} {row.id} {how}")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
