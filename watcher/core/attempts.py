"""An Attempt: what is kept of one request and its answer, for people who ask why something did not arrive.

The law: no secret of ours is in it. Receivers echo what they were sent, in errors most of all."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from watcher.core.endpoints import Endpoint
from watcher.core.outcomes import Answered, Outcome, Unreachable, Unsendable

KEPT = 10
"""Attempts of one delivery; of more, the newest."""

HEADERS_BYTES = 1024
"""Of the answer's headers together: enough for all that servers ordinarily send."""

SHORTEST = 6
"""A configured value that is shorter is no secret, and blotting it out would make answers unreadable."""

BLOT = "•••"

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
            hidden = _hidden(endpoint)
            return Attempt(
                at=at,
                took=took,
                status=status,
                reason=reason,
                headers=tuple(_kept_headers(headers, hidden)),
                answer=_blotted(answer, hidden),
            )
        case Unreachable() | Unsendable():
            return Attempt(at=at, took=took, reason=_blotted(reason or outcome.reason, _hidden(endpoint)))
        case _:
            return Attempt(at=at, took=took, reason=reason)


def _kept_headers(headers: Iterable[tuple[str, str]], hidden: Sequence[str]) -> Iterable[tuple[str, str]]:
    room = HEADERS_BYTES
    for name, value in headers:
        known = name.lower() in TELLING or name.lower() in OURS
        kept = (name, BLOT if known else _blotted(value, hidden))
        room -= len(kept[0]) + len(kept[1])
        if room < 0:
            return
        yield kept


def _hidden(endpoint: Endpoint) -> Sequence[str]:
    """What may not be told: configured secrets, in the forms in which they are written, and header values."""
    keys = [secret.key for secret in endpoint.secrets]
    texts = [
        *(key.decode("utf-8", "replace") for key in keys),
        *(base64.b64encode(key).decode() for key in keys),
        *(value for _, value in endpoint.headers),
        *(word for _, value in endpoint.headers for word in value.split()),
    ]
    return sorted({text for text in texts if len(text) >= SHORTEST}, key=len, reverse=True)


def _blotted(text: str, hidden: Sequence[str]) -> str:
    for each in hidden:
        text = text.replace(each, BLOT)
    return text
