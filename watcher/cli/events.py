"""`events`: the catalogue of everything that can be sent, from the mapping files."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watcher.cli.settings import refuse
from watcher.errors import ConfigError

if TYPE_CHECKING:
    from watcher.core.examples import CatalogueEntry


@click.command()
@click.argument("name", required=False)
@click.option(
    "--mappings",
    "paths",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A mapping file or folder of your own, as under `watcher.mappings`.",
)
@click.option("--markdown", is_flag=True, help="The whole catalogue as a page.")
def events(name: str | None, paths: tuple[Path, ...], markdown: bool) -> None:
    """List the events, or show one of them with a sample of its payload."""
    from watcher.config.mappings import load_mappings
    from watcher.core.examples import catalogue

    try:
        entries = catalogue(load_mappings(paths))
    except ConfigError as error:
        refuse(error)

    if markdown:
        click.echo(_page(entries), nl=False)
    elif name is None:
        _list(entries)
    else:
        _show(name, entries)


def _list(entries: Sequence[CatalogueEntry]) -> None:
    for entry in entries:
        note = "" if entry.documented else "  (only when subscribed by name)"
        click.echo(f"{entry.event:<24}{entry.summary}{note}")


def _show(name: str, entries: Sequence[CatalogueEntry]) -> None:
    for entry in entries:
        if entry.event == name:
            click.echo(f"{entry.event}: {entry.summary}\n")
            click.echo(_sample(entry))
            click.echo(f"\ndata may have: {', '.join(entry.fields)}")
            return
    close = get_close_matches(name, [entry.event for entry in entries], n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    click.echo(f"no event {name!r}.{hint}\n  `librechat-watcher events` lists them all.", err=True)
    sys.exit(2)


def _page(entries: Sequence[CatalogueEntry]) -> str:
    lines = [
        "# Events",
        "",
        "Made from the mapping files by `make docs`; each sample is a rule's example, which runs as a test.",
        "Absent fields are left out. Why something was deleted: `user`, `cascade` (its conversation or",
        "account went), `ttl` (it expired), `retention` (LibreChat's sweep).",
        "",
        "| event | when |",
        "|---|---|",
    ]
    for entry in entries:
        note = "" if entry.documented else " *Sent only when subscribed by name.*"
        lines.append(f"| [`{entry.event}`](#{entry.event.replace('.', '')}) | {entry.summary}{note} |")
    for entry in entries:
        lines += ["", f"## {entry.event}", "", entry.summary, "", "```json", _sample(entry), "```", ""]
        lines.append(f"`data` may have: {', '.join(f'`{field}`' for field in entry.fields)}.")
    return "\n".join(lines) + "\n"


def _sample(entry: CatalogueEntry) -> str:
    from watcher.core.samples import sample

    return json.dumps(json.loads(sample(entry, endpoint="default").body), indent=2, ensure_ascii=False)
