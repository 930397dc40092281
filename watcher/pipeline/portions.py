"""Portions: a batch of changes in parts that a store can take in one transaction, and a pod in memory.

The law: a part is a batch like any other. It ends behind a change, with that change's own token, so that a
crash between two parts repeats nothing but the later ones; and its stream time is before all that follows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from watcher.core.changes import Change, Checkpoint, Document
from watcher.core.encoding import MAX_BODY_BYTES
from watcher.ports import Batch

PORTION_BYTES = 8 * 1024 * 1024
"""Of bodies for all endpoints together. A MongoDB with a small cache refuses transactions of some 50 MB,
and a slow line must carry one within seconds."""

ENVELOPE_BYTES = 500
"""What a body has besides the texts of its row, about."""


def portions(batch: Batch, *, receivers: int) -> Iterator[Batch]:
    """The batch in its order. `receivers`: how many endpoints may get each event."""
    changes, start, weight, images = batch.changes, 0, 0, 0
    for number, change in enumerate(changes):
        heavier = _weight(change) * max(1, receivers)
        if number > start and weight + heavier > PORTION_BYTES:
            last = changes[number - 1]
            yield replace(
                batch,
                changes=changes[start:number],
                checkpoint=Checkpoint(token=last.id, at=last.at),
                # A primary's clock steps back now and then: a later change may have happened before this one.
                through=min(batch.through, *(each.at for each in changes[number - 1 :])),
                weight=weight + images,
            )
            start, weight, images = number, 0, 0
        weight += heavier
        images += _length(change.before)
    yield replace(batch, changes=changes[start:], weight=weight + images)


def _weight(change: Change) -> int:
    """About how long its body will be."""
    return min(MAX_BODY_BYTES, ENVELOPE_BYTES + _length(change.after))


def _length(holder: Document | list[Any] | tuple[Any, ...] | None) -> int:
    """Of all texts in it together: what else rows have is small."""
    if holder is None:
        return 0
    length = 0
    for value in holder if isinstance(holder, (list, tuple)) else holder.values():
        if isinstance(value, str):
            length += len(value) if value.isascii() else len(value.encode(errors="replace"))
        elif isinstance(value, (dict, list, tuple)):
            length += _length(value)
    return length
