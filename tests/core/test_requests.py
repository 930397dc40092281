"""What one attempt puts on the wire."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from watcher.core.deliveries import Delivery, Stored
from watcher.core.endpoints import Endpoint, Secret
from watcher.core.events import Entity, EventId, EventType, batch_id
from watcher.core.requests import Parcel, compose
from watcher.core.signing import verifies

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
KEYS = (Secret(key=b"new"), Secret(key=b"old"))
CRM = Endpoint(
    name="crm",
    url="https://crm.example/hook?token=t0p",
    secrets=KEYS,
    events=("*",),
    headers=(("X-Custom-Header", "custom-value"),),
)


def a_row(number: int, *, attempts: int = 0) -> Stored:
    identity = EventId(f"webhook_{number:040d}")
    delivery = Delivery(
        id=identity,
        endpoint="crm",
        event=EventType("message.created"),
        entity=Entity(f"conversation:{number}"),
        row=Entity(f"messages:{number}"),
        at=NOON + timedelta(seconds=number),
        body=b'{"event":"message.created","webhookId":"%s"}' % identity.encode(),
    )
    return Stored(seq=number, delivery=delivery, attempts=attempts, due_at=None, batch=None)


def test_a_single_delivery_goes_with_its_stored_bytes_and_the_documented_headers():
    row = a_row(1, attempts=2)

    request = compose(Parcel(members=(row,)), CRM, now=NOON)

    headers = dict(request.headers)
    assert request.body == row.delivery.body
    assert verifies(request.body, headers.pop("X-Webhook-Signature"), KEYS[:1])
    assert headers == {
        "Content-Type": "application/json",
        "X-Webhook-Event": "message.created",
        "X-Webhook-ID": row.delivery.id,
        "X-Webhook-Attempt": "3",
        "User-Agent": "LibreChat-Webhooks/1.0",
        "X-Custom-Header": "custom-value",
    }


def test_the_first_secret_signs_and_an_older_one_still_verifies():
    request = compose(Parcel(members=(a_row(1),)), CRM, now=NOON)

    rotated = replace(CRM, secrets=KEYS[1:])
    older = compose(Parcel(members=(a_row(1),)), rotated, now=NOON)

    signature = dict(request.headers)["X-Webhook-Signature"]
    assert not verifies(request.body, signature, KEYS[1:])
    assert verifies(older.body, dict(older.headers)["X-Webhook-Signature"], KEYS)


def test_without_a_secret_nothing_is_signed():
    request = compose(Parcel(members=(a_row(1),)), replace(CRM, secrets=()), now=NOON)

    assert "X-Webhook-Signature" not in dict(request.headers)


def test_a_batch_carries_the_bodies_whole_under_an_id_of_its_own():
    rows = (a_row(1), a_row(3), a_row(2))
    batch = batch_id(tuple(row.delivery.id for row in rows))

    request = compose(Parcel(members=rows, batch=batch), CRM, now=NOON)

    body = json.loads(request.body)
    assert list(body) == ["event", "timestamp", "data", "userId", "webhookId"]
    assert body["event"] == dict(request.headers)["X-Webhook-Event"] == "batch"
    assert body["webhookId"] == dict(request.headers)["X-Webhook-ID"] == batch
    assert body["timestamp"] == "2026-11-24T12:00:03.000Z"
    assert [event["webhookId"] for event in body["data"]["events"]] == [row.delivery.id for row in rows]
    assert all(row.delivery.body in request.body for row in rows)


def test_nothing_secret_is_printed():
    request = compose(Parcel(members=(a_row(1),)), CRM, now=NOON)

    printed = f"{request!r} {CRM!r}"

    for secret in ("t0p", "new", "custom-value", "sha256"):
        assert secret not in printed
