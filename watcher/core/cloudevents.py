"""A CloudEvent: an event in the words of CloudEvents 1.0, as JSON in structured mode.

The law: what the specification demands of an attribute holds. One that a damaged row has made impossible
(empty, or with control characters in it) is left out, as it is optional; the data tell it all the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from watcher.core.encoding import MAX_BODY_BYTES, encode, encode_data, timestamp
from watcher.core.events import Event, EventId

CONTENT_TYPE = "application/cloudevents+json"

BEGINNING = b'{"specversion":'
"""By this a stored body tells that it is one."""

_SOURCE = "/librechat"
"""Together with it an id must be unique, and ours are without it."""

_MAX_ATTRIBUTE = 1_024
"""Receivers need take no more in an attribute; LibreChat's ids have 36 letters."""

# CloudEvents 1.0, "Type System": no control characters, no noncharacters. Surrogates cannot be here any more.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff\U0001fffe\U0001ffff]")


def cloud_event(event: Event, identity: EventId, *, subject: str | None) -> bytes:
    """The event under this id. `subject`: the id of what it is about, if that may be told."""
    attributes = {
        "specversion": "1.0",
        "id": identity,
        "source": _SOURCE,
        "type": event.type,
        "time": timestamp(event.at),
        "subject": _attribute(subject),
        "datacontenttype": "application/json",
        "userid": _attribute(event.user_id),
    }
    opened = _opened(attributes)
    return b'%b,"data":%b}' % (opened, encode_data(event.data, MAX_BODY_BYTES - len(opened) - 9))


def cloud_batch(bodies: Sequence[bytes], *, at: datetime, batch: EventId) -> bytes:
    """One CloudEvent that carries others verbatim."""
    attributes: dict[str, str | None] = {
        "specversion": "1.0",
        "id": batch,
        "source": _SOURCE,
        "type": "batch",
        "time": timestamp(at),
        "datacontenttype": "application/json",
    }
    return b'%b,"data":{"events":[%b]}}' % (_opened(attributes), b",".join(bodies))


def _opened(attributes: dict[str, str | None]) -> bytes:
    return encode({name: value for name, value in attributes.items() if value is not None})[:-1]


def _attribute(value: str | None) -> str | None:
    if not value or len(value) > _MAX_ATTRIBUTE or _FORBIDDEN.search(value):
        return None
    return value
