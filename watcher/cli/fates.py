"""Fates in words, and as data: what became of deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from watcher.cli.terminal import printable
from watcher.core.encoding import timestamp

if TYPE_CHECKING:
    from watcher.core.deliveries import Fate

COLOURS = {"delivered": "green", "dead": "red", "pending": "yellow", "held": "yellow"}


def fate_lines(fate: Fate) -> list[str]:
    """`delivered  crm  message.created  2026-…Z`, and below it how and when."""
    state = click.style(f"{fate.state:<10}", fg=COLOURS.get(fate.state))
    told = [_attempts(fate), fate.reason, *_times(fate)]
    return [
        f"{state} {fate.endpoint}  {fate.event}  {timestamp(fate.at)}  {fate.id}",
        f"           {printable('; '.join(each for each in told if each))}",
    ]


def fate_record(fate: Fate) -> dict[str, Any]:
    return {
        "webhookId": fate.id,
        "endpoint": fate.endpoint,
        "event": fate.event,
        "timestamp": timestamp(fate.at),
        "state": fate.state,
        "failedAttempts": fate.attempts,
        "status": fate.status,
        "reason": fate.reason,
        "nextTryAt": _maybe(fate.due_at),
        "heldUntil": _maybe(fate.held_until),
        "attemptedAt": _maybe(fate.attempted_at),
        "settledAt": _maybe(fate.settled_at),
    }


def _attempts(fate: Fate) -> str:
    answered = f", answered {fate.status}" if fate.status is not None else ""
    match fate.state:
        case "delivered":
            return f"attempt {fate.attempts + 1}{answered}"
        case "held" | "cancelled":
            return ""
        case _ if fate.attempts:
            return f"{fate.attempts} failed attempt{'s' if fate.attempts > 1 else ''}{answered}"
        case _:
            return "not attempted yet" if fate.state == "pending" else ""


def _times(fate: Fate) -> list[str]:
    times = []
    if fate.state == "held" and fate.held_until is not None:
        times.append(f"sent at {timestamp(fate.held_until)} unless a change of its row decides sooner")
    if fate.attempted_at is not None:
        times.append(f"last attempt {timestamp(fate.attempted_at)}")
    if fate.state == "pending" and fate.due_at is not None:
        times.append(f"next not before {timestamp(fate.due_at)}")
    if fate.settled_at is not None and fate.state != "delivered":
        times.append(f"{fate.state} since {timestamp(fate.settled_at)}")
    return times


def _maybe(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)
