"""A Body: the bytes that an endpoint gets of an event, by its privacy. Made once, at capture.

The law: endpoints that hide nothing share one encoding, however many they are."""

from __future__ import annotations

from watcher.core.encoding import OpenedBody, close_body, open_body
from watcher.core.endpoints import Endpoint
from watcher.core.events import Event, EventId


class Bodies:
    """The bodies of one event, for whoever wants it."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self._whole: OpenedBody | None = None

    def of(self, endpoint: Endpoint, identity: EventId) -> bytes:
        """What this endpoint gets, under this id."""
        if endpoint.privacy is None:
            return close_body(self.whole, identity)
        return close_body(open_body(endpoint.privacy.seal(self._event)), identity)

    @property
    def whole(self) -> OpenedBody:
        """The event with nothing hidden, up to its id."""
        if self._whole is None:
            self._whole = open_body(self._event)
        return self._whole
