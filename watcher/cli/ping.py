"""`ping`: does a receiver take a signed event?"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from watcher.cli.settings import config_option, refuse, settings_from, with_managed
from watcher.errors import ConfigError

if TYPE_CHECKING:
    from watcher.core.endpoints import Endpoint
    from watcher.core.outcomes import Outcome
    from watcher.core.requests import Request

T = TypeVar("T")


@click.command()
@config_option
@click.argument("endpoint", default="default")
@click.option(
    "--event", "name", default="message.created", show_default=True, help="Which event's sample to send."
)
def ping(config: Path | None, endpoint: str, name: str) -> None:
    """Send a signed sample event to ENDPOINT now, in its form, and show status, headers and time.

    Nothing is stored and nothing is tried again. Exit 0 for a 2xx, else 1."""
    from watcher.config.mappings import load_mappings
    from watcher.core.catalogue import catalogue
    from watcher.core.outcomes import Answered, Unsendable
    from watcher.core.pings import a_ping

    settings = settings_from(config, need_mongo=False)
    if endpoint not in {each.name for each in settings.endpoints}:
        settings = with_managed(settings)
    try:
        entries = {entry.event: entry for entry in catalogue(load_mappings(settings.mapping_paths))}
    except ConfigError as error:
        refuse(error)
    target = _named(endpoint, {each.name: each for each in settings.endpoints}, "endpoint")
    entry = _named(name, {str(event): entry for event, entry in entries.items()}, "event")

    identity, request = a_ping(entry, target, now=datetime.now(UTC), chance=secrets.token_hex(12))
    if isinstance(request, Unsendable):
        click.echo(f"no request can be made of this sample: {request.reason}", err=True)
        sys.exit(1)
    outcome, took = asyncio.run(_send(request))
    _show(target, identity, outcome, took)
    sys.exit(0 if isinstance(outcome, Answered) and 200 <= outcome.status < 300 else 1)


async def _send(request: Request) -> tuple[Outcome, float]:
    from watcher.adapters.http.sender import HttpSender

    async with HttpSender() as sender:
        began = time.monotonic()
        outcome = await sender.send(request)
        return outcome, time.monotonic() - began


def _show(endpoint: Endpoint, identity: str, outcome: Outcome, took: float) -> None:
    from watcher.core.outcomes import Answered

    click.echo(f"endpoint  {endpoint.name}\nid        {identity}")
    if isinstance(outcome, Answered):
        click.echo(f"status    {outcome.status}")
        for name, value in outcome.headers:
            click.echo(f"          {name}: {value}")
    else:
        click.echo(f"failed    {getattr(outcome, 'reason', 'not sent')}")
    click.echo(f"time      {took * 1000:.0f} ms")


def _named(name: str, known: dict[str, T], what: str) -> T:
    if name in known:
        return known[name]
    close = get_close_matches(name, known, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    click.echo(f"no {what} {name!r}.{hint}\n  Known: {', '.join(known)}.", err=True)
    sys.exit(2)
