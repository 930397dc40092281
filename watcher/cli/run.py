"""`run`: the sidecar."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from watcher.cli.settings import config_option, loaded, refuse
from watcher.errors import ConfigError, PositionLost, WatcherError

if TYPE_CHECKING:
    from watcher.config.settings import Settings

ErrorOf = TypeVar("ErrorOf", bound=WatcherError)

SWITCH_SECONDS = 0.00005
"""After so long a busy event loop gives the interpreter up. The thread that commits asks for it back after
each statement: with Python's 5 ms a commit under load takes twice as long, and capture waits for it."""

FAILED = 1
POSITION_LOST = 3


@click.command()
@config_option
@click.option("--state", help="Where deliveries and the position are stored: sqlite:///ABSOLUTE/PATH.")
@click.option("--http", help="HOST:PORT for health and metrics.")
@click.option("--log", type=click.Choice(["json", "console"]), help="How log lines look.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="The least that is logged."
)
def run(
    config: Path | None, state: str | None, http: str | None, log: str | None, log_level: str | None
) -> None:
    """Run the sidecar: watch, map, store, deliver, serve health and metrics.

    Settings and mounted secrets are read again when they change, and on SIGHUP.
    SIGTERM or Ctrl-C lets attempts in flight end and exits 0. Exit 1: MongoDB or the state refuses (the
    message says the cure); 2: bad settings; 3: the position is lost and `onPositionLost` says to stop."""
    try:
        with asyncio.Runner(loop_factory=_loop) as runner:
            runner.run(
                _until_told_to_stop(
                    lambda: loaded(config, state=state, http=http, log=log, log_level=log_level)
                )
            )
    except* ConfigError as errors:
        refuse(_first(errors))
    except* PositionLost as errors:
        _fail(_first(errors), POSITION_LOST)
    except* WatcherError as errors:
        _fail(_first(errors), FAILED)


async def _until_told_to_stop(load: Callable[[], Settings]) -> None:
    from watcher import app

    sys.setswitchinterval(SWITCH_SECONDS)
    stopping, asked = asyncio.Event(), asyncio.Event()
    for name, event in ((signal.SIGTERM, stopping), (signal.SIGINT, stopping), (signal.SIGHUP, asked)):
        asyncio.get_running_loop().add_signal_handler(name, event.set)
    await app.run(load, stopping=stopping, asked=asked)


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # not made for this platform: the standard loop serves, a little slower
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _fail(error: WatcherError, code: int) -> None:
    click.echo(str(error), err=True)
    sys.exit(code)


def _first(group: BaseExceptionGroup[ErrorOf]) -> ErrorOf:
    """The tasks of `run` end together: what ended the first of them is what the operator must know."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
