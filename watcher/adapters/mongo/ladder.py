"""The ladder: with how much less a change is asked for when it is too large, and what is left out then.

MongoDB ends the cursor at a change beyond 16 MB (code 10334), again at each resume. Most such changes are so
large by the row before them; a row alone is never too large for a `find`.
The law: no expression here may fail, whatever the document, and what is left out is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from watcher.adapters.mongo.decode import RawEvent
from watcher.adapters.mongo.trim import Stage, touched_paths

BATCH_CHANGES = 200
"""Changes asked for at once. Decoding them stalls the loop for at most 10 ms; and a stream that has a backlog
gathers 16 MB before it answers when it is not asked for less (MongoDB 6.0.5)."""

LARGE_BYTES = 16_384
"""Fields of a thin image are smaller. Ids, names, titles, ratings are, by far; and with a thousand fields of
this size an image is still no more than 16 MB."""


def _thin_images() -> Stage:
    image = "$fullDocumentBeforeChange"
    fields = {"$objectToArray": {"$ifNull": [image, {}]}}
    size = {"$bsonSize": {"v": "$$this.v"}}  # it measures objects only
    large = {"$filter": {"input": fields, "cond": {"$gte": [size, LARGE_BYTES]}}}
    small = {"$filter": {"input": fields, "cond": {"$lt": [size, LARGE_BYTES]}}}
    return {
        "$set": {
            "leftOut": {"$map": {"input": large, "in": "$$this.k"}},
            "fullDocumentBeforeChange": {
                "$cond": [{"$eq": [{"$type": image}, "object"]}, {"$arrayToObject": small}, "$$REMOVE"]
            },
        }
    }


def _names_only() -> Stage:
    kept = ("operationType", "ns", "documentKey", "wallTime", "clusterTime")
    return {"$project": {**dict.fromkeys(kept, 1), "written": touched_paths()}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How much is asked for."""

    changes: int = 1
    images: bool = True
    stages: tuple[Stage, ...] = ()
    """Behind all others."""


STEPS = (
    Step(changes=BATCH_CHANGES),
    Step(),  # what comes before the large one loses nothing by it
    Step(stages=(_thin_images(),)),
    Step(images=False, stages=(_names_only(),)),
)
"""Down one step whenever a change is too large; back to the top when it has been passed."""


class Ladder:
    """Where on it a stream stands."""

    def __init__(self) -> None:
        self._at = 0
        self._alone = 0  # changes read one at a time since the last that was too large

    @property
    def step(self) -> Step:
        return STEPS[self._at]

    def down(self) -> bool:
        """Ask for less; False where there is no less."""
        if self._at + 1 == len(STEPS):
            return False
        self._at, self._alone = self._at + 1, 0
        return True

    def passed(self, changes: int) -> bool:
        """So many changes were read: is the large one behind, and everything to be asked for again?"""
        self._alone += changes
        # One that came with others may not be too large alone.
        if self._at == 0 or self._alone < (BATCH_CHANGES if self._at == 1 else 1):
            return False
        self._at = 0
        return True


def left_out(event: RawEvent) -> Sequence[str]:
    """What was not read of the row before a change, or (`*`) of all that belongs to it."""
    names: Any = event.get("leftOut") or ()
    return ("*",) if "written" in event else tuple(names)
