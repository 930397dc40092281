"""`prepare`: what MongoDB needs, once."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import click

from watcher.cli.settings import config_option, refuse, settings_from
from watcher.errors import ConfigError, SourceError, SourceUnavailable

WAIT_SECONDS = 60
"""In compose, `prepare` and mongod start together; a large database needs some time."""


@click.command()
@config_option
@click.option("--uri", help="MongoDB URI of a user with dbAdmin, instead of MONGO_URI.")
@click.option(
    "--init-replica-set",
    "host",
    metavar="HOST:PORT",
    help="First make this single server (started with --replSet) a replica set. HOST:PORT is the name under "
    "which LibreChat reaches it, as in its MONGO_URI.",
)
def prepare(config: Path | None, uri: str | None, host: str | None) -> None:
    """Prepare MongoDB: turn pre-images on for the watched collections, and say what was changed.

    Without pre-images a delete tells nothing but an internal _id. Safe to run twice; LibreChat may run."""
    settings = settings_from(config, need_endpoints=False, mongo_uri=uri)
    from watcher.adapters.mongo.prepare import enable_pre_images, initiate_replica_set
    from watcher.config.mappings import load_mappings

    try:
        collections = [mapping.collection for mapping in load_mappings(settings.mapping_paths)]
    except ConfigError as error:
        refuse(error)

    async def act() -> None:
        if host is not None:
            done = await initiate_replica_set(host, uri=settings.mongo_uri)
            state = "initiated" if done.changed else "was initiated before"
            click.echo(f"replica set {done.set_name} on {done.host}: {state}")
        for each in await enable_pre_images(settings.mongo_uri, settings.database, collections):
            click.echo(f"{settings.database}.{each.collection}: pre-images {each.change}")

    try:
        _patiently(act)
    except SourceError as error:
        click.echo(str(error), err=True)
        sys.exit(1)


def _patiently(act: Callable[[], Coroutine[None, None, None]]) -> None:
    """MongoDB may still be starting: try for a while before giving up."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return asyncio.run(act())
        except SourceUnavailable as error:
            if time.monotonic() > deadline:
                raise
            click.echo(f"{error}; trying again", err=True)
            time.sleep(1)
