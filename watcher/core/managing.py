"""Managed endpoints: those that operators make at run time, kept in the state and not in a file; and the
audit list of what operators did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

Definition = Mapping[str, Any]
"""What an operator says of an endpoint: the keys of one of `webhooks.endpoints`, as in the settings' file."""

Act = Literal[
    "endpoint.created",
    "endpoint.changed",
    "endpoint.deleted",
    "secret.rotated",
    "secret.retired",
    "endpoint.paused",
    "endpoint.resumed",
    "deliveries.replayed",
    "deliveries.cancelled",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A managed endpoint as it is stored: nobody reads its definition without the key."""

    name: str
    """Of two that differ in large and small letters only there is one."""
    revision: int
    """Of the whole set, when this one was last changed."""
    created_at: datetime
    changed_at: datetime
    sealed: bytes = field(repr=False)
    """Its definition, encrypted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """All managed endpoints, as they are stored."""

    revision: int = 0
    """Grows with each change."""
    endpoints: tuple[Sealed, ...] = ()
    """In the order in which they were made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where something was asked for."""

    way: Literal["api", "cli"]
    address: str
    """The other end's, or the user and machine that a command ran on."""
    forwarded: str | None = None
    """What a proxy says of who asked it (`X-Forwarded-For`): as it stands there, believed by nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One thing that an operator did."""

    at: datetime
    act: Act
    subject: str
    """The endpoint, or what was chosen of the deliveries."""
    origin: Origin
    details: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Which keys, how many, why: never a value that might be secret."""


AUDITED = 10_000
"""Entries that are kept: years of what people do by hand."""
