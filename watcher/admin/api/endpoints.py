"""Endpoints: how each stands and fares; paused, let go on, pinged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Self

from watcher.admin.api import shapes
from watcher.admin.api.refusal import Refusal
from watcher.admin.desk import Desk
from watcher.admin.history import STEP, STEPS
from watcher.admin.managing import IS_OFF, Managed, veiled
from watcher.core.addresses import display_url
from watcher.core.attempts import attempt_of
from watcher.core.circuits import Standing
from watcher.core.endpoints import Endpoint
from watcher.core.figures import together
from watcher.core.hiding import Hiding
from watcher.core.managing import Sealed
from watcher.core.outcomes import Answered, Unsendable
from watcher.core.pings import a_ping
from watcher.ports import Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """All that is known of endpoints, read together."""

    in_force: Mapping[str, Endpoint]
    sealed: Mapping[str, Sealed]
    """Managed ones."""
    managed: Mapping[str, Managed]
    """Those of them that can be opened."""
    standings: Mapping[str, Standing]
    counts: Mapping[str, Counts]
    oldest: Mapping[str, datetime]

    @classmethod
    async def of(cls, desk: Desk) -> Self:
        registered = (await desk.registry.registered()).endpoints
        return cls(
            in_force={endpoint.name: endpoint for endpoint in desk.endpoints()},
            sealed={each.name: each for each in registered},
            managed={each.stored.name: each for each in desk.managing.opened(registered)},
            standings=await desk.outbox.standings(),
            counts=await desk.outbox.counts(),
            oldest=await desk.outbox.oldest(),
        )

    def names(self) -> Iterable[str]:
        """In the order of the settings, then those that nobody names any more."""
        known = dict.fromkeys([*self.in_force, *self.sealed])
        return [*known, *sorted(self.counts.keys() - known.keys())]


async def every(desk: Desk) -> shapes.Endpoints:
    sight = await Sight.of(desk)
    is_on = desk.managing.is_on
    return shapes.Endpoints(
        endpoints=[shown(desk, name, sight) for name in sight.names()],
        managing=shapes.ManagingShape(on=is_on, why=None if is_on else IS_OFF),
    )


async def pause(desk: Desk, name: str, asked: shapes.Pause) -> shapes.EndpointShape:
    _known(desk, name)
    standing = Standing(state="paused", reason=asked.reason, since=desk.clock.now())
    await desk.note("endpoint.paused", name, reason=asked.reason)
    await desk.outbox.stand(name, standing)
    return await one(desk, name)


async def resume(desk: Desk, name: str) -> shapes.EndpointShape:
    _known(desk, name)
    await desk.note("endpoint.resumed", name)
    await desk.outbox.stand(name, None)
    return await one(desk, name)


async def ping(desk: Desk, name: str, asked: shapes.Ping) -> shapes.Pinged:
    """Send a signed sample event now; nothing is stored, and nothing tried again."""
    endpoint = _known(desk, name)
    entries = {entry.event: entry for entry in desk.catalogue()}
    entry = next((each for event, each in entries.items() if event == asked.event), None)
    if entry is None:
        raise Refusal(404, f"event: no {asked.event!r}. Known: {', '.join(entries)}.")
    now, began = desk.clock.now(), desk.clock.monotonic()
    _, request = a_ping(entry, endpoint, now=now, chance=token_hex(12))
    outcome = request if isinstance(request, Unsendable) else await desk.sender.send(request)
    took = timedelta(seconds=desk.clock.monotonic() - began)
    told = attempt_of(outcome, Hiding(endpoint), at=now, took=took, reason=None)
    return shapes.Pinged(
        ok=isinstance(outcome, Answered) and 200 <= outcome.status < 300,
        status=told.status,
        reason=told.reason,
        took_ms=took / timedelta(milliseconds=1),
        headers=[list(each) for each in told.headers],
        answer=told.answer if told.status is not None else None,
    )


def _known(desk: Desk, name: str) -> Endpoint:
    known = {endpoint.name: endpoint for endpoint in desk.endpoints()}
    if name not in known:
        raise Refusal(404, f"no endpoint {name!r}. Known: {', '.join(known) or 'none'}.")
    return known[name]


async def one(desk: Desk, name: str) -> shapes.EndpointShape:
    return shown(desk, name, await Sight.of(desk))


def shown(desk: Desk, name: str, sight: Sight) -> shapes.EndpointShape:
    endpoint, sealed, managed = sight.in_force.get(name), sight.sealed.get(name), sight.managed.get(name)
    standing, counts = sight.standings.get(name), sight.counts.get(name)
    is_known = endpoint is not None or sealed is not None
    is_managed = sealed is not None or name in desk.managed()
    managed_is_in_force = sealed is None or sealed.revision == desk.managed().get(name)
    steps = desk.history.of_endpoint(name)
    recent = together(steps)
    return shapes.EndpointShape(
        name=name,
        url=display_url(endpoint.url) if endpoint is not None else "",
        origin="managed" if is_managed else "file" if is_known else "nowhere",
        locked=not is_managed,
        in_force=endpoint is not None and managed_is_in_force,
        revision=sealed.revision if sealed is not None else None,
        definition=veiled(managed.definition) if managed is not None else None,
        secrets=len(endpoint.secrets) if endpoint is not None else 0,
        state="gone" if not is_known else standing.state if standing is not None else "ok",
        reason=standing.reason if standing is not None else None,
        since=standing.since if standing is not None else None,
        until=standing.until if standing is not None else None,
        events=list(endpoint.events) if endpoint is not None else [],
        counts=counts_of(counts or Counts()),
        oldest_waiting=sight.oldest.get(name),
        recent=shapes.Recent(
            seconds=STEPS * STEP.total_seconds(),
            attempts=recent.delivered + recent.failed,
            delivered=recent.delivered,
            failed=recent.failed,
            p50_ms=recent.quantile_ms(0.5),
            p99_ms=recent.quantile_ms(0.99),
        ),
        history=shapes.EndpointHistory(
            step_seconds=STEP.total_seconds(),
            until=desk.history.until(),
            delivered=[step.delivered for step in steps],
            failed=[step.failed for step in steps],
            p99_ms=[step.quantile_ms(0.99) for step in steps],
        ),
        by_event={
            event: shapes.EventFigures(
                delivered=made.delivered, failed=made.failed, p50_ms=made.quantile_ms(0.5)
            )
            for event, made in sorted(desk.history.by_event(name).items())
        },
    )


def counts_of(counts: Counts) -> shapes.CountsShape:
    return shapes.CountsShape(
        held=counts.held,
        pending=counts.pending,
        delivered=counts.delivered,
        dead=counts.dead,
        cancelled=counts.cancelled,
    )
