"""The commands: thin. Each parses, calls, prints. A command is imported only when it is used, so that the
sidecar does not carry what only a person at a terminal needs."""

from __future__ import annotations

from importlib import import_module

import click

from watcher import __version__

COMMANDS = {
    "run": "watcher.cli.run:run",
    "demo": "watcher.cli.demo:demo",
    "check": "watcher.cli.check:check",
    "prepare": "watcher.cli.prepare:prepare",
    "listen": "watcher.cli.listen:listen",
    "tail": "watcher.cli.tail:tail",
    "backfill": "watcher.cli.backfill:backfill",
    "explain": "watcher.cli.explain:explain",
    "events": "watcher.cli.events:events",
    "deliveries": "watcher.cli.deliveries:deliveries",
    "endpoints": "watcher.cli.endpoints:endpoints",
    "ping": "watcher.cli.ping:ping",
    "mappings": "watcher.cli.mappings:mappings",
}


class Commands(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=Commands)
@click.version_option(__version__)
def commands() -> None:
    """Webhooks for an unmodified LibreChat: signed, in order, and none is missed.

    `demo` shows the whole story on any machine. Beside a LibreChat: `check`, `prepare`, `run`."""
