"""`demo`: the whole story on a bare machine."""

from __future__ import annotations

import asyncio
import sys

import click

from watcher.errors import DemoError


@click.command()
def demo() -> None:
    """Show everything at work: a private MongoDB, LibreChat's writes, signed webhooks, and a kill -9.

    Needs no LibreChat, no MongoDB and no settings; leaves nothing behind. Takes some ten seconds."""
    from watcher.demo.story import tell

    try:
        good = asyncio.run(tell())
    except DemoError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    sys.exit(0 if good else 1)
