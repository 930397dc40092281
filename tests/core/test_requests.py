"""What one attempt puts on the wire."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from tests.builders import a_request
from watcher.config.templates.trees import Faults, read_addressing
from watcher.core.bodies import Bodies
from watcher.core.changes import ChangeId
from watcher.core.deliveries import Delivery, Stored
from watcher.core.endpoints import Endpoint, Secret
from watcher.core.events import Entity, Event, EventId, EventType, batch_id
from watcher.core.forms import CloudEvents
from watcher.core.outcomes import Unsendable
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

    request = a_request(Parcel(members=(row,)), CRM)

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
    request = a_request(Parcel(members=(a_row(1),)), CRM)

    rotated = replace(CRM, secrets=KEYS[1:])
    older = a_request(Parcel(members=(a_row(1),)), rotated)

    signature = dict(request.headers)["X-Webhook-Signature"]
    assert not verifies(request.body, signature, KEYS[1:])
    assert verifies(older.body, dict(older.headers)["X-Webhook-Signature"], KEYS)


def test_without_a_secret_nothing_is_signed():
    request = a_request(Parcel(members=(a_row(1),)), replace(CRM, secrets=()))

    assert "X-Webhook-Signature" not in dict(request.headers)


def test_a_batch_carries_the_bodies_whole_under_an_id_of_its_own():
    rows = (a_row(1), a_row(3), a_row(2))
    batch = batch_id(tuple(row.delivery.id for row in rows))

    request = a_request(Parcel(members=rows, batch=batch), CRM)

    body = json.loads(request.body)
    assert list(body) == ["event", "timestamp", "data", "userId", "webhookId"]
    assert body["event"] == dict(request.headers)["X-Webhook-Event"] == "batch"
    assert body["webhookId"] == dict(request.headers)["X-Webhook-ID"] == batch
    assert body["timestamp"] == "2026-11-24T12:00:03.000Z"
    assert [event["webhookId"] for event in body["data"]["events"]] == [row.delivery.id for row in rows]
    assert all(row.delivery.body in request.body for row in rows)


def test_a_cloud_event_goes_as_what_it_is():
    cloud = replace(CRM, form=CloudEvents())
    row = a_row(1)
    body = b'{"specversion":"1.0","id":"webhook_1"}'
    event = replace(row, delivery=replace(row.delivery, body=body))

    request = a_request(Parcel(members=(event,)), cloud)
    stored_before = a_request(Parcel(members=(row,)), cloud)

    assert (request.body, dict(request.headers)["Content-Type"]) == (body, "application/cloudevents+json")
    assert dict(stored_before.headers)["Content-Type"] == "application/json"


def test_a_batch_of_cloud_events_is_one_that_carries_them_verbatim():
    cloud = replace(CRM, form=CloudEvents())
    bodies = [
        Bodies(Event(
            type=EventType("user.login"), change=ChangeId("82"), at=NOON, entity=Entity("user:u1"),
            user_id="u1", data={"n": number},
        )).of(cloud, EventId(f"webhook_{number}")).content
        for number in range(3)
    ]  # fmt: skip
    rows = [
        replace(a_row(n), delivery=replace(a_row(n).delivery, body=body)) for n, body in enumerate(bodies)
    ]

    request = a_request(Parcel(members=tuple(rows), batch=EventId("webhook_batch")), cloud)

    headers = dict(request.headers)
    read = from_http_event(HTTPMessage(headers={"content-type": headers["Content-Type"]}, body=request.body))
    assert (read.get_type(), read.get_id(), read.get_source()) == ("batch", "webhook_batch", "/librechat")
    assert read.get_time() == NOON + timedelta(seconds=2)
    assert headers["X-Webhook-Event"] == "batch"
    assert verifies(request.body, headers["X-Webhook-Signature"], KEYS[:1])
    assert b'"data":{"events":[%b]}}' % b",".join(bodies) in request.body


def test_a_batch_keeps_its_bytes_when_the_form_changes():
    rows, batch = (a_row(1), a_row(2)), EventId("webhook_batch")

    before = a_request(Parcel(members=rows, batch=batch), CRM)
    after = a_request(Parcel(members=rows, batch=batch), replace(CRM, form=CloudEvents()))

    assert before.body == after.body
    assert dict(after.headers)["Content-Type"] == "application/json"


def an_addressed_endpoint(**fields):
    faults: Faults = []
    url, headers = "https://crm.example/{{ userId }}", {"X-Of": "{{ data.of }}", "X-Custom-Header": "c"}
    addressing = read_addressing(url, headers, faults)
    assert not faults
    return replace(CRM, url=url, headers=tuple(headers.items()), addressing=addressing, **fields)


def a_told_row(*, context=None, **event):
    told = {"event": "user.login", "timestamp": "t", "data": {"of": "x"}, "userId": "u/1", "webhookId": "w"}
    body = json.dumps({**told, **event}).encode()
    row = a_row(1)
    return replace(row, delivery=replace(row.delivery, body=body, context=context))


def test_url_and_headers_are_made_of_the_event_at_each_attempt():
    request = a_request(Parcel(members=(a_told_row(),)), an_addressed_endpoint())

    assert request.url == "https://crm.example/u%2F1"
    assert request.headers[-2:] == (("X-Of", "x"), ("X-Custom-Header", "c"))


def test_where_the_body_does_not_tell_the_event_its_context_does():
    row = a_told_row(context=a_told_row(userId="u2").delivery.body, text="hi")

    assert a_request(Parcel(members=(row,)), an_addressed_endpoint()).url == "https://crm.example/u2"


def test_what_cannot_be_addressed_is_not_sent_and_says_why():
    missing = compose(Parcel(members=(a_told_row(data={}),)), an_addressed_endpoint(), now=NOON)
    unknown = compose(Parcel(members=(a_row(1),)), an_addressed_endpoint(), now=NOON)

    assert missing == Unsendable(reason="headers.X-Of: data.of is undefined (event message.created)")
    assert isinstance(unknown, Unsendable)
    assert "its event is not known" in unknown.reason


def test_nothing_secret_is_printed():
    request = a_request(Parcel(members=(a_row(1),)), CRM)

    printed = f"{request!r} {CRM!r}"

    for secret in ("t0p", "new", "custom-value", "sha256"):
        assert secret not in printed
