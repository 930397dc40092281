"""Spots: numbers by which deliveries of a user, a conversation or an entity are found among millions.

In an index by the text itself each new row is on a page of its own, all of which a commit writes. A spot is
the epoch of a delivery (so many `seq` in turn), above a checksum of the text: those of an epoch stand close
together, at the end of the index.

The law: spots are of the epoch in which the delivery's `seq` is, and move with it. Table `epochs` has every
epoch in which there is a delivery, and their ids are within its bounds. So people's searches look into epochs
in the order of their best ids, until none can hold a better one than those found: each time into twice as
many, as whoever has few is in none of most. Texts may have a checksum in common: the text itself is looked
at, too."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from watcher.adapters.sqlite.statements import SQL, add_spots, split
from watcher.core.deliveries import Delivery
from watcher.core.events import EventId
from watcher.core.searching import Wanted

EPOCH = 4_096
"""How many `seq` make an epoch. A page of whoever has all of them is reading one epoch or two (1 to 2 ms); of
whoever has few, a look into each epoch (244 of a million deliveries: half a ms)."""


def spot(seq: int, text: str | None) -> int | None:
    """Of a text in a delivery that is stored with this `seq`."""
    return None if text is None else seq // EPOCH << 32 | _checksum(text)


def keep(db: sqlite3.Connection, numbered: Sequence[tuple[int, Delivery]]) -> None:
    """Those of new deliveries, each of which comes with its `seq`; but for their entities', in their rows."""
    ids, rows = defaultdict[int, list[EventId]](list), list[tuple[int, int | None, int | None]]()
    for seq, each in numbered:
        ids[seq // EPOCH].append(each.id)
        if each.user is not None or each.conversation is not None:
            rows.append((seq, spot(seq, each.user), spot(seq, each.conversation)))
    start = 0
    for size in split(len(rows)):
        db.execute(add_spots(size), list(chain.from_iterable(rows[start : start + size])))
        start += size
    for epoch, some in ids.items():
        db.execute(SQL["keep_epoch"], {"epoch": epoch, "first_id": min(some), "last_id": max(some)})


def widen(db: sqlite3.Connection, seq: int, identity: EventId) -> None:
    """Have the bounds of the epoch of a `seq` hold this id, too."""
    db.execute(SQL["keep_epoch"], {"epoch": seq // EPOCH, "first_id": identity, "last_id": identity})


def forget(db: sqlite3.Connection, seqs: Sequence[int]) -> None:
    """Those of deliveries that are no more."""
    db.execute(SQL["forget_spots"], {"seqs": json.dumps(seqs)})
    clear(db, seqs)


def clear(db: sqlite3.Connection, seqs: Sequence[int]) -> None:
    """Drop epochs that have no delivery any more, of those in which something was."""
    epochs = {seq // EPOCH for seq in seqs}
    if epochs:
        db.execute(SQL["forget_epochs"], {"epochs": json.dumps(sorted(epochs)), "size": EPOCH})


def page(
    db: sqlite3.Connection,
    wanted: Wanted,
    clauses: str,
    given: Mapping[str, Any],
    *,
    limit: int,
    oldest_first: bool,
) -> Sequence[EventId]:
    """Ids of a user or of a conversation, in order. `clauses`: all that is asked of a delivery."""
    best, order = ("first_id", "ASC") if oldest_first else ("last_id", "DESC")
    zone = _zone(given, oldest_first=oldest_first)
    epochs = f"SELECT epoch, {best} FROM epochs WHERE TRUE{zone} ORDER BY {best} {order}"  # noqa: S608 (constants and parameters)
    text, given = _found("id", wanted, clauses, given)
    text += f" AND epoch IN (SELECT value FROM json_each(:epochs)) ORDER BY id {order} LIMIT :limit"  # noqa: S608

    found, left, some = list[EventId](), db.execute(epochs, given).fetchall(), 1
    while left and not (len(found) == limit and _is_better(found[-1], left[0][1], oldest_first=oldest_first)):
        looked_into = json.dumps([epoch for epoch, _ in left[:some]])
        rows = db.execute(text, {**given, "epochs": looked_into, "limit": limit})
        found = sorted([*found, *(identity for (identity,) in rows)], reverse=not oldest_first)[:limit]
        left, some = left[some:], 2 * some
    return found


def number(
    db: sqlite3.Connection, wanted: Wanted, clauses: str, given: Mapping[str, Any]
) -> Mapping[Any, int]:
    """How many there are in each state."""
    text, given = _found("state, count(*)", wanted, clauses, given)
    return dict(db.execute(f"{text}{_zone(given)} GROUP BY state", given).fetchall())


def _found(
    what: str, wanted: Wanted, clauses: str, given: Mapping[str, Any]
) -> tuple[str, Mapping[str, Any]]:
    """A conversation leads, where both are asked for: it has fewer than its user."""
    column, text = "user_spot", wanted.user
    if wanted.conversation is not None:
        column, text = "conversation_spot", wanted.conversation
    return SQL["spotted"].format(what=what, column=column) + clauses, {
        **given,
        "checksum": _checksum(text or ""),
    }


def _zone(given: Mapping[str, Any], *, oldest_first: bool = False) -> str:
    """Which epochs may hold an id within the bounds that are given."""
    bounds = {
        "first": "last_id >= :first",
        "beyond": "first_id < :beyond",
        "after": "last_id > :after" if oldest_first else "first_id < :after",
    }
    return "".join(f" AND {clause}" for name, clause in bounds.items() if name in given)


def _is_better(one: str, other: str, *, oldest_first: bool) -> bool:
    return one < other if oldest_first else one > other


def _checksum(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))
