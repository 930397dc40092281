"""A Body: the bytes that an endpoint gets of an event, by its privacy and its form. Made once, at capture.

The laws: endpoints that get the documented body with nothing hidden share one encoding, however many they
are; and a form that fails for an event fails for its endpoint only, with the reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, assert_never

import orjson

from watcher.core.cloudevents import BEGINNING, cloud_event
from watcher.core.encoding import MAX_BODY_BYTES, OpenedBody, close_body, encode, is_documented, open_body
from watcher.core.endpoints import Endpoint
from watcher.core.events import Event, EventId
from watcher.core.forms import CloudEvents, Documented, Failed, Transform
from watcher.core.swift import swift


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What one endpoint gets."""

    content: bytes = field(repr=False)
    """Of a failed one, the documented body, for an operator to look at."""
    context: bytes | None = field(default=None, repr=False)
    """The documented body, where the content is another and the endpoint's URL or headers need it."""
    refused: str | None = None
    """Why there is none: `transform.text: data.title is undefined (event message.deleted)`."""


class Bodies:
    """The bodies of one event, for whoever wants it."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self._whole: OpenedBody | None = None

    def of(self, endpoint: Endpoint, identity: EventId) -> Body:
        """What this endpoint gets, under this id."""
        event = self._event if endpoint.privacy is None else endpoint.privacy.seal(self._event)
        match endpoint.form:
            case Documented():
                return Body(content=self._documented(event, identity))  # which tells it all
            case CloudEvents():
                content = cloud_event(event, identity, subject=self._subject(endpoint))
                addressed = endpoint.addressing is not None
                return Body(content=content, context=self._documented(event, identity) if addressed else None)
            case Transform():
                return self._transformed(endpoint, endpoint.form, self._documented(event, identity))
            case _:
                assert_never(endpoint.form)

    def bare(self, identity: EventId) -> Body:
        """The documented body in whatever form the endpoint wants it: for people to look at."""
        return Body(content=close_body(self.whole, identity))

    @property
    def whole(self) -> OpenedBody:
        """The event with nothing hidden, up to its id."""
        if self._whole is None:
            self._whole = open_body(self._event)
        return self._whole

    def _documented(self, event: Event, identity: EventId) -> bytes:
        return close_body(self.whole if event is self._event else open_body(event), identity)

    def _subject(self, endpoint: Endpoint) -> str | None:
        if endpoint.privacy is None:
            return self._event.entity.partition(":")[2]
        return endpoint.privacy.identity(self._event)

    def _transformed(self, endpoint: Endpoint, form: Transform, documented: bytes) -> Body:
        made = form.fill(orjson.loads(documented))
        if isinstance(made, Failed):
            return self._refused(made.reason, documented)
        content = encode(made.value)
        if len(content) > MAX_BODY_BYTES:
            return self._refused(f"{form.name}: gives a body over 1 MB", documented)
        return Body(content=content, context=documented if endpoint.addressing is not None else None)

    def _refused(self, reason: str, documented: bytes) -> Body:
        return Body(content=documented, refused=f"{reason} (event {self._event.type})")


def form_of(content: bytes, identity: EventId) -> Literal["documented", "cloudevents", "own"]:
    """In which form a body is stored: the settings may have been others then."""
    if content.startswith(BEGINNING):
        return "cloudevents"
    return "documented" if is_documented(content, identity) else "own"
