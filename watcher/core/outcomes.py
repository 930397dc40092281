"""An Outcome: what one attempt met. A refusal is data, not an exception."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from watcher.core.swift import swift


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The receiver answered with this status in time, whatever it was."""

    status: int
    retry_after: timedelta | None = None
    """The `Retry-After` header (RFC 9110 §10.2.3), as a span from the answer."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False, compare=False)
    """As they came: shown to the operator, never logged."""
    answer: str = field(default="", repr=False, compare=False)
    """How its body begins, as text: shown to the operator, never logged."""
    left: str = ""
    """Why its body was not read to the end, or what was wrong with it; the status counts all the same."""

    @property
    def remark(self) -> str | None:
        """What there is to say of the answer besides its status."""
        return f"the answer is {self.left}" if self.left else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """No answer: name not found, connection refused or cut, TLS refused, time-out."""

    reason: str
    """A stable word (`dns refused denied proxy tls timeout disconnected protocol network`), `: `, and a
    detail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """Our own shutdown cut the attempt; the receiver is not to blame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsendable:
    """No request can be made of it: its URL or a header cannot be made of the event. Nobody was asked."""

    reason: str


Outcome = Answered | Unreachable | NotSent | Unsendable
