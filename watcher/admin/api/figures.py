"""Figures of one endpoint: how it fared over hours or days, with each event and with all together."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from watcher.admin.api import shapes
from watcher.admin.api.refusal import Refusal
from watcher.admin.desk import Desk
from watcher.core.figures import DAY, EPOCH, HOUR, Course, Span, Survey

LONGEST = 31 * DAY


async def of_endpoint(desk: Desk, name: str, asked: shapes.FiguresOf) -> shapes.Figures:
    span = _span(desk.clock.now(), asked)
    figures = await desk.figures.figures(span.since, span.until, endpoint=name)
    if not figures and not await _is_known(desk, name):
        known = ", ".join(endpoint.name for endpoint in desk.endpoints()) or "none"
        raise Refusal(404, f"no endpoint {name!r}, and no figures of one. Known: {known}.")
    # Of a month there may be thousands, and deliveries must not wait for their sum.
    return shown(name, await asyncio.to_thread(Survey.of, figures, span))


def shown(name: str, survey: Survey) -> shapes.Figures:
    span = survey.span
    return shapes.Figures(
        endpoint=name,
        since=span.since,
        until=span.until,
        step_seconds=span.step / timedelta(seconds=1),
        all=_fared(survey.total),
        by_event={event: _fared(course) for event, course in survey.by_event.items()},
    )


def _span(now: datetime, asked: shapes.FiguresOf) -> Span:
    """As much of the time asked for as there can be figures of, and no more of it than is told at once."""
    until = min(max(asked.until or now, EPOCH + LONGEST), now).astimezone(UTC)
    since = max(asked.since or until - DAY, until - LONGEST)
    if since >= until:
        return Span(since=until, until=until, step=HOUR)
    return Span.around(since.astimezone(UTC), until)


async def _is_known(desk: Desk, name: str) -> bool:
    """As an endpoint, or as one that is gone."""
    if name in [endpoint.name for endpoint in desk.endpoints()] or name in await desk.outbox.counts():
        return True
    ever = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    return bool(await desk.figures.figures(*ever, endpoint=name))


def _fared(course: Course) -> shapes.Fared:
    total = course.total
    return shapes.Fared(
        delivered=total.delivered,
        failed=total.failed,
        success=total.success,
        p50_ms=total.quantile_ms(0.5),
        p99_ms=total.quantile_ms(0.99),
        series=shapes.Series(
            delivered=[step.delivered for step in course.steps],
            failed=[step.failed for step in course.steps],
            p99_ms=[step.quantile_ms(0.99) for step in course.steps],
        ),
    )
