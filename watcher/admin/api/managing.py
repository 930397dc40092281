"""Managing endpoints by the API: made, changed, dropped, tried; and the audit list."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

from watcher.admin.api import shapes
from watcher.admin.api.endpoints import one
from watcher.admin.api.refusal import Refusal
from watcher.admin.api.veil import Veil
from watcher.admin.changing import change as change_all
from watcher.admin.desk import Desk
from watcher.admin.managing import Made, NotDone
from watcher.core.searching import Wanted
from watcher.core.trials import Tried
from watcher.errors import ConfigError

T = TypeVar("T")

STATUSES = {"off": 409, "unknown": 404, "taken": 409, "changed": 409, "locked": 409}

TAKEN_UP = timedelta(seconds=2)
"""In which every replica has noticed a change."""

WORKS_SECONDS = 2.0
"""How long one request cancels what waited for an endpoint that is dropped; then it is asked again."""


async def create(desk: Desk, asked: shapes.Create) -> shapes.Made:
    name = asked.definition.get("name")
    if isinstance(name, str) and (waiting := await _left_by_one_gone(desk, name)):
        raise Refusal(
            409,
            f"{waiting} deliveries wait for an endpoint {name!r} that is gone: this one would get them."
            " Cancel them first (DELETE with cancel=true), or take another name.",
        )
    made = await _judged(desk.managing.create(asked.definition, desk.origin))
    await desk.outbox.stand(made.managed.stored.name, None)  # that one of this name was paused is over
    return await _taken_up(desk, made)


async def change(desk: Desk, name: str, asked: shapes.ChangeEndpoint) -> shapes.Made:
    changing = desk.managing.change(name, asked.definition, desk.origin, seen=asked.revision)
    return await _made(desk, changing)


async def rotate(desk: Desk, name: str, asked: shapes.Rotate) -> shapes.Made:
    rotating = desk.managing.rotate(name, desk.origin, secret=asked.secret, keep_old=asked.keep_old)
    return await _made(desk, rotating)


async def retire(desk: Desk, name: str) -> shapes.Made:
    return await _made(desk, desk.managing.retire(name, desk.origin))


async def delete(desk: Desk, name: str, asked: shapes.Delete) -> shapes.Deleted:
    """Dispatch hears of it first: what is cancelled then has nobody left to send it."""
    name = await desk.managing.spelled(name) or name
    waiting = await _waiting(desk, name)
    is_gone = name not in {endpoint.name for endpoint in desk.endpoints()}
    if waiting and not asked.cancel:
        raise Refusal(
            409, f"{waiting} deliveries wait for {name!r} and would never be sent: say so with cancel=true."
        )
    try:
        await desk.managing.delete(name, desk.origin)
    except NotDone as error:
        if not (error.why == "unknown" and is_gone and waiting):
            raise _refused(error) from error
        await desk.note("deliveries.cancelled", name, expected=waiting, why="their endpoint is gone")
    else:
        await _let_go(desk, name)
    cancelled = await _cancel_waiting(desk, name)
    return shapes.Deleted(cancelled=cancelled, left=await _waiting(desk, name))


async def try_(desk: Desk, asked: shapes.Try) -> shapes.TrialShape:
    endpoint = await _judged(desk.managing.candidate(asked.definition, asked.name))
    trial = await desk.trial(endpoint, asked.limit)
    tried = [_tried(desk, each) for each in trial.tried]
    return shapes.TrialShape(
        since=trial.since,
        events=len(tried),
        sent=sum(each.sent for each in tried),
        caught_up=trial.caught_up,
        trouble=trial.trouble,
        tried=tried,
    )


async def audit(desk: Desk, query: shapes.AuditQuery) -> shapes.AuditPage:
    found = await desk.registry.audit(before=query.before, limit=query.limit + 1)
    page = found[: query.limit]
    return shapes.AuditPage(
        entries=[
            shapes.AuditShape(
                at=entry.at,
                act=entry.act,
                subject=entry.subject,
                way=entry.origin.way,
                address=entry.origin.address,
                forwarded=entry.origin.forwarded,
                details=dict(entry.details),
            )
            for _, entry in page
        ],
        next=page[-1][0] if len(found) > query.limit else None,
    )


async def _made(desk: Desk, change: Awaitable[Made]) -> shapes.Made:
    return await _taken_up(desk, await _judged(change))


async def _taken_up(desk: Desk, made: Made) -> shapes.Made:
    stored = made.managed.stored
    await desk.in_force(stored.revision)
    return shapes.Made(endpoint=await one(desk, stored.name), secret=made.secret)


async def _judged(work: Awaitable[T]) -> T:
    """Its refusals as ours."""
    try:
        return await work
    except NotDone as error:
        raise _refused(error) from error
    except ConfigError as error:
        raise Refusal(422, str(error)) from error


def _refused(error: NotDone) -> Refusal:
    return Refusal(STATUSES[error.why], str(error))


async def _let_go(desk: Desk, name: str) -> None:
    """Until nobody tells it anything any more."""
    if not await desk.in_force(await desk.registry.revision()):
        raise Refusal(
            503,
            f"{name!r} is dropped, but this replica does not know it yet and still sends to it:"
            " /readyz tells why. Ask again when that is mended, to cancel what waits.",
        )
    if desk.shares:
        await desk.clock.sleep(TAKEN_UP)  # another replica may read the changes, and store some for it
    await desk.outbox.stand(name, None)


async def _left_by_one_gone(desk: Desk, name: str) -> int:
    return await _waiting(desk, name) if await desk.managing.is_free(name) else 0


async def _waiting(desk: Desk, name: str) -> int:
    counts = (await desk.outbox.counts()).get(name)
    return counts.held + counts.pending if counts is not None else 0


async def _cancel_waiting(desk: Desk, name: str) -> int:
    ends, cancelled = desk.clock.monotonic() + WORKS_SECONDS, 0
    waiting = Wanted(endpoints=(name,))
    async for page in change_all(desk.log, waiting, "cancel", reason="the endpoint was deleted"):
        cancelled += page.changed
        if desk.clock.monotonic() > ends:
            break
    return cancelled


def _tried(desk: Desk, tried: Tried) -> shapes.TriedShape:
    return shapes.TriedShape(
        event=tried.event,
        timestamp=tried.at,
        sent=tried.body is not None,
        subscribed=tried.subscribed,
        misses=list(tried.misses),
        refused=tried.refused,
        body=tried.body.decode() if tried.body is not None and desk.shows_text else None,
        body_shape=Veil(tried.body, tried.id).shape if tried.body is not None else None,
    )
