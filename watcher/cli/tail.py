"""`tail`: the events that would be sent, as they happen."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watcher.cli.settings import config_option, refuse, settings_from, with_managed
from watcher.cli.terminal import indented, printable
from watcher.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from watcher.config.settings import Settings
    from watcher.core.facts import Fact
    from watcher.showing import NothingRemembered, Shown

FAILED = 1
ENVELOPE = {"event", "timestamp", "data", "userId"}


def moment(text: str) -> datetime | None:
    """An ISO 8601 time, or `now`."""
    from pydantic_core import PydanticCustomError

    from watcher.config import values

    try:
        return values.moment(text)
    except PydanticCustomError as error:
        told = error.context or {}
        raise click.BadParameter(f"{text!r} is {told['what']}: {told['cure']}") from None


@click.command()
@config_option
@click.option(
    "--since",
    type=moment,
    default="now",
    metavar="TIME",
    help="Begin with what changed at this time, which the oplog must still reach: 2026-11-24T08:00:00Z. "
    "Without a zone it is UTC. Default: now.",
)
@click.option("--json", "as_json", is_flag=True, help="One body per line, as where there is no terminal.")
def tail(config: Path | None, since: datetime | None, as_json: bool) -> None:
    """Print the events that would be sent, as they happen. Delivers nothing and touches no state.

    Needs MONGO_URI; no secret and no URL. With endpoints: what they subscribe to and their filters let pass,
    each event once. Without: every event. Answers still being written, and logins, are held as in `run`.

    On a terminal: when, what, for whom, and the data. Elsewhere, or with --json: each body on a line of its
    own, byte for byte as the first endpoint that wants it would get it (`tail | jq .data`). Everything else
    goes to standard error. Ctrl-C ends it."""
    settings = settings_from(config, need_endpoints=False)
    if settings.secret_keys:
        settings = with_managed(settings)
    teller = Teller(bodies=as_json or not sys.stdout.isatty())
    if not settings.endpoints:
        teller.say("No endpoint is configured: every event is shown, those beyond the sixteen too.")
    try:
        asyncio.run(_until_told_to_stop(settings, since, teller))
    except ConfigError as error:
        refuse(error)
    except SourceError as error:
        click.echo(str(error), err=True)
        sys.exit(FAILED)
    except BrokenPipeError:
        # Who read has seen enough (`| head`). What is left in the buffer must find a way out all the same.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    teller.say(teller.summary)


async def _until_told_to_stop(settings: Settings, since: datetime | None, teller: Teller) -> None:
    from watcher.tailing import tail

    this = asyncio.current_task()
    assert this is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, this.cancel)
    with suppress(asyncio.CancelledError):
        await tail(settings, since=since, show=teller.show, observe=teller.observe)


class Teller:
    """Events to standard output; what there is to say of them to standard error."""

    def __init__(self, *, bodies: bool) -> None:
        self._bodies = bodies
        self._events = 0
        self._untold: Counter[str] = Counter()
        self._warned = False

    def show(self, shown: Shown) -> None:
        self._events += 1
        from watcher.core.encoding import timestamp

        delivery = shown.delivery
        if self._bodies:
            click.echo(delivery.body)
            return
        head = (
            timestamp(delivery.at),
            click.style(f"{delivery.event:<22}", bold=True),
            f"→ {', '.join(shown.endpoints)}",
        )
        click.echo("  ".join(head))
        click.echo(indented(_told(json.loads(delivery.body)), by=2))

    def observe(self, fact: Fact | NothingRemembered) -> None:
        from watcher.core import facts
        from watcher.showing import NothingRemembered

        match fact:
            case facts.StreamOpened():
                self.say("Reading again." if fact.resumed else "Reading (Ctrl-C ends).")
            case facts.StreamLost():
                self.say(f"{fact.reason}\nTrying again.")
            case facts.PositionRestarted():
                self.say(f"{fact.reason}\nGoing on from now; what happened meanwhile is not shown.")
            case facts.Unreadable():
                self._untold[f"{fact.event or fact.collection}: {fact.reason}"] += 1
            case facts.Refused():
                self._untold[f"{fact.event} for {fact.endpoint}: {fact.reason}"] += 1
            case NothingRemembered() if not self._warned:
                self._warned = True
                names = ", ".join(fact.collections)
                self.say(
                    f"No pre-images are kept of {names}: deletions there are shown of rows written since\n"
                    "this began, others are counted. `librechat-watcher prepare` turns pre-images on."
                )
            case _:
                pass

    def say(self, text: str) -> None:
        click.echo(printable_lines(text), err=True)

    @property
    def summary(self) -> str:
        lines = [f"{self._events} event{'' if self._events == 1 else 's'} shown"]
        lines += [f"{count} could not be told: {what}" for what, count in sorted(self._untold.items())]
        return "\n".join(lines)


def _told(body: Any) -> Any:
    """Of the documented body, what its line does not tell; of another form, all of it."""
    documented = isinstance(body, dict) and body.keys() >= ENVELOPE
    return body["data"] if documented else body


def printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.splitlines()))
