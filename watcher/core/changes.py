"""A Change: one write that MongoDB has committed, as plain Python values.

BSON stops in `adapters/mongo/decode.py`: here an ObjectId is its 24 hex digits, a date an aware
UTC `datetime`, a 64-bit integer an `int`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NewType

from watcher.core.swift import swift

Document = Mapping[str, Any]

Operation = Literal["insert", "update", "replace", "delete"]

ChangeId = NewType("ChangeId", str)
"""The resume token's `_data` (hex): unique per change, and the same on every replay. Of a change that was
found and not streamed: made of the row and of what was found (`core/recovery.py`), and as lasting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A position in the change stream from which nothing before needs to be read again."""

    token: str
    """A resume token's `_data` (hex)."""
    at: datetime | None
    """When the last change before it happened; None when only the server's clock moved it."""


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One committed insert, update, replace or delete of one document."""

    id: ChangeId
    collection: str
    operation: Operation
    at: datetime
    """The change's wallTime. Never createdAt: imports, forks and restores carry old dates."""
    document_id: str
    """`documentKey._id` as text."""
    before: Document | None
    """The row before the change; None for inserts and where MongoDB kept no pre-image."""
    after: Document | None
    """The row after the change; None for deletes and for rows that were gone when looked up."""
    updated: Document
    """`updateDescription.updatedFields`: new values by (dotted) path. Of a replace: the difference."""
    removed: Sequence[str]
    """`updateDescription.removedFields`: (dotted) paths."""
    recovered: bool = False
    """Nobody watched it happen: it was found in the rows after the position had been lost."""
    vague: bool = False
    """Of an update that was found: `updated` has all that may have changed, and what did is not known."""
    untold: Sequence[str] = ()
    """(Dotted) paths that the update wrote too, and nobody knows what: of an array that was only shortened,
    and of what is beyond 16 MB, MongoDB does not tell, and the row may be gone."""

    @property
    def written(self) -> Sequence[str]:
        """Every (dotted) path that the update wrote or removed."""
        return (*self.updated, *self.removed, *self.untold)
