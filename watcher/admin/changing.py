"""Changing: many deliveries sent again or cancelled, page by page, the oldest first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from watcher.core.deliveries import Fate, State
from watcher.core.events import EventId
from watcher.core.searching import Wanted, change_part
from watcher.ports import Log

Act = Literal["replay", "cancel"]

PAGE = 500
"""In one transaction."""

CAN: Mapping[Act, tuple[State, ...]] = {
    "replay": ("delivered", "dead", "cancelled"),
    "cancel": ("held", "pending"),
}
"""Which states it changes."""

MEANT: Mapping[Act, tuple[State, ...]] = {"replay": ("dead",), "cancel": ("held", "pending")}
"""Which ones are meant when nobody says: to send again what has arrived takes a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """After one page."""

    by_endpoint: Mapping[str, int]
    """Changed in this page; what was refused, or changed by somebody else meanwhile, does not count."""
    looked_at: int
    last: EventId
    """Where the next page goes on."""

    @property
    def changed(self) -> int:
        return sum(self.by_endpoint.values())


def meant(wanted: Wanted, act: Act) -> Wanted | None:
    """What of it the act can change; None: nothing. Where ids are given, their states need not be."""
    states = wanted.states or (CAN if wanted.ids else MEANT)[act]
    states = tuple(state for state in states if state in CAN[act])
    return replace(wanted, states=states) if states else None


async def change(
    log: Log, wanted: Wanted, act: Act, *, after: EventId | None = None, reason: str = "by an operator"
) -> AsyncIterator[Progress]:
    """Do it to all that is meant, and tell of each page. Raises OutboxError.

    What was sent again does not come back, though it may be settled again before the end: the pages go on."""
    narrowed = meant(wanted, act)
    while narrowed is not None:
        page = _whole(await log.search(narrowed, after=after, limit=PAGE, oldest_first=True))
        if not page:
            return
        ids = [fate.id for fate in page]
        after = ids[-1]
        done = await (log.replay(ids) if act == "replay" else log.cancel(ids, reason=reason))
        yield Progress(by_endpoint=done, looked_at=len(ids), last=after)


def _whole(page: Sequence[Fate]) -> Sequence[Fate]:
    """Up to where a change ends: its events keep their order only within one transaction."""
    if len(page) < PAGE:
        return page
    last = change_part(page[-1].id)
    whole = [fate for fate in page if change_part(fate.id) != last]
    return whole or page
