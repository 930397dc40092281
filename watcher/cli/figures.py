"""`endpoints figures`: how a receiver fared over hours or days, event by event."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watcher.cli.settings import BAD_CONFIG, config_option, settings_from
from watcher.cli.tail import moment
from watcher.cli.terminal import printable
from watcher.errors import OutboxBroken, OutboxError, SourceError

if TYPE_CHECKING:
    from watcher.config.settings import Settings
    from watcher.core.figures import Attempts, Figure, Span, Survey

FAILED = 1
COLUMNS = ("delivered", "failed", "success", "p50", "p99")


@click.command()
@config_option
@click.argument("name")
@click.option(
    "--since",
    type=moment,
    metavar="TIME",
    help="From the hour in which this time lies; from its day, if that is more than 7 days ago. Default:"
    " 24 hours ago.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document, as the API gives it.")
def figures(config: Path | None, name: str, since: datetime | None, as_json: bool) -> None:
    """Show how attempts at NAME fared: with each event, and over time. Hours and days are those of UTC.

    They are of all replicas together, and kept for as long as dead deliveries (watcher.retention.dead). A
    `run` at work adds to them once a minute. A batch is one attempt."""
    from watcher.core.figures import DAY, Span, Survey

    settings = settings_from(config, need_endpoints=False, need_mongo=False)
    now = datetime.now(UTC)
    # Of what was before there is nothing.
    begin = max(since, now - settings.retention_dead) if since is not None else now - DAY
    if begin >= now:
        raise click.BadParameter("is not in the past", param_hint="--since")
    span = Span.around(begin, now)
    found, managed = _stored(settings, name, span)
    known = [*(endpoint.name for endpoint in settings.endpoints), *managed]
    if not found and name not in known:
        told = f"no endpoint {printable(name)!r}, and no figures of one since {_time(span.since)}."
        click.echo(f"{told}\n  Known: {', '.join(known) or 'none'}.", err=True)
        sys.exit(BAD_CONFIG)
    survey = Survey.of(found, span)
    if as_json:
        from watcher.admin.api.figures import shown

        click.echo(shown(name, survey).model_dump_json())
        return
    for line in _lines(survey):
        click.echo(line)


def _stored(settings: Settings, name: str, span: Span) -> tuple[Sequence[Figure], Sequence[str]]:
    """The figures of an endpoint, and the names of managed ones."""
    from watcher import stores

    async def stored() -> tuple[Sequence[Figure], Sequence[str]]:
        async with stores.read(settings) as state:
            found = await state.figures(span.since, span.until, endpoint=name)
            return found, [each.name for each in (await state.registered()).endpoints]

    try:
        return asyncio.run(stored())
    except (OutboxError, OutboxBroken, SourceError) as error:
        click.echo(str(error), err=True)
        sys.exit(FAILED)


def _lines(survey: Survey) -> Iterator[str]:
    span, total = survey.span, survey.total
    if total.total.success is None:
        yield f"No attempts since {_time(span.since)}."
        return
    steps = [(span.since + number * span.step, step) for number, step in enumerate(total.steps)]
    yield from _table(
        f"since {_time(span.since)}",
        [
            ("all", total.total),
            *((printable(event), course.total) for event, course in survey.by_event.items()),
        ],
    )
    yield ""
    yield from _table("from", [(_time(begin), step) for begin, step in steps if step.success is not None])


def _table(heading: str, rows: Sequence[tuple[str, Attempts]]) -> Iterator[str]:
    width = max(len(heading), *(len(label) for label, _ in rows))
    yield "  ".join([f"{heading:<{width}}", *(f"{column:>9}" for column in COLUMNS)])
    for label, made in rows:
        cells = [
            f"{made.delivered}",
            f"{made.failed}",
            f"{made.success:.1%}" if made.success is not None else "",
            _duration(made.quantile_ms(0.5)),
            _duration(made.quantile_ms(0.99)),
        ]
        yield "  ".join([f"{label:<{width}}", *(f"{cell:>9}" for cell in cells)])


def _duration(ms: float | None) -> str:
    if ms is None:
        return ""
    return f"{ms:.3g} ms" if ms < 1000 else f"{ms / 1000:.3g} s"


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"
