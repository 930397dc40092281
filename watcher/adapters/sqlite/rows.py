"""Deliveries as rows, and rows as deliveries. Each row has a checksum of what never changes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from watcher.adapters.records import attempt_text
from watcher.adapters.sqlite.checks import crc, demand
from watcher.adapters.sqlite.spots import spot
from watcher.adapters.times import MILLISECOND, from_ms, maybe_from_ms, to_ms
from watcher.core.deliveries import Delivery, State, Stored
from watcher.core.events import Entity, EventId, EventType
from watcher.core.settlements import Settlement


def new_row(seq: int, delivery: Delivery) -> Sequence[Any]:
    """The values of `statements.add`."""
    hold, at = delivery.hold, to_ms(delivery.at)
    return (
        seq,
        delivery.id,
        delivery.endpoint,
        delivery.event,
        delivery.entity,
        delivery.row,
        at,
        state_of(delivery),
        hold.key if hold else None,
        to_ms(hold.until) if hold else None,
        delivery.refused,
        to_ms(datetime.now(UTC)) if delivery.refused is not None else None,
        _crc(
            delivery.id,
            delivery.endpoint,
            delivery.event,
            delivery.entity,
            at,
            delivery.body,
            delivery.context,
        ),
        delivery.user,
        delivery.conversation,
        b"",
        spot(seq, delivery.entity),
    )


def state_of(delivery: Delivery) -> State:
    """In which it is stored."""
    return "dead" if delivery.refused is not None else "held" if delivery.hold else "pending"


def just_stored(seq: int, delivery: Delivery) -> Stored:
    """What the store would give of a new one that is pending."""
    return Stored(seq=seq, delivery=delivery, attempts=0, due_at=None, batch=None)


def settled_rows(settlements: Iterable[Settlement]) -> Iterator[Sequence[Any]]:
    """The values of `statements.settle`."""
    attempt, text = None, ""
    for each in settlements:
        if each.attempt is not attempt:  # those of a batch share one
            attempt, text = each.attempt, attempt_text(each.attempt)
        yield (
            each.stored.seq,
            each.state,
            each.attempts,
            to_ms(each.due_at),
            attempt.status,
            attempt.reason,
            to_ms(attempt.at),
            attempt.took // MILLISECOND,
            to_ms(each.settled_at),
            text,
        )


def bounded(rows: Iterable[Sequence[Any]], max_bytes: int) -> Sequence[Stored]:
    """The rows up to the one with which their bodies reach the bound: the rest is not even fetched."""
    found, total = [], 0
    for row in rows:
        found.append(stored(row))
        total += found[-1].delivery.size
        if total >= max_bytes:
            break
    return found


def stored(row: Sequence[Any]) -> Stored:
    """Raises OutboxBroken when it is not as it was stored."""
    seq, identity, endpoint, event, entity, of_row, at, attempts, due_at, batch, stored_crc, body, context = (
        row
    )
    sound = isinstance(body, bytes) and isinstance(context, bytes | None)
    # Rows of version 1 have none.
    demand(
        sound and stored_crc in (None, _crc(identity, endpoint, event, entity, at, body, context)),
        f"delivery {seq}",
    )
    delivery = Delivery(
        id=EventId(identity),
        endpoint=endpoint,
        event=EventType(event),
        entity=Entity(entity),
        row=Entity(of_row),
        at=from_ms(at),
        body=body,
        context=context,
    )
    return Stored(
        seq=seq,
        delivery=delivery,
        attempts=attempts,
        due_at=maybe_from_ms(due_at),
        batch=EventId(batch) if batch is not None else None,
    )


def _crc(
    identity: str, endpoint: str, event: str, entity: str, at: int | None, body: bytes, context: bytes | None
) -> int:
    """Of what never changes of a delivery. Those without a context have the one that version 2 gave them."""
    return crc(f"{identity}\n{endpoint}\n{event}\n{entity}\n{at}", body=body + (context or b""))
