"""An Attempt: what is kept of one request and its answer, for people who ask why something did not arrive.

The law: no secret of ours is in it. Receivers echo what they were sent, in errors most of all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from watcher.core.endpoints import Endpoint
from watcher.core.hiding import BLOT, all_blotted, blotted
from watcher.core.outcomes import Answered, Outcome, Unreachable, Unsendable

KEPT = 10
"""Attempts of one delivery; of more, the newest."""

HEADERS_BYTES = 1024
"""Of the answer's headers together: enough for all that servers ordinarily send."""

TELLING = (
    "set-cookie",
    "set-cookie2",
    "authorization",
    "proxy-authorization",
    "www-authenticate",
    "authentication-info",
)
"""Headers whose values are the receiver's own secrets, or made of them."""

OURS = ("x-webhook-signature", "webhook-signature")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt that counted."""

    at: datetime
    """When it began."""
    took: timedelta
    status: int | None = None
    """None: there was no answer."""
    reason: str | None = None
    """Why it failed, or what was wrong with an answer that counts all the same."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    answer: str = field(default="", repr=False)
    """How the answer's body begins."""


def attempt_of(
    outcome: Outcome, endpoint: Endpoint, *, at: datetime, took: timedelta, reason: str | None
) -> Attempt:
    """What to keep of an outcome. `reason`: the verdict's."""
    match outcome:
        case Answered(status=status, headers=headers, answer=answer):
            return Attempt(
                at=at,
                took=took,
                status=status,
                reason=reason,
                headers=tuple(_kept_headers(headers, endpoint)),
                answer=blotted(answer, endpoint),
            )
        case Unreachable() | Unsendable():
            return Attempt(at=at, took=took, reason=blotted(reason or outcome.reason, endpoint))
        case _:
            return Attempt(at=at, took=took, reason=reason)


def _kept_headers(headers: Sequence[tuple[str, str]], endpoint: Endpoint) -> Iterable[tuple[str, str]]:
    room = HEADERS_BYTES
    values = all_blotted([value for _, value in headers], endpoint)
    for (name, _), value in zip(headers, values, strict=True):
        known = name.lower() in TELLING or name.lower() in OURS
        kept = (name, BLOT if known else value)
        room -= len(kept[0]) + len(kept[1])
        if room < 0:
            return
        yield kept
