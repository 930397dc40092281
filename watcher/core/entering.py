"""Entering: what an append makes of the deliveries that are there, worked out before anything is written.

For stores whose statements cannot say it. In this order: holds whose time is over, then the entries one by
one; each delivery that becomes pending gets the next `seq`, so that it stands behind all that came before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from watcher.core.deliveries import Delivery, Lift, State
from watcher.core.events import Entity, EventId


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A held delivery, as far as it matters for its end."""

    id: EventId
    endpoint: str
    entity: Entity
    key: str
    until: datetime
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """A delivery to be stored."""

    delivery: Delivery
    seq: int
    state: State
    reason: str | None = None
    """Why it is dead, or cancelled, from the start."""


@dataclass(slots=True)
class Entered:
    """What is to be written."""

    last_seq: int
    new: dict[EventId, New] = field(default_factory=dict)
    let_go: dict[EventId, int] = field(default_factory=dict)
    """Held ones that are pending from now on, and their new `seq`."""
    cancelled: dict[EventId, str] = field(default_factory=dict)
    """Held ones that will never be sent, and why."""
    tally: Counter[tuple[str, State]] = field(default_factory=Counter)
    """How the numbers of deliveries change, by endpoint and state."""
    held: dict[EventId, Held] = field(default_factory=dict)
    """Those that are held still."""


def entered(
    entries: Sequence[Delivery | Lift],
    *,
    held: Iterable[Held],
    there: Collection[EventId],
    last_seq: int,
    through: datetime,
) -> Entered:
    """`held`: at least those whose time is over, and those that a lift names. `there`: at least those of the
    entries' deliveries that are stored already: they stay as they are. `last_seq`: the greatest so far."""
    done = Entered(last_seq=last_seq, held={each.id: each for each in held})

    lifted = {entry.key for entry in entries if isinstance(entry, Lift) and entry.by == "row"}
    over = [each for each in done.held.values() if each.until <= through and each.key not in lifted]
    for each in sorted(over, key=lambda each: (each.until, each.seq)):
        _let_go(each, done)

    ahead = Counter(entry.id for entry in entries if isinstance(entry, Delivery))
    for entry in entries:
        if isinstance(entry, Lift):
            _lift(entry, +ahead, done)
        else:
            ahead[entry.id] -= 1
            _enter(entry, there, done)
    return done


def _enter(delivery: Delivery, there: Collection[EventId], done: Entered) -> None:
    if delivery.id in there or delivery.id in done.new:
        return
    done.last_seq += 1
    refused = delivery.refused is not None
    state: State = "dead" if refused else "held" if delivery.hold else "pending"
    done.new[delivery.id] = New(delivery=delivery, seq=done.last_seq, state=state, reason=delivery.refused)
    done.tally[delivery.endpoint, state] += 1
    if state == "held" and delivery.hold is not None:
        done.held[delivery.id] = Held(
            id=delivery.id,
            endpoint=delivery.endpoint,
            entity=delivery.entity,
            key=delivery.hold.key,
            until=delivery.hold.until,
            seq=done.last_seq,
        )


def _lift(lift: Lift, ahead: Collection[EventId], done: Entered) -> None:
    meant = [
        each
        for each in done.held.values()
        if lift.key == (each.key if lift.by == "row" else each.entity) and each.id not in ahead
    ]
    for each in sorted(meant, key=lambda each: (each.until, each.seq) if lift.by == "entity" else each.seq):
        if lift.to == "pending":
            _let_go(each, done)
        else:
            _cancel(each, lift.reason, done)


def _let_go(each: Held, done: Entered) -> None:
    done.last_seq += 1
    if each.id in done.new:
        done.new[each.id] = replace(done.new[each.id], seq=done.last_seq, state="pending")
    else:
        done.let_go[each.id] = done.last_seq
    _hold_ended(each, "pending", done)


def _cancel(each: Held, reason: str, done: Entered) -> None:
    if each.id in done.new:
        done.new[each.id] = replace(done.new[each.id], state="cancelled", reason=reason)
    else:
        done.cancelled[each.id] = reason
    _hold_ended(each, "cancelled", done)


def _hold_ended(each: Held, state: State, done: Entered) -> None:
    del done.held[each.id]
    done.tally[each.endpoint, "held"] -= 1
    done.tally[each.endpoint, state] += 1
