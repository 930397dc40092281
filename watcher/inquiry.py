"""An inquiry: recorded changes explained one after the other, each seen in the light of those before it.

The law: marks and holds are carried along as in `run`. Stream time is that of the change at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from watcher.adapters.mongo.recording import Recorded
from watcher.adapters.mongo.trim import is_noise
from watcher.config.mappings import load_mappings
from watcher.config.settings import Settings
from watcher.core.changes import Change, Checkpoint
from watcher.core.deliveries import Delivery, Fate
from watcher.core.events import EventId
from watcher.core.explaining import Explanation, explain
from watcher.core.marks import Marks
from watcher.core.planning import Plan, anybody
from watcher.core.secrets import SECRET_COLLECTIONS
from watcher.testing import MemoryOutbox

FATES = 1_000
"""Of one row. A recording in which more is held of it at a time would be a strange one."""

Crossing = Literal["yes", "noise", "nobody listens"]
"""Does a change come through to us? MongoDB drops noise, and what is of collections nobody listens to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """A change that no mapping file speaks of."""

    place: str
    operation: str
    collection: str
    why: Literal["no row", "credentials", "no mapping"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A change, and what becomes of it."""

    place: str
    change: Change
    crosses: Crossing
    explanation: Explanation
    ended: tuple[Fate, ...]
    """What was held before and is so no longer, by this change or by the time that had passed."""


Answer = PassedOver | Explained


class Inquiry:
    """Explains one change after the other."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigError for bad mapping files."""
        mappings = load_mappings(settings.mapping_paths)
        self._mappings = {mapping.collection: mapping for mapping in mappings}
        self._endpoints = settings.endpoints
        self._plan = Plan.of(
            mappings, settings.endpoints or (anybody(mappings),), unfinished_hold=settings.unfinished_hold
        )
        self._marks = Marks()
        self._outbox = MemoryOutbox()
        self._held: dict[EventId, Delivery] = {}

    async def explain(self, recorded: Recorded) -> Answer:
        """What becomes of a change, after those that were explained before it."""
        collection = recorded.collection
        mapping = self._mappings.get(collection)
        change = recorded.change
        if mapping is None or change is None:
            credentials = collection in SECRET_COLLECTIONS
            return PassedOver(
                place=recorded.place,
                operation=recorded.operation,
                collection=collection,
                why="credentials" if credentials else "no row" if change is None else "no mapping",
            )
        explanation = explain(change, mapping, self._plan, self._endpoints, self._marks)
        ended = await self._carry_on(change, explanation)
        return Explained(
            place=recorded.place,
            change=change,
            crosses=self._crosses(recorded),
            explanation=explanation,
            ended=ended,
        )

    async def held(self) -> Sequence[Fate]:
        """What is held still after all that was explained, in the order in which its time ends."""
        fates = [await self._fate(delivery) for delivery in self._held.values()]
        return sorted(fates, key=lambda fate: (fate.held_until or fate.at, fate.id))

    def _crosses(self, recorded: Recorded) -> Crossing:
        noise = self._plan.noise
        if recorded.collection not in noise:
            return "nobody listens"
        return "noise" if is_noise(recorded.event, noise) else "yes"

    async def _carry_on(self, change: Change, explanation: Explanation) -> tuple[Fate, ...]:
        """Take note of what the change leaves behind; what it ended."""
        planned = explanation.planned
        checkpoint = Checkpoint(token=change.id, at=change.at)
        await self._outbox.append(planned.entries, checkpoint=checkpoint, through=change.at)
        self._marks = self._marks.joined(planned.marks, through=change.at)

        fates = [await self._fate(delivery) for delivery in self._held.values()]
        ended = tuple(fate for fate in fates if fate.state != "held")
        for fate in ended:
            del self._held[fate.id]
        self._outbox.take()
        for entry in planned.entries:
            if isinstance(entry, Delivery) and entry.hold is not None:
                self._held[entry.id] = entry
        return ended

    async def _fate(self, delivery: Delivery) -> Fate:
        fates = await self._outbox.fates(delivery.row, limit=FATES)
        # Our clock has nothing to do with when it would have been.
        return next(replace(fate, settled_at=None) for fate in fates if fate.id == delivery.id)
