"""Deliveries as documents. Fields that say nothing are left out: there may be millions."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from bson import Binary, Int64

from watcher.adapters.records import attempt_of, attempt_text
from watcher.core.attempts import KEPT, Attempt
from watcher.core.deliveries import Delivery, Dossier, Fate, Stored
from watcher.core.entering import Held, New
from watcher.core.events import Entity, EventId, EventType
from watcher.core.settlements import Settlement

Document = dict[str, Any]

MILLISECOND = timedelta(milliseconds=1)

DUE = ("seq", "endpoint", "event", "entity", "row", "at", "attempts", "due_at", "batch", "body", "context")
"""What dispatch reads."""

FATE = (
    "endpoint",
    "event",
    "at",
    "state",
    "attempts",
    "status",
    "reason",
    "due_at",
    "held_until",
    "attempted_at",
    "settled_at",
    "user",
    "conversation",
)


def document_of(new: New, *, now: datetime) -> Document:
    delivery = new.delivery
    document: Document = {
        "_id": delivery.id,
        "seq": Int64(new.seq),
        "endpoint": delivery.endpoint,
        "event": delivery.event,
        "entity": delivery.entity,
        "row": delivery.row,
        "at": delivery.at,
        "state": new.state,
        "attempts": 0,
        "body": Binary(delivery.body),
    }
    if delivery.context is not None:
        document["context"] = Binary(delivery.context)
    if delivery.user is not None:
        document["user"] = delivery.user
    if delivery.conversation is not None:
        document["conversation"] = delivery.conversation
    if delivery.hold is not None:
        document |= {"hold_key": delivery.hold.key, "held_until": delivery.hold.until}
    if new.reason is not None:
        document |= {"reason": new.reason, "settled_at": now}
    return document


def change_of(settlement: Settlement, *, is_kept: bool) -> Document:
    """The update that settles a delivery. `is_kept`: its attempt is written already, by a transaction whose
    end was not heard of."""
    attempt = settlement.attempt
    values = {
        "state": settlement.state,
        "attempts": settlement.attempts,
        "due_at": settlement.due_at,
        "status": attempt.status,
        "reason": attempt.reason,
        "attempted_at": attempt.at,
        "took_ms": attempt.took // MILLISECOND,
        "settled_at": settlement.settled_at,
    }
    absent = {name: "" for name, value in values.items() if value is None}
    return {
        "$set": {name: value for name, value in values.items() if value is not None},
        **({"$unset": absent} if absent else {}),
        **({} if is_kept else {"$push": {"log": _pushed(attempt)}}),
    }


def _pushed(attempt: Attempt) -> Document:
    return {"$each": [json.loads(attempt_text(attempt))], "$slice": -KEPT}


def stored_of(document: Document) -> Stored:
    context, batch = document.get("context"), document.get("batch")
    return Stored(
        seq=int(document["seq"]),
        delivery=Delivery(
            id=EventId(document["_id"]),
            endpoint=document["endpoint"],
            event=EventType(document["event"]),
            entity=Entity(document["entity"]),
            row=Entity(document["row"]),
            at=document["at"],
            body=bytes(document["body"]),
            context=bytes(context) if context is not None else None,
        ),
        attempts=document["attempts"],
        due_at=document.get("due_at"),
        batch=EventId(batch) if batch is not None else None,
    )


def held_of(document: Document) -> Held:
    return Held(
        id=EventId(document["_id"]),
        endpoint=document["endpoint"],
        entity=Entity(document["entity"]),
        key=document["hold_key"],
        until=document["held_until"],
        seq=int(document["seq"]),
    )


def dossier_of(document: Document) -> Dossier:
    return Dossier(
        fate=fate_of(document),
        entity=Entity(document["entity"]),
        row=Entity(document["row"]),
        body=bytes(document["body"]),
        attempts=[attempt_of(each) for each in document.get("log", ())],
    )


def fate_of(document: Document) -> Fate:
    known = {name: document.get(name) for name in FATE}
    return Fate(id=EventId(document["_id"]), **known)  # type: ignore[arg-type]
