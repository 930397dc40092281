"""`endpoints`: how each receiver stands; pausing one, and letting it go on. Managing them: `managing.py`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from watcher.cli.managing import MANAGING, origin
from watcher.cli.settings import BAD_CONFIG, config_option, settings_from
from watcher.cli.terminal import printable
from watcher.errors import OutboxBroken, OutboxError, SourceError

if TYPE_CHECKING:
    from watcher.config.settings import Settings
    from watcher.core.circuits import Standing
    from watcher.core.managing import Act
    from watcher.ports import Counts

FAILED = 1


@click.group()
def endpoints() -> None:
    """The receivers: how they stand, pausing one, letting it go on; and those that are made at run time.

    All of it works while `run` is at work, which notices within a second, and without it."""


for managing_command in MANAGING:
    endpoints.add_command(managing_command)


@endpoints.command("list")
@config_option
def list_(config: Path | None) -> None:
    """Show each endpoint, how it stands, and how many deliveries it has in which state."""
    settings = settings_from(config, need_mongo=False)
    standings, counts, managed = _stored(settings)
    names = [*(endpoint.name for endpoint in settings.endpoints), *managed]
    gone = sorted({*standings, *counts} - set(names))
    width = max([len(name) for name in (*names, *gone)], default=0)
    for name in (*names, *gone):
        stands = _stands(standings.get(name)) if name in names else "gone"
        if name in managed:
            stands += "   (managed)"
        click.echo(f"{name:<{width}}  {stands}")
        if name in counts:
            each = counts[name]
            click.echo(
                f"{'':<{width}}  {each.pending} pending, {each.held} held, {each.delivered} delivered,"
                f" {each.dead} dead, {each.cancelled} cancelled"
            )


@endpoints.command()
@config_option
@click.argument("name")
@click.option("--reason", default="by an operator", show_default=True, help="Shown wherever it is asked why.")
def pause(config: Path | None, name: str, reason: str) -> None:
    """Send nothing to NAME until it is resumed. What is for it waits in the state; requests under way end."""
    from watcher.core.circuits import Standing

    settings = _settings(config, name)
    standing = Standing(state="paused", reason=printable(reason), since=datetime.now(UTC))
    _store(settings, name, standing, "endpoint.paused", reason=standing.reason)
    click.echo(f"{name} is paused.")


@endpoints.command()
@config_option
@click.argument("name")
def resume(config: Path | None, name: str) -> None:
    """Send NAME what there is again: after a pause, a 410, or at once when its circuit is open."""
    settings = _settings(config, name)
    before = _stored(settings)[0].get(name)
    if before is None:
        click.echo(f"{name} was neither paused nor down.")
        return
    _store(settings, name, None, "endpoint.resumed")
    click.echo(f"{name} goes on.")


def _settings(config: Path | None, name: str) -> Settings:
    settings = settings_from(config, need_mongo=False)
    known = [*(endpoint.name for endpoint in settings.endpoints), *_stored(settings)[2]]
    if name not in known:
        click.echo(f"no endpoint {printable(name)!r}.\n  Known: {', '.join(known) or 'none'}.", err=True)
        sys.exit(BAD_CONFIG)
    return settings


def _stored(settings: Settings) -> tuple[Mapping[str, Standing], Mapping[str, Counts], Sequence[str]]:
    """How endpoints stand, what there is for each, and the names of managed ones."""
    from watcher import stores

    async def stored() -> tuple[Mapping[str, Standing], Mapping[str, Counts], Sequence[str]]:
        async with stores.read(settings) as state:
            managed = [each.name for each in (await state.registered()).endpoints]
            return await state.standings(), await state.counts(), managed

    try:
        return asyncio.run(stored())
    except (OutboxError, OutboxBroken, SourceError) as error:
        _fail(str(error))


def _store(settings: Settings, name: str, standing: Standing | None, act: Act, **details: str) -> None:
    from watcher import stores
    from watcher.core.managing import AuditEntry

    async def store() -> bool:
        async with stores.read(settings) as state:
            if await state.checkpoint() is None:
                return False
        async with stores.beside(settings) as store:
            entry = AuditEntry(at=datetime.now(UTC), act=act, subject=name, origin=origin(), details=details)
            await store.registry.note(entry)
            return await store.outbox.stand(name, standing)

    try:
        there = asyncio.run(store())
    except (OutboxError, OutboxBroken, SourceError) as error:
        _fail(str(error))
    if not there:
        _fail(f"{settings.state}: there is no state yet.\n  Start `librechat-watcher run` once.")


def _stands(standing: Standing | None) -> str:
    if standing is None:
        return "sent what there is"
    since = standing.since.isoformat(timespec="seconds")
    match standing.state:
        case "open":
            return f"circuit open since {since}: {standing.reason}"
        case "paused":
            return f"paused since {since}: {standing.reason}"
        case "slowed":
            if standing.until is None or standing.until <= datetime.now(UTC):
                return f"sent less at once, until it takes some: {standing.reason}"
            until = standing.until.isoformat(timespec="seconds")
            return f"slowed until {until}: {standing.reason}"


def _fail(text: str) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(FAILED)
