"""Whole valid things; a test names only what it is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from watcher.config.settings import Settings, StateFile
from watcher.core.attempts import attempt_of
from watcher.core.changes import Change, ChangeId, Checkpoint
from watcher.core.deliveries import Delivery, Stored
from watcher.core.endpoints import Endpoint, Secret
from watcher.core.events import Entity, EventId, EventType
from watcher.core.facts import Attempted
from watcher.core.hiding import Hiding
from watcher.core.outcomes import Answered, Outcome
from watcher.core.requests import Parcel, Request, compose
from watcher.core.verdicts import Dead, Delivered, RetryAt, reason_of
from watcher.ports import Outbox, Settlement

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

DELIVERED = Delivered()

_numbers = count(1)


def state_file(settings: Settings) -> Path:
    """Where a state of one replica's own is."""
    assert isinstance(settings.state, StateFile)
    return settings.state.path


async def checkpoint_of(outbox: Outbox) -> Checkpoint | None:
    position = await outbox.position()
    return position.checkpoint if position is not None else None


def a_delivery(**fields: Any) -> Delivery:
    number = next(_numbers)
    return Delivery(
        **{
            "id": EventId(f"webhook_{number:040d}"),
            "endpoint": "crm",
            "event": EventType("message.created"),
            "entity": Entity("conversation:c1"),
            "row": Entity(f"messages:{number:024x}"),
            "at": NOON,
            "body": b'{"event":"message.created","number":%d}' % number,
            **fields,
        }
    )


def an_endpoint(**fields: Any) -> Endpoint:
    return Endpoint(
        **{
            "name": "crm",
            "url": "https://crm.example/hook",
            "secrets": (Secret(key=b"secret"),),
            "events": ("*",),
            **fields,
        }
    )


def a_change(**fields: Any) -> Change:
    number = next(_numbers)
    return Change(
        **{
            "id": ChangeId(f"826B044D47{number:08X}2B"),
            "collection": "messages",
            "operation": "insert",
            "at": NOON,
            "document_id": f"{number:024x}",
            "before": None,
            "after": {"messageId": f"m{number}", "conversationId": "c1", "user": "u1", "text": "hi"},
            "updated": {},
            "removed": (),
            **fields,
        }
    )


def a_request(parcel: Parcel, endpoint: Endpoint, *, now: datetime = NOON) -> Request:
    """What is sent of a parcel that can be sent."""
    request = compose(parcel, endpoint, now=now)
    assert isinstance(request, Request)
    return request


def a_checkpoint(token: str = "82AA", at: datetime | None = NOON) -> Checkpoint:
    return Checkpoint(token=token, at=at)


def a_settlement(
    stored: Stored,
    verdict: Delivered | RetryAt | Dead = DELIVERED,
    outcome: Outcome | None = None,
    *,
    at: datetime = NOON,
    endpoint: Endpoint | None = None,
) -> Settlement:
    return Settlement(
        stored=stored,
        verdict=verdict,
        attempt=attempt_of(
            outcome or Answered(status=200),
            Hiding(endpoint or an_endpoint()),
            at=at,
            took=timedelta(milliseconds=12),
            reason=reason_of(verdict),
        ),
    )


def an_attempt(**fields: Any) -> Attempted:
    return Attempted(
        **{
            "endpoint": "crm",
            "id": EventId("webhook_1"),
            "event": EventType("message.created"),
            "members": (EventId("webhook_1"),),
            "attempt": 1,
            "began": NOON,
            "outcome": Answered(status=200),
            "verdict": DELIVERED,
            "took": timedelta(milliseconds=1),
            "age": timedelta(seconds=1),
            **fields,
        }
    )
