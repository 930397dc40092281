"""The desk: all that the admin server looks at and works on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from watcher.admin.history import History
from watcher.admin.readiness import ReadinessObserver
from watcher.admin.undertakings import Undertakings
from watcher.core.catalogue import CatalogueEntry
from watcher.core.endpoints import Endpoint, Secret
from watcher.ports import Clock, FiguresReader, Log, Outbox, Sender


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
    sender: Sender
    """Of its own for `ping`: it does not wait behind deliveries."""
    endpoints: Callable[[], Sequence[Endpoint]]
    """As the settings are now."""
    catalogue: Callable[[], Sequence[CatalogueEntry]]
    readiness: ReadinessObserver = field(repr=False)
    history: History = field(repr=False)
    undertakings: Undertakings = field(repr=False)
    clock: Clock
    version: str
