"""`mappings test`: runs the examples that the mapping files carry."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from watcher.cli.settings import refuse
from watcher.errors import ConfigError

FAILED = 1


@click.group()
def mappings() -> None:
    """The files that say which change is which event."""


@mappings.command()
@click.option(
    "--mappings",
    "paths",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A mapping file or folder of your own, as under `watcher.mappings`. May be given several times.",
)
def test(paths: tuple[Path, ...]) -> None:
    """Run the examples of all mapping files, ours and yours.

    Exit 0: all hold. 1: some do not; each is shown with file and line. 2: a file is wrong."""
    from watcher.config.mappings import load_mappings
    from watcher.core.examples import Failure, failures

    try:
        loaded = load_mappings(paths)
    except ConfigError as error:
        refuse(error)

    failed: list[Failure] = []
    for mapping in loaded:
        found = list(failures(mapping))
        failed += found
        examples = sum(len(rule.examples) for rule in mapping.rules)
        verdict = f"{len(found)} FAILED" if found else "all hold"
        click.echo(
            f"{mapping.collection:<16} {len(mapping.rules):>3} rules  {examples:>3} examples  {verdict}"
        )
    for failure in failed:
        click.echo(f"\n{failure.example.place}: {failure.event or 'a rule without an event'}")
        click.echo(f"  given     {_json(failure.example.given)}")
        click.echo(f"  expected  {_json(failure.expected)}")
        click.echo(f"  got       {_json(failure.got)}")
    if failed:
        sys.exit(FAILED)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
