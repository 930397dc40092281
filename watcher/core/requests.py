"""A Request: what one attempt puts on the wire. Composed anew for each attempt from stored bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson

from watcher.core.cloudevents import BEGINNING, CONTENT_TYPE, cloud_batch
from watcher.core.deliveries import Delivery, Stored
from watcher.core.encoding import batch_body
from watcher.core.endpoints import Endpoint
from watcher.core.events import EventId, EventType
from watcher.core.forms import Address, Failed
from watcher.core.outcomes import Unsendable
from watcher.core.routes import DIRECT, Route
from watcher.core.signing import signature_headers
from watcher.core.swift import swift

USER_AGENT = "LibreChat-Webhooks/1.0"
BATCH = EventType("batch")


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """The deliveries that one request carries: one, or a batch with an id of its own."""

    members: tuple[Stored, ...]
    batch: EventId | None = None
    identity: EventId = field(init=False)
    """What receivers drop repeats by."""
    attempts: int = field(init=False)
    """Failed attempts so far; the members of a batch share them."""
    weight: int = field(init=False)
    """What it takes of memory, in bytes."""

    def __post_init__(self) -> None:
        first = self.members[0]
        self.identity = self.batch or first.delivery.id  # type: ignore[misc]
        self.attempts = first.attempts  # type: ignore[misc]
        self.weight = sum([row.delivery.size for row in self.members])  # type: ignore[misc]


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One POST, ready to send."""

    endpoint: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    timeout: timedelta
    route: Route = DIRECT


def compose(parcel: Parcel, endpoint: Endpoint, *, now: datetime) -> Request | Unsendable:
    """The request for the parcel's attempt now: the same bytes each time, another number and signature.

    Where URL or headers are made of the event they are made anew, so that a corrected one holds for all that
    waits; Unsendable where they cannot be."""
    first = parcel.members[0].delivery
    address = address_of(first, endpoint)
    if isinstance(address, Failed):
        return Unsendable(reason=f"{address.reason} (event {first.event})")
    if parcel.batch is None:
        event, body = first.event, first.body
    else:
        # A batch's time is its youngest member's, not `now`: the same batch must keep the same bytes.
        newest = max(member.delivery.at for member in parcel.members)
        bodies = [member.delivery.body for member in parcel.members]
        # By what is stored, not by the form of now: the same batch keeps its bytes when the settings change.
        together = cloud_batch if bodies[0].startswith(BEGINNING) else batch_body
        event, body = BATCH, together(bodies, at=newest, batch=parcel.batch)

    return Request(
        endpoint=endpoint.name,
        url=address.url,
        headers=(
            *_headers(endpoint, parcel.identity, event, body, attempt=parcel.attempts + 1, now=now),
            *address.headers,
        ),
        body=body,
        timeout=endpoint.timeout,
        route=endpoint.route,
    )


def address_of(delivery: Delivery, endpoint: Endpoint) -> Address | Failed:
    """Where it goes, as the endpoint stands now."""
    if endpoint.addressing is None:
        return Address(url=endpoint.url, headers=endpoint.headers)
    context = orjson.loads(delivery.context or delivery.body)
    if not isinstance(context, dict) or not context.keys() >= {"event", "data", "webhookId"}:
        return Failed(
            reason="url, headers: its event is not known, as they had no templates when it was stored"
        )
    return endpoint.addressing.address(context)


def _headers(
    endpoint: Endpoint, identity: EventId, event: EventType, body: bytes, *, attempt: int, now: datetime
) -> Sequence[tuple[str, str]]:
    headers = [
        # By the body itself: what was stored before the format changed goes as what it is.
        ("Content-Type", CONTENT_TYPE if body.startswith(BEGINNING) else "application/json"),
        ("X-Webhook-Event", event),
        ("X-Webhook-ID", identity),
        ("X-Webhook-Attempt", str(attempt)),
        ("User-Agent", USER_AGENT),
    ]
    if endpoint.secrets:
        headers += signature_headers(
            body, endpoint.secrets, endpoint.signing, identity=identity, seconds=int(now.timestamp())
        )
    return headers
