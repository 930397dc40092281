"""How deliveries change in one transaction: added, let go, settled, replayed, cancelled; and their counts.

All of it runs in the writer's thread."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any

from watcher.adapters.sqlite import spots
from watcher.adapters.sqlite.rows import just_stored, new_row, settled_rows, state_of
from watcher.adapters.sqlite.statements import SQL, add, add_bodies, settle, split
from watcher.adapters.times import to_ms
from watcher.core.attempts import KEPT
from watcher.core.deliveries import Delivery, Lift, Stored
from watcher.core.events import Entity, EventId
from watcher.core.settlements import Settlement

Numbered = tuple[int, Delivery]
"""A delivery, and its `seq`."""


class Numbers:
    """The next `seq`, beside commands that store something, too."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._version = _version(db)
        self.last: int = db.execute(SQL["last_seq"]).fetchone()[0]

    def next(self) -> int:
        self.last += 1
        return self.last

    def look(self, db: sqlite3.Connection) -> None:
        """A command beside us may have stored deliveries: ours stand behind them, and not next to them."""
        version = _version(db)
        if version != self._version:
            self._version = version
            self.last = max(self.last, db.execute(SQL["last_seq"]).fetchone()[0]) + 1


class Changing:
    """What a transaction makes of deliveries."""

    def __init__(self, db: sqlite3.Connection, numbers: Numbers) -> None:
        numbers.look(db)
        self._db = db
        self._numbers = numbers
        self._tally: Counter[tuple[str, str]] = Counter()  # by endpoint and state
        self.after = numbers.last
        """The last `seq` that was given before."""
        self.new = 0
        self.upto = numbers.last
        """The last `seq` that was given, when all is done. Others of the group give more after it."""
        self.added: list[Stored] | None = []
        """What is pending by it, in order; None where that is not known without reading it."""

    def add(self, deliveries: Sequence[Delivery]) -> None:
        """Those that are already there are left as they are."""
        start = 0
        for size in split(len(deliveries)):
            chunk = deliveries[start : start + size]
            start += size
            numbered = [(self._numbers.next(), delivery) for delivery in chunk]
            values = list(chain.from_iterable(new_row(*each) for each in numbered))
            if self._db.execute(add(size), values).rowcount < size:
                numbered = self._those_that_are_new(numbered)
                self.added = None
            self._keep_bodies(numbered)
            spots.keep(self._db, numbered)
            self._tally.update((each.endpoint, state_of(each)) for _, each in numbered)
            self.new += len(numbered)
            if self.added is not None:
                self.added += [just_stored(seq, each) for seq, each in numbered if each.goes_at_once]

    def lift(self, lift: Lift, ahead: Sequence[EventId]) -> None:
        """End holds. `ahead`: ids of what is held that comes behind the lift."""
        held = SQL["held_of_row" if lift.by == "row" else "held_of_entity"]
        given = {"key": lift.key, "ahead": json.dumps(ahead)}
        if lift.to == "pending":
            self._let_go(held, given)
            return
        for seq, endpoint, *_ in self._db.execute(held, given).fetchall():
            self._db.execute(SQL["cancel"], {"seq": seq, "reason": lift.reason, "now": _now()})
            self._move(endpoint, "held", "cancelled")

    def end_holds(self, through: datetime, *, lifted: Sequence[str]) -> None:
        """Those that stream time has passed, but for those of rows that a lift names."""
        self._let_go(SQL["held_due"], {"through": to_ms(through), "lifted": json.dumps(lifted)})

    def settle(self, settlements: Sequence[Settlement]) -> None:
        """Those of deliveries that are not pending any more change nothing."""
        self._db.execute("SAVEPOINT settling")
        if self._settled(settlements) < len(settlements):
            # Somebody was faster with some; of which, nothing tells.
            self._db.execute("ROLLBACK TO settling")
            seqs = json.dumps([each.stored.seq for each in settlements])
            pending = {seq for (seq,) in self._db.execute(SQL["are_pending"], {"seqs": seqs})}
            settlements = [each for each in settlements if each.stored.seq in pending]
            self._settled(settlements)
        self._db.execute("RELEASE settling")
        self._tally.update((each.stored.delivery.endpoint, each.state) for each in settlements)
        self._tally.subtract((each.stored.delivery.endpoint, "pending") for each in settlements)

    def replay(self, ids: Sequence[EventId]) -> None:
        found = self._db.execute(SQL["to_replay"], {"ids": json.dumps(ids)}).fetchall()
        for seq, endpoint, identity, entity, state in found:
            self._renumber("replay", seq, identity, entity)
            self._move(endpoint, state, "pending")
        spots.clear(self._db, [seq for seq, *_ in found])

    def cancel(self, ids: Sequence[EventId], reason: str) -> None:
        given = {"ids": json.dumps(ids), "reason": reason, "now": _now()}
        for state in ("held", "pending"):
            for (endpoint,) in self._db.execute(SQL["cancel_all"], {**given, "state": state}).fetchall():
                self._move(endpoint, state, "cancelled")
        for endpoint in {endpoint for endpoint, _ in self._tally}:
            self._db.execute(SQL["recall"], {"endpoint": endpoint})
        self.added = None

    def forget(self, state: str, before: datetime, *, limit: int) -> int:
        """How many went."""
        given = {"state": state, "before": to_ms(before), "limit": limit}
        gone = self._db.execute(SQL["forget"], given).fetchall()
        self._tally.subtract((endpoint, state) for endpoint, state, _ in gone)
        if gone:
            seqs = [seq for *_, seq in gone]
            self._db.execute(SQL["forget_bodies"], {"seqs": json.dumps(seqs)})
            spots.forget(self._db, seqs)
            self._db.execute(SQL["keep_last_seq"], {"seq": self._numbers.last})
        return len(gone)

    def close(self) -> None:
        """The last thing that is done: write down how many there are now."""
        self.upto = self._numbers.last
        rows = [
            {"endpoint": endpoint, "state": state, "by": by}
            for (endpoint, state), by in self._tally.items()
            if by
        ]
        self._db.executemany(SQL["count"], rows)

    def became(self, wanted: str) -> Mapping[str, int]:
        """How many more are in a state, by endpoint."""
        return {endpoint: by for (endpoint, state), by in self._tally.items() if state == wanted and by > 0}

    def _those_that_are_new(self, numbered: Sequence[Numbered]) -> list[Numbered]:
        """The others were there already, under another `seq`."""
        given = {"first": numbered[0][0], "last": numbered[-1][0]}
        there = {seq for (seq,) in self._db.execute(SQL["are_there"], given)}
        return [each for each in numbered if each[0] in there]

    def _keep_bodies(self, numbered: Sequence[Numbered]) -> None:
        start = 0
        for size in split(len(numbered)):
            some = numbered[start : start + size]
            start += size
            values = [value for seq, each in some for value in (seq, each.body, each.context)]
            self._db.execute(add_bodies(size), values)

    def _settled(self, settlements: Sequence[Settlement]) -> int:
        """How many of them were pending."""
        rows, changed = settled_rows(settlements), 0
        for size in split(len(settlements)):
            values = [KEPT, *chain.from_iterable(islice(rows, size))]
            changed += self._db.execute(settle(size), values).rowcount
        return changed

    def _let_go(self, found: str, given: Mapping[str, Any]) -> None:
        held = self._db.execute(found, given).fetchall()
        for seq, endpoint, identity, entity in held:
            self._renumber("let_go", seq, identity, entity)
            self._move(endpoint, "held", "pending")
        spots.clear(self._db, [seq for seq, *_ in held])

    def _renumber(self, statement: str, seq: int, identity: EventId, entity: Entity) -> None:
        following = self._numbers.next()
        given = {"seq": seq, "next": following, "spot": spots.spot(following, entity)}
        self._db.execute(SQL[statement], given)
        self._db.execute(SQL["move_body"], given)
        self._db.execute(SQL["move_spots"], given)
        spots.widen(self._db, following, identity)
        self.added = None

    def _move(self, endpoint: str, before: str, after: str) -> None:
        self._tally[endpoint, before] -= 1
        self._tally[endpoint, after] += 1


def held_ids(entries: Iterable[Delivery | Lift]) -> Sequence[EventId]:
    return [entry.id for entry in entries if isinstance(entry, Delivery) and entry.hold is not None]


def runs(entries: Sequence[Delivery | Lift]) -> Iterable[Sequence[Delivery] | Lift]:
    """Deliveries that stand together, and the lifts between them, in their order."""
    run: list[Delivery] = []
    for entry in entries:
        if isinstance(entry, Lift):
            yield run
            yield entry
            run = []
        else:
            run.append(entry)
    yield run


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute(SQL["version"]).fetchone()[0]
    return version


def _now() -> int | None:
    return to_ms(datetime.now(UTC))
