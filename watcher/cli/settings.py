"""What every command that reads the settings shares: its flags, and how bad settings are told."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from watcher.errors import ConfigError, OutboxBroken, OutboxError, SourceError

if TYPE_CHECKING:
    from watcher.config.settings import Settings
    from watcher.core.managing import Registered

BAD_CONFIG = 2
"""Exit code of every command when the settings are wrong: nothing was started."""

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The settings' file. Else WATCHER_CONFIG, else ./webhooks.yaml when it exists.",
)


def settings_from(
    config: Path | None, *, need_endpoints: bool = True, need_mongo: bool = True, **flags: str | None
) -> Settings:
    """Load the settings; or print every problem and exit with 2."""
    try:
        return loaded(config, need_endpoints=need_endpoints, need_mongo=need_mongo, **flags)
    except ConfigError as error:
        refuse(error)


def loaded(
    config: Path | None, *, need_endpoints: bool = True, need_mongo: bool = True, **flags: str | None
) -> Settings:
    """Load the settings. Raises ConfigError."""
    from watcher.config.loading import load

    return load(
        file=config,
        env=os.environ,
        flags={name: value for name, value in flags.items() if value is not None},
        need_endpoints=need_endpoints,
        need_mongo=need_mongo,
    )


def with_managed(settings: Settings) -> Settings:
    """The settings with the managed endpoints of the state; or print what is wrong with them and exit with 2.

    A state that cannot be read now is told of, and the settings are as they stand in the file."""
    from watcher import stores
    from watcher.managed import joined

    async def registered() -> Registered:
        async with stores.read(settings) as state:
            return await state.registered()

    try:
        return joined(settings, asyncio.run(registered()))
    except ConfigError as error:
        refuse(error)
    except (OutboxError, OutboxBroken, SourceError) as error:
        click.echo(f"Endpoints that were made at run time are left out: {error}\n", err=True)
        return settings


def refuse(error: ConfigError) -> NoReturn:
    """Print every problem and exit with 2."""
    count = len(error.problems)
    click.echo(
        f"The settings have {count} problem{'s' if count != 1 else ''}; nothing was started.\n", err=True
    )
    for problem in error.problems:
        click.echo(f"{problem}\n", err=True)
    sys.exit(BAD_CONFIG)
