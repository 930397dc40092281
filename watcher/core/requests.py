"""A Request: what one attempt puts on the wire. Composed anew for each attempt from stored bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from watcher.core.deliveries import Stored
from watcher.core.encoding import batch_body
from watcher.core.endpoints import Endpoint
from watcher.core.events import EventId, EventType
from watcher.core.routes import DIRECT, Route
from watcher.core.signing import SIGNATURE_HEADER, signature

USER_AGENT = "LibreChat-Webhooks/1.0"
BATCH = EventType("batch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """The deliveries that one request carries: one, or a batch with an id of its own."""

    members: tuple[Stored, ...]
    batch: EventId | None = None

    @property
    def attempts(self) -> int:
        """Failed attempts so far; the members of a batch share them."""
        return self.members[0].attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One POST, ready to send."""

    endpoint: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    timeout: timedelta
    route: Route = DIRECT


def compose(parcel: Parcel, endpoint: Endpoint) -> Request:
    """The request for the parcel's next attempt: the same bytes each time, another attempt number."""
    first = parcel.members[0].delivery
    if parcel.batch is None:
        identity, event, body = first.id, first.event, first.body
    else:
        # A batch's time is its youngest member's, not `now`: the same batch must keep the same bytes.
        newest = max(member.delivery.at for member in parcel.members)
        bodies = [member.delivery.body for member in parcel.members]
        identity, event, body = parcel.batch, BATCH, batch_body(bodies, at=newest, batch=parcel.batch)

    return Request(
        endpoint=endpoint.name,
        url=endpoint.url,
        headers=tuple(_headers(endpoint, identity, event, body, attempt=parcel.attempts + 1)),
        body=body,
        timeout=endpoint.timeout,
        route=endpoint.route,
    )


def _headers(
    endpoint: Endpoint, identity: EventId, event: EventType, body: bytes, *, attempt: int
) -> Sequence[tuple[str, str]]:
    headers = [
        ("Content-Type", "application/json"),
        ("X-Webhook-Event", event),
        ("X-Webhook-ID", identity),
        ("X-Webhook-Attempt", str(attempt)),
        ("User-Agent", USER_AGENT),
    ]
    if endpoint.secrets:
        headers.append((SIGNATURE_HEADER, signature(body, endpoint.secrets[0])))
    return [*headers, *endpoint.headers]
