"""`backfill`: created-type events for documents that were there before anybody listened."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watcher.cli.settings import BAD_CONFIG, config_option, refuse, settings_from, with_managed
from watcher.cli.tail import moment
from watcher.errors import ConfigError, OutboxBroken, OutboxError, SourceError

if TYPE_CHECKING:
    from watcher.config.settings import Settings
    from watcher.core.backfill import Backfill
    from watcher.core.facts import Fact

FAILED = 1

GOES_ON = "Given again, the command goes on from here."

LINE = 50_000
"""Documents between two lines."""


@click.command()
@config_option
@click.option(
    "--since",
    type=moment,
    required=True,
    metavar="TIME",
    help="Documents that came at this time or later: 2026-01-01, 2026-11-24T08:00:00Z. Without a zone, UTC.",
)
@click.option(
    "--until", type=moment, default="now", metavar="TIME", help="… and before this time. Default: now."
)
@click.option(
    "--event",
    "events",
    multiple=True,
    metavar="NAME",
    help="Only this event; may be given several times. Default: conversation.created, message.created, "
    "user.registered, agent.created and file.uploaded.",
)
def backfill(
    config: Path | None, since: datetime | None, until: datetime | None, events: tuple[str, ...]
) -> None:
    """Send created-type events for documents that already exist, to the endpoints that subscribe to them.

    When a document came is told by its _id. Filters apply as ever. Ids follow from the documents: given
    again, the command goes on where it was stopped, and sends nothing twice that the state still has.

    While `run` is at work on the same state it delivers them, between what happens meanwhile; else this
    command does. Exit 0: all is stored (and, without a `run`, delivered or dead); 1: it broke off; 2: bad
    settings."""
    from watcher.filling import NothingToFill

    settings = with_managed(settings_from(config))
    if since is None:  # `now`
        since = datetime.now(UTC)
    progress = Progress()
    try:
        done, delivered = asyncio.run(
            _until_told_to_stop(settings, since=since, until=until, events=events, progress=progress)
        )
    except ConfigError as error:
        refuse(error)
    except NothingToFill as error:
        click.echo(str(error), err=True)
        sys.exit(BAD_CONFIG)
    except (SourceError, OutboxError, OutboxBroken) as error:
        progress.end()
        click.echo(f"{error}\n{GOES_ON}", err=True)
        sys.exit(FAILED)
    except asyncio.CancelledError:
        progress.end()
        click.echo(f"Stopped. {GOES_ON}", err=True)
        sys.exit(FAILED)
    progress.end()
    where = (
        "all delivered, dead, or for an endpoint that is paused"
        if delivered
        else "`librechat-watcher run`, which is at work, delivers them"
    )
    click.echo(f"{done.rows} documents looked at, {done.stored} new deliveries; {where}.")


async def _until_told_to_stop(
    settings: Settings,
    *,
    since: datetime,
    until: datetime | None,
    events: tuple[str, ...],
    progress: Progress,
) -> tuple[Backfill, bool]:
    from watcher.filling import fill

    this = asyncio.current_task()
    assert this is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, this.cancel)
    return await fill(
        settings,
        since=since,
        until=until,
        events=events,
        observe=progress.observe,
        waiting=progress.waiting,
    )


class Progress:
    """A bar on a terminal; elsewhere a line now and then. On standard error, both."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._next_line = 0
        self._waits = False

    def observe(self, fact: Fact) -> None:
        from watcher.core.facts import Backfilled, Refused, Unreadable

        match fact:
            case Backfilled(rows=rows, total=total):
                last = rows >= total
                self._show(f"{fact.collection}: {fact.stored} new deliveries", rows, total, told=last)
            case Unreadable(collection=collection, reason=reason):
                click.echo(f"{collection}: {reason}", err=True)
            case Refused(endpoint=endpoint, reason=reason):
                click.echo(f"{endpoint}: {reason}", err=True)
            case _:
                pass

    def waiting(self, pending: int) -> None:
        """What is stored and has yet to be sent. Without a bar it is said once: it may take long."""
        if self._bar is not None:
            self._bar.update(self._task, description=f"{pending} still to be sent")
        elif pending and not self._waits:
            self._waits = True
            click.echo(f"{pending} still to be sent", err=True)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _show(self, what: str, rows: int, total: int, *, told: bool) -> None:
        if sys.stderr.isatty():
            self._draw(what, rows, total)
        elif told or rows >= self._next_line:
            self._next_line = rows + LINE
            click.echo(f"{rows} of about {total} documents looked at; {what}", err=True)

    def _draw(self, what: str, rows: int, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        if self._bar is None:
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
            self._bar = RichProgress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task(what, total=total)
            self._bar.start()
        self._bar.update(self._task, completed=rows, total=total, description=what)
