"""Figures of one endpoint: how it fared over hours or days, with each event and with all together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from watcher.admin.api import shapes
from watcher.admin.api.refusal import Refusal
from watcher.admin.desk import Desk
from watcher.core.figures import DAY, Attempts, Course, Span, Survey

LONGEST = 31 * DAY


async def of_endpoint(desk: Desk, name: str, asked: shapes.FiguresOf) -> shapes.Figures:
    span = _span(desk, asked)
    figures = await desk.figures.figures(span.since, span.until, endpoint=name)
    if not figures and not await _is_known(desk, name):
        known = ", ".join(endpoint.name for endpoint in desk.endpoints()) or "none"
        raise Refusal(404, f"no endpoint {name!r}, and no figures of one. Known: {known}.")
    return shown(name, Survey.of(figures, span))


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


def _span(desk: Desk, asked: shapes.FiguresOf) -> Span:
    try:
        until = (asked.until or desk.clock.now()).astimezone(UTC)
        since = asked.since.astimezone(UTC) if asked.since is not None else until - DAY
        if since >= until:
            raise Refusal(400, "since: is not before until")
        if until - since > LONGEST:
            raise Refusal(400, f"since: is more than {LONGEST.days} days before until: ask for less at once")
        return Span.around(since, until)
    except OverflowError:
        raise Refusal(400, "since, until: no time that can be reckoned with") from None


async def _is_known(desk: Desk, name: str) -> bool:
    """As an endpoint, or as one that is gone."""
    if name in [endpoint.name for endpoint in desk.endpoints()] or name in await desk.outbox.counts():
        return True
    ever = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    return bool(await desk.figures.figures(*ever, endpoint=name))


def _fared(course: Course) -> shapes.Fared:
    total: Attempts = course.total
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
