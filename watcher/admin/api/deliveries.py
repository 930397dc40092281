"""Deliveries: searched, counted, looked at, sent again, cancelled."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from watcher.admin.api import shapes
from watcher.admin.api.refusal import Refusal
from watcher.admin.api.veil import Veil
from watcher.admin.changing import CAN, Act, change, meant
from watcher.admin.desk import Desk
from watcher.core.attempts import Attempt
from watcher.core.deliveries import Dossier, Fate
from watcher.core.events import EventId, EventType
from watcher.core.facts import LogChanged
from watcher.core.managing import Act as Audited
from watcher.core.searching import Wanted, in_a_line, second_of

MORE, SOME = 1.05, 5
"""So many more than expected may have come meanwhile."""

WORKS_SECONDS = 1.0
"""How long one request changes deliveries: then it tells how far it has come, and is asked to go on."""


NOTED: Mapping[Act, Audited] = {"replay": "deliveries.replayed", "cancel": "deliveries.cancelled"}


async def search(desk: Desk, query: shapes.Search) -> shapes.Page:
    after = EventId(query.before) if query.before is not None else None
    fates = await desk.log.search(
        wanted_of(query), after=after, limit=query.limit + 1, oldest_first=query.oldest_first
    )
    shown = fates[: query.limit]
    return shapes.Page(
        deliveries=[_shown(fate) for fate in shown],
        next=shown[-1].id if len(fates) > query.limit else None,
    )


async def count(desk: Desk, query: shapes.Filter) -> shapes.Numbers:
    numbers = await desk.log.number(wanted_of(query))
    return shapes.Numbers(count=sum(numbers.values()), by_state={**numbers})  # type: ignore[dict-item]


async def show(desk: Desk, identity: str) -> shapes.Detail:
    dossier = await desk.log.dossier(EventId(identity))
    if dossier is None:
        raise Refusal(
            404, f"no delivery {identity!r}: its id is wrong, or it was dropped (watcher.retention)."
        )
    # To find what a megabyte of text and ten answers share takes a while, and deliveries must not wait.
    return await asyncio.to_thread(_detail, dossier, shows_text=desk.shows_text)


async def replay(desk: Desk, asked: shapes.Change) -> shapes.Changed:
    return await _change(desk, asked, "replay")


async def cancel(desk: Desk, asked: shapes.Change) -> shapes.Changed:
    return await _change(desk, asked, "cancel")


def wanted_of(query: shapes.Filter) -> Wanted:
    return Wanted(
        ids=tuple(map(EventId, query.id)),
        endpoints=tuple(query.endpoint),
        states=tuple(query.state),
        events=tuple(map(EventType, query.event)),
        user=query.user,
        conversation=query.conversation,
        since=query.since,
        until=query.until,
    )


def why_not(fate: Fate) -> str | None:
    """Why a delivery cannot be sent again; None: it can."""
    if fate.state in ("held", "pending"):
        return "it waits to be sent already"
    if fate.refused:
        return "what its endpoint wants could not be made of the event, so there is nothing to send"
    return None


async def _change(desk: Desk, asked: shapes.Change, act: Act) -> shapes.Changed:
    chosen = _chosen(asked)
    wanted = meant(chosen, act)
    after = EventId(asked.after) if asked.after is not None else None
    if wanted is None:
        return shapes.Changed(changed=0, by_endpoint={}, left=0, done=True, next=None)
    if asked.expected is not None:
        await _demand_expected(desk, wanted, asked.expected)
    # One that goes on as well: whoever sends `after` in a first request must not go unseen.
    going_on = {"after": after} if after is not None else {}
    await desk.note(NOTED[act], in_a_line(chosen), expected=asked.expected or len(wanted.ids), **going_on)

    changed, left, last = Counter[str](), None, after
    try:
        last = await _for_a_while(desk, wanted, act, after, changed)
        left = await _left(desk, wanted, last) if last is not None else 0
    finally:
        done = left is not None and last is None
        desk.observe(LogChanged(act=act, chosen=in_a_line(chosen), by_endpoint=changed, left=left, done=done))
    return shapes.Changed(changed=changed.total(), by_endpoint=changed, left=left, done=done, next=last)


async def _left(desk: Desk, wanted: Wanted, last: EventId) -> int:
    """What was sent again may meet the filter again by now: it is behind."""
    return sum((await desk.log.number(replace(wanted, since=second_of(last)))).values())


async def _for_a_while(
    desk: Desk, wanted: Wanted, act: Act, after: EventId | None, changed: Counter[str]
) -> EventId | None:
    """Change what is wanted, page by page, and count it. Where to go on; None: all is done."""
    ends = desk.clock.monotonic() + WORKS_SECONDS
    async for page in change(desk.log, wanted, act, after=after):
        changed.update(page.by_endpoint)
        if desk.clock.monotonic() > ends:
            return page.last
    return None


def _chosen(asked: shapes.Change) -> Wanted:
    if (asked.ids is None) == (asked.filter is None):
        raise Refusal(400, "body: either `ids` or `filter` says which deliveries are meant")
    if asked.filter is not None and asked.expected is None:
        raise Refusal(400, "body: with `filter`, `expected` says how many you were shown (deliveries/count)")
    if asked.filter is not None:
        return wanted_of(asked.filter)
    return Wanted(ids=tuple(map(EventId, asked.ids or ())))


async def _demand_expected(desk: Desk, wanted: Wanted, expected: int) -> None:
    """Raises Refusal when far more are meant than somebody was shown: a filter that was mistyped, perhaps."""
    there = sum((await desk.log.number(wanted)).values())
    if there > expected * MORE + SOME:
        raise Refusal(
            409,
            f"{there} deliveries are meant now, and {expected} were expected. Look again, then ask again.",
        )


def _shown(fate: Fate) -> shapes.DeliveryShape:
    return shapes.DeliveryShape(**_fields(fate))


def _fields(fate: Fate) -> dict[str, Any]:
    return {
        "id": fate.id,
        "endpoint": fate.endpoint,
        "event": fate.event,
        "timestamp": fate.at,
        "state": fate.state,
        "failed_attempts": fate.attempts,
        "status": fate.status,
        "reason": fate.reason,
        "next_try_at": fate.due_at,
        "held_until": fate.held_until,
        "attempted_at": fate.attempted_at,
        "settled_at": fate.settled_at,
        "user": fate.user,
        "conversation": fate.conversation,
    }


def _detail(dossier: Dossier, *, shows_text: bool) -> shapes.Detail:
    why, veil = why_not(dossier.fate), Veil(dossier.body, dossier.fate.id)
    return shapes.Detail(
        **_fields(dossier.fate),
        entity=dossier.entity,
        row=dossier.row,
        bytes=len(dossier.body),
        body=dossier.body.decode("utf-8", "replace") if shows_text else None,
        body_shape=veil.shape,
        replayable=why is None,
        why=why,
        cancellable=dossier.fate.state in CAN["cancel"],
        attempts=[_attempt(each, None if shows_text else veil) for each in dossier.attempts],
    )


def _attempt(attempt: Attempt, veil: Veil | None) -> shapes.AttemptShape:
    headers = veil.over(attempt.headers) if veil is not None else attempt.headers
    hidden = veil is not None and veil.hides(attempt.answer)
    return shapes.AttemptShape(
        at=attempt.at,
        took_ms=attempt.took / timedelta(milliseconds=1),
        status=attempt.status,
        reason=attempt.reason,
        headers=[list(each) for each in headers],
        answer=None if hidden else attempt.answer,
    )
