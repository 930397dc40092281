"""The desk: all that the admin server looks at and works on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from watcher.admin.history import History
from watcher.admin.managing import Managing
from watcher.admin.readiness import ReadinessObserver
from watcher.admin.undertakings import Undertakings
from watcher.core.catalogue import CatalogueEntry
from watcher.core.endpoints import Endpoint, Secret
from watcher.core.managing import Act, AuditEntry, Origin
from watcher.core.trials import Trial
from watcher.ports import Clock, FiguresReader, Log, Observer, Outbox, Registry, Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Of one replica."""

    token: Secret | None
    """None: the page and the API are off."""
    shows_text: bool
    """Whether texts of people are shown."""
    shares: bool
    """The state, with other replicas."""
    max_store_bytes: int
    outbox: Outbox
    log: Log
    figures: FiguresReader
    registry: Registry
    managing: Managing
    sender: Sender
    """Of its own for `ping`: it does not wait behind deliveries."""
    endpoints: Callable[[], Sequence[Endpoint]]
    """As the settings are now."""
    definitions: Callable[[], Mapping[str, Mapping[str, Any]]]
    """JSON Schemas of an endpoint's definition, of which one is `Definition`."""
    managed: Callable[[], Mapping[str, int]]
    """The managed ones among them: of each name the revision."""
    trial: Callable[[Endpoint, int], Awaitable[Trial]]
    """Of the newest so many events. Raises ConfigError."""
    in_force: Callable[[int], Awaitable[bool]]
    """Waits until managed endpoints of this revision are in force here; whether they are."""
    catalogue: Callable[[], Sequence[CatalogueEntry]]
    readiness: ReadinessObserver = field(repr=False)
    history: History = field(repr=False)
    undertakings: Undertakings = field(repr=False)
    observe: Observer = field(repr=False)
    clock: Clock
    version: str
    origin: Origin = field(default=Origin(way="api", address=""))
    """Where that comes from which is worked on."""

    def asked_from(self, origin: Origin) -> Self:
        """The same desk, for one request."""
        return replace(self, origin=origin)

    async def note(self, act: Act, subject: str, **details: Any) -> None:
        """Into the audit list, before it is done. Raises OutboxError: then it is not done."""
        await self.registry.note(
            AuditEntry(at=self.clock.now(), act=act, subject=subject, origin=self.origin, details=details)
        )
