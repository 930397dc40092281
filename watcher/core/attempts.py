"""An Attempt: what is kept of one request and its answer, for people who ask why something did not arrive.

The law: no secret of ours is in it. Receivers echo what they were sent, in errors most of all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from watcher.core.hiding import BLOT, Hiding
from watcher.core.outcomes import Answered, Outcome, Unreachable, Unsendable
from watcher.core.swift import swift

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

SAME = 128
"""Answers of late. A receiver says the same again and again, but for the second in its `Date`."""

OURS = ("x-webhook-signature", "webhook-signature")


@swift
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
    outcome: Outcome, hiding: Hiding, *, at: datetime, took: timedelta, reason: str | None
) -> Attempt:
    """What to keep of an outcome. `reason`: the verdict's; None: the outcome's own, if it has one."""
    match outcome:
        case Answered(status=status, headers=headers, answer=answer):
            return Attempt(
                at=at,
                took=took,
                status=status,
                reason=reason or outcome.remark,
                headers=_kept_headers(headers, hiding),
                answer=_kept_text(answer, hiding),
            )
        case Unreachable() | Unsendable():
            return Attempt(at=at, took=took, reason=hiding.blotted(reason or outcome.reason))
        case _:
            return Attempt(at=at, took=took, reason=reason)


@lru_cache(maxsize=SAME)
def _kept_text(text: str, hiding: Hiding) -> str:
    return hiding.blotted(text)


@lru_cache(maxsize=SAME)
def _kept_headers(headers: Sequence[tuple[str, str]], hiding: Hiding) -> tuple[tuple[str, str], ...]:
    return tuple(_few(headers, hiding))


def _few(headers: Sequence[tuple[str, str]], hiding: Hiding) -> Iterable[tuple[str, str]]:
    room = HEADERS_BYTES
    values = hiding.all_blotted([value for _, value in headers])
    for (name, _), value in zip(headers, values, strict=True):
        known = name.lower() in TELLING or name.lower() in OURS
        kept = (name, BLOT if known else value)
        room -= len(kept[0]) + len(kept[1])
        if room < 0:
            return
        yield kept
