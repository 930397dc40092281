"""Recovery: the position was lost, so the rows themselves are asked what changed meanwhile.

    lost ──▶ a new position, and the gap before it, are stored ──▶ rows are read, page by page ──▶ stream
                                                                   what each tells, and how far: stored

The law: the stream goes on from the stored new position and from nowhere else. Cut off at any point, a
recovery goes on from its last page; what is found twice has the same id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, assert_never

from watcher.core.changes import Change, Checkpoint
from watcher.core.deliveries import Delivery
from watcher.core.events import Entity
from watcher.core.facts import PositionRestarted, Recovered, Recovering, RecoveryBegan
from watcher.core.marks import Marks
from watcher.core.memory import Remembered, remembered
from watcher.core.planning import Plan, refusals
from watcher.core.recovery import (
    Gap,
    Known,
    Recovery,
    advanced,
    found,
    gone,
    next_stage,
    resumed,
    stages,
)
from watcher.errors import NotRecognised, PositionLost
from watcher.pipeline.remembering import Memory
from watcher.ports import ChangeSource, Clock, Observer, Outbox, RowSource

OnPositionLost = Literal["recover", "fail", "restart"]

MANY = 50
"""Remembered rows of which none is there: fewer may well have gone within one gap."""

PAGE_ROWS = 500
"""Rows read, judged and stored together: a crash repeats no more than these."""


class Recoverer:
    """Repairs gaps, each to its end."""

    def __init__(
        self,
        source: ChangeSource,
        plan: Plan,
        outbox: Outbox,
        memory: Memory,
        rows: RowSource,
        *,
        until_room: Callable[[], Awaitable[None]],
        on_position_lost: OnPositionLost,
        clock: Clock,
        observe: Observer,
    ) -> None:
        """`source`: opened without a checkpoint, it must begin now. `until_room`: returns when the outbox may
        take more."""
        self._source = source
        self._plan = plan
        self._outbox = outbox
        self._memory = memory
        self._rows = rows
        self._until_room = until_room
        self._on_position_lost = on_position_lost
        self._clock = clock
        self._observe = observe

    async def lost(self, error: PositionLost) -> None:
        """Do what the operator chose for a lost position.

        Raises the error itself, if that is to stop; and what the source and the outbox raise."""
        match self._on_position_lost:
            case "recover":
                await self._begin(error)
            case "restart":
                await self._restart(error)
            case "fail":
                raise error
            case _:
                assert_never(self._on_position_lost)

    async def finish(self) -> None:
        """Go on with the repair that is under way, if one is, to its end.

        Raises what the source and the outbox raise; PositionLost, too, when the new position is lost."""
        position = await self._outbox.position()
        if position is None or position.recovery is None:
            return
        if self._on_position_lost == "restart":  # chosen since: what is not told yet will not be
            await self._tell_only(position.recovery.gap, position.checkpoint)
            return
        recovery, began = position.recovery, self._clock.monotonic()
        self._observe(
            RecoveryBegan(
                since=recovery.gap.since,
                until=recovery.gap.until,
                reason=recovery.gap.reason,
                resumed=recovery.stage is not None,
            )
        )
        async with self._source.open(position.checkpoint) as batches:
            await self._memory.begin((await anext(batches)).imageless)
        await self._recognise(position.checkpoint)
        order = stages(self._plan.collections, remembered=self._memory.wanted)
        marks = Marks.of(await self._outbox.marks())

        going: Recovery | None = resumed(recovery, order)
        if going is None:  # nothing is watched: endpoints for `watcher.gap` alone
            told, through = self._told(recovery, position.checkpoint), recovery.gap.until
            await self._outbox.append(told, checkpoint=position.checkpoint, through=through)
            for refusal in refusals(told):
                self._observe(refusal)
        while going is not None:
            recovery = going
            await self._until_room()
            async with self._memory.turn:
                page = await self._look(recovery, position.checkpoint)
                planned = self._plan.entries(page.changes, marks, recovering=True)
                marks = marks.joined(planned.marks, through=recovery.gap.since)
                recovery = advanced(recovery, after=page.after, rows=page.rows, events=planned.events)
                going = recovery if page.after is not None else next_stage(recovery, order)

                last = going is None
                gap_told = self._told(recovery, position.checkpoint) if last else ()
                await self._outbox.append(
                    (*planned.entries, *gap_told),
                    checkpoint=position.checkpoint,
                    through=recovery.gap.until if last else recovery.gap.since,
                    marks=planned.marks,
                    learned=page.learned,
                    recovery=going,
                )
            for fact in (*planned.facts, *refusals(gap_told)):
                self._observe(fact)
            self._observe(_progress(recovery))
        self._observe(
            Recovered(
                since=recovery.gap.since,
                until=recovery.gap.until,
                rows=recovery.rows,
                counts=recovery.counts,
                took=timedelta(seconds=self._clock.monotonic() - began),
            )
        )

    async def _begin(self, lost: PositionLost) -> None:
        """Store a new position, now, with the gap before it: to be repaired before the stream goes on."""
        checkpoint, gap = await self._gap(lost)
        # Stream time stands still meanwhile: the change that ends a hold may be one of those to be found.
        await self._outbox.append((), checkpoint=checkpoint, through=gap.since, recovery=Recovery(gap=gap))

    async def _restart(self, lost: PositionLost) -> None:
        """Store a new position, now, and tell of the gap before it: the operator's choice."""
        checkpoint, gap = await self._gap(lost)
        await self._tell_only(gap, checkpoint)

    async def _tell_only(self, gap: Gap, checkpoint: Checkpoint) -> None:
        await self._memory.forget()
        entries = self._plan.gap(gap, checkpoint, repaired=False, counts={})
        await self._outbox.append(entries, checkpoint=checkpoint, through=gap.until)
        for fact in refusals(entries):
            self._observe(fact)
        self._observe(PositionRestarted(since=gap.since, until=gap.until, reason=gap.reason))

    async def _gap(self, lost: PositionLost) -> tuple[Checkpoint, Gap]:
        """A new position, now, and what lies between the lost one and it."""
        position = await self._outbox.position()
        assert position is not None  # what was never stored cannot be lost
        async with self._source.open(None) as batches:
            first = await anext(batches)
        gap = Gap.between(position.through, first.through, began=position.began, reason=lost.why)
        return first.checkpoint, gap

    async def _recognise(self, position: Checkpoint) -> None:
        """Is this the database that was watched? Some of what is remembered must be there."""
        total = 0
        for collection in self._memory.wanted:
            after: str | None = None
            while True:
                memories, after = await self._outbox.remembered(collection, after=after, limit=PAGE_ROWS)
                ids = [row.partition(":")[2] for row in memories]
                if ids and await self._rows.existing(collection, ids, as_of=position):
                    return
                total += len(ids)
                if after is None:
                    break
        if total >= MANY:
            raise NotRecognised(
                f"The position was lost, and not one of {total} rows that are remembered is there any more.\n"
                "  If MONGO_URI names another database, correct it. If all was deleted on purpose, start\n"
                "  once with watcher.onPositionLost: restart, which tells of the gap and not of each row."
            )

    async def _look(self, recovery: Recovery, position: Checkpoint) -> _Look:
        assert recovery.stage is not None
        phase, collection = recovery.stage
        if phase == "found":
            return await self._look_at_rows(collection, recovery, position)
        return await self._look_for_rows(collection, recovery, position)

    async def _look_at_rows(self, collection: str, recovery: Recovery, position: Checkpoint) -> _Look:
        """What came, and what changed."""
        gap, traces = recovery.gap, self._plan.traces[collection]
        names = self._memory.wanted.get(collection, frozenset())
        everything = bool(names) and collection in self._plan.hidden
        page = await self._rows.touched(
            collection,
            None if everything else traces.paths,
            since=gap.earliest,
            as_of=position,
            after=recovery.after,
            limit=PAGE_ROWS,
        )
        known = await self._outbox.known([row.entity for row in page.rows])

        changes: list[Change] = []
        learned: dict[Entity, Remembered | None] = {}
        for row in page.rows:
            knows = known.get(row.entity, Known())
            changes += found(row, gap, traces, knows, names=names, exact=page.exact)
            # Of the time before the gap, not after it: were the position lost again, all since then is told.
            now = Remembered(fields=remembered(collection, row.fields, names), exact_after=gap.since)
            if names and (knows.memory is None or knows.memory.fields != now.fields):
                learned[row.entity] = now
        return _Look(changes=changes, learned=learned, rows=len(page.rows), after=page.after)

    async def _look_for_rows(self, collection: str, recovery: Recovery, position: Checkpoint) -> _Look:
        """What was remembered, and is there no more."""
        memories, after = await self._outbox.remembered(collection, after=recovery.after, limit=PAGE_ROWS)
        ids = {row: row.partition(":")[2] for row in memories}
        there = await self._rows.existing(collection, list(ids.values()), as_of=position) if ids else ids
        # What a scan saw after the gap came after it, if it was not there at its end: the stream tells of it.
        went = [
            row
            for row, memory in memories.items()
            if ids[row] not in there and memory.exact_after <= recovery.gap.until
        ]
        return _Look(
            changes=[gone(collection, ids[row], memories[row], recovery.gap) for row in went],
            learned=dict.fromkeys(went),
            rows=len(memories),
            after=after,
        )

    def _told(self, recovery: Recovery, position: Checkpoint) -> Sequence[Delivery]:
        return self._plan.gap(recovery.gap, position, repaired=True, counts=recovery.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What a page of rows told."""

    changes: Sequence[Change]
    learned: Mapping[Entity, Remembered | None]
    rows: int
    after: str | None


def _progress(recovery: Recovery) -> Recovering:
    assert recovery.stage is not None
    phase, collection = recovery.stage
    events = sum(recovery.counts.values())
    return Recovering(phase=phase, collection=collection, rows=recovery.rows, events=events)
