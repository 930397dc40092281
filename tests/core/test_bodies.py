"""Bodies in each form: what CloudEvents demands, what a transform gives, and what is kept where it fails."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import NOON, an_endpoint
from watcher.config.mappings import load_mappings
from watcher.core.bodies import Bodies, Body
from watcher.core.catalogue import catalogue
from watcher.core.changes import ChangeId
from watcher.core.encoding import MAX_BODY_BYTES
from watcher.core.endpoints import Endpoint
from watcher.core.events import Entity, Event, EventId, EventType
from watcher.core.forms import Address, Addressing, CloudEvents, Failed, Filled, Transform
from watcher.core.privacy import Privacy, hashed
from watcher.core.samples import sample_event

ID = EventId("webhook_0123456789")
KEY = b"key"


def an_event(**fields: Any) -> Event:
    return Event(
        **{
            "type": EventType("message.created"),
            "change": ChangeId("82" + "0" * 16),
            "at": NOON,
            "entity": Entity("conversation:c1"),
            "user_id": "u1",
            "data": {"text": "hi", "conversationId": "c1"},
            **fields,
        }
    )


def a_transform(fill: Any) -> Transform:
    return Transform(name="transform", source="as written", fill=fill)


def cloud(**fields: Any) -> Endpoint:
    return an_endpoint(form=CloudEvents(), **fields)


def parsed(body: bytes) -> BaseCloudEvent:
    """As the reference library reads it; it raises for whatever the specification forbids."""
    message = HTTPMessage(headers={"content-type": "application/cloudevents+json"}, body=body)
    return from_http_event(message)


# ---------------------------------------------------------------- CloudEvents


def test_a_cloud_event_has_its_attributes_in_this_order() -> None:
    body = Bodies(an_event()).of(cloud(), ID)

    assert json.loads(body.content) == {
        "specversion": "1.0",
        "id": ID,
        "source": "/librechat",
        "type": "message.created",
        "time": "2026-11-24T12:00:00.000Z",
        "subject": "c1",
        "datacontenttype": "application/json",
        "userid": "u1",
        "data": {"text": "hi", "conversationId": "c1"},
    }
    assert list(json.loads(body.content))[:2] == ["specversion", "id"]
    assert list(json.loads(body.content))[-1] == "data"


def test_the_reference_library_reads_the_sample_of_every_event() -> None:
    for entry in catalogue(load_mappings()):
        for told in entry.samples:
            event = sample_event(entry, told=told)
            read = parsed(Bodies(event).of(cloud(), ID).content)

            assert (read.get_id(), read.get_type(), read.get_time()) == (ID, entry.event, event.at)
            assert read.get_extension("userid") == event.user_id
            documented = json.loads(Bodies(event).of(an_endpoint(), ID).content)
            assert read.get_data() == documented["data"]


@pytest.mark.parametrize("odd", [None, "", "a\x00b", "a\nb", "\x9f", "\ufffe", "x" * 2_000])
def test_an_attribute_that_the_specification_forbids_is_left_out(odd: str | None) -> None:
    event = an_event(user_id=odd, entity=Entity(f"conversation:{odd or ''}"))

    attributes = json.loads(Bodies(event).of(cloud(), ID).content)

    assert "userid" not in attributes
    assert "subject" not in attributes
    parsed(json.dumps(attributes).encode())


def test_what_is_hidden_is_hidden_in_the_attributes_too() -> None:
    hashing = cloud(privacy=Privacy(hash=("userId", "conversationId"), key=KEY))
    omitting = cloud(privacy=Privacy(omit=("userId", "conversationId")))

    hashed_ = json.loads(Bodies(an_event()).of(hashing, ID).content)
    omitted = Bodies(an_event()).of(omitting, ID).content

    assert (hashed_["subject"], hashed_["userid"]) == (hashed("c1", KEY), hashed("u1", KEY))
    assert hashed_["data"]["conversationId"] == hashed_["subject"]
    assert b'"c1"' not in omitted
    assert b'"u1"' not in omitted


@settings(deadline=None)
@given(text=st.text(max_size=30), user=st.text(max_size=20), size=st.sampled_from([1, 100_000, 2_000_000]))
def test_any_event_makes_a_good_cloud_event_of_bounded_size(text: str, user: str, size: int) -> None:
    event = an_event(user_id=user, data={"text": (text or "ü") * (size // max(1, len(text)))})

    content = Bodies(event).of(cloud(), ID).content

    assert len(content) <= MAX_BODY_BYTES
    parsed(content)


# ---------------------------------------------------------------- transforms


def test_a_transform_is_filled_from_the_documented_body_as_the_endpoint_may_know_it() -> None:
    seen: list[Any] = []

    def fill(context: Any) -> Filled:
        seen.append(context)
        return Filled(value={"ratio": 1.0, "7": None})

    hiding = an_endpoint(form=a_transform(fill), privacy=Privacy(omit=("text",), hash=("userId",), key=KEY))
    event = an_event(data={"text": "hi", "at": NOON, "n": 1.0})

    body = Bodies(event).of(hiding, ID)

    assert body == Body(content=b'{"7":null,"ratio":1}')
    assert seen == [
        {
            "event": "message.created",
            "timestamp": "2026-11-24T12:00:00.000Z",
            "data": {"at": "2026-11-24T12:00:00.000Z", "n": 1},
            "userId": hashed("u1", KEY),
            "webhookId": ID,
        }
    ]


def test_where_a_transform_fails_the_documented_body_is_kept_with_the_reason() -> None:
    failing = an_endpoint(form=a_transform(lambda context: Failed(reason="transform: data.x is undefined")))
    hiding = replace(failing, privacy=Privacy(omit=("text",)))

    body = Bodies(an_event()).of(failing, ID)
    private = Bodies(an_event()).of(hiding, ID)

    assert body.refused == "transform: data.x is undefined (event message.created)"
    assert body.content == Bodies(an_event()).of(an_endpoint(), ID).content
    assert json.loads(private.content)["data"] == {"conversationId": "c1"}, "what is hidden stays so"


def test_a_transform_that_gives_more_than_a_body_may_have_fails() -> None:
    huge = an_endpoint(form=a_transform(lambda context: Filled(value="x" * MAX_BODY_BYTES)))
    largest = an_endpoint(form=a_transform(lambda context: Filled(value="x" * (MAX_BODY_BYTES - 2))))

    assert Bodies(an_event()).of(huge, ID).refused == (
        "transform: gives a body over 1 MB (event message.created)"
    )
    assert Bodies(an_event()).of(largest, ID).refused is None


@pytest.mark.parametrize(
    ("form", "kept"),
    [
        ({}, False),
        ({"form": CloudEvents()}, True),
        ({"form": a_transform(lambda context: Filled(value={}))}, True),
    ],
)
def test_what_the_address_is_made_of_is_kept_where_the_body_does_not_tell_it(
    form: dict[str, Any], kept: bool
) -> None:
    addressing = Addressing(address=lambda context: Address(url="https://a.example", headers=()))
    documented = Bodies(an_event()).of(an_endpoint(), ID).content

    addressed = Bodies(an_event()).of(an_endpoint(addressing=addressing, **form), ID)
    plain = Bodies(an_event()).of(an_endpoint(**form), ID)

    assert addressed.context == (documented if kept else None)
    assert plain.context is None


def test_who_gets_the_documented_body_with_nothing_hidden_shares_its_encoding() -> None:
    bodies = Bodies(an_event())
    opened = bodies.whole

    bodies.of(an_endpoint(), ID)
    bodies.of(an_endpoint(form=CloudEvents()), ID)

    assert bodies.whole is opened


def test_times_of_any_zone_are_told_in_utc() -> None:
    event = an_event(at=NOON + timedelta(milliseconds=1))

    assert json.loads(Bodies(event).of(cloud(), ID).content)["time"] == "2026-11-24T12:00:00.001Z"
