"""`events`: the catalogue of everything that can be sent, from the mapping files: text, page, OpenAPI."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watcher import __version__
from watcher.cli.settings import refuse
from watcher.core.schemas import ADDED, BATCH_SUMMARY, Field, Fields, kind_of
from watcher.errors import ConfigError

if TYPE_CHECKING:
    from watcher.core.catalogue import CatalogueEntry


@click.command()
@click.argument("name", required=False)
@click.option(
    "--mappings",
    "paths",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A mapping file or folder of your own, as under `watcher.mappings`.",
)
@click.option("--openapi", is_flag=True, help="The whole catalogue as an OpenAPI 3.1 document, in JSON.")
@click.option("--markdown", is_flag=True, help="The whole catalogue as a page.")
def events(name: str | None, paths: tuple[Path, ...], openapi: bool, markdown: bool) -> None:
    """List the events, or show one of them with a sample of its payload and its fields."""
    from watcher.config.mappings import load_mappings
    from watcher.core.catalogue import catalogue

    if (name is not None) + openapi + markdown > 1:
        raise click.UsageError("one of NAME, --openapi and --markdown at a time")
    try:
        entries = catalogue(load_mappings(paths))
    except ConfigError as error:
        refuse(error)

    if openapi:
        click.echo(_openapi(entries))
    elif markdown:
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
            click.echo("\nFields of data:")
            width = max(map(len, entry.fields), default=0)
            for field_name, field in entry.fields.items():
                click.echo(f"  {field_name:<{width}}  {_there(field):<9}  {_told(field)}")
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
        "`librechat-watcher events --openapi` prints the same as OpenAPI 3.1, with a JSON Schema of each.",
        "",
        "Fields without a value are left out; `always`: LibreChat gives it one in every such event. A row",
        "that something else damaged is sent as it is all the same. Why something was deleted: `user`,",
        "`cascade` (its conversation or account went), `ttl` (it expired), `retention` (LibreChat's sweep).",
        "",
        "Beyond its own fields the `data` of any event may have:",
        "",
        *_table(ADDED),
        "",
        "| event | when |",
        "|---|---|",
    ]
    for entry in entries:
        note = "" if entry.documented else " *Sent only when subscribed by name.*"
        lines.append(f"| [`{entry.event}`](#{entry.event.replace('.', '')}) | {entry.summary}{note} |")
    for entry in entries:
        lines += ["", f"## {entry.event}", "", entry.summary, "", "```json", _sample(entry), "```", ""]
        lines += _table(entry.fields)
    lines += ["", "## batch", "", BATCH_SUMMARY, "`data.events` has the bodies, each as it would go alone;"]
    lines += ["`userId` is null, `webhookId` is the batch's own."]
    return "\n".join(lines) + "\n"


def _table(fields: Fields) -> Sequence[str]:
    rows = [
        f"| `{name}` | {kind_of(field.schema)} | {_there(field)} | {field.meaning} |"
        for name, field in fields.items()
    ]
    return ["| field of `data` | type | there | meaning |", "|---|---|---|---|", *rows]


def _there(field: Field) -> str:
    return "always" if field.always else "sometimes"


def _told(field: Field) -> str:
    return f"{field.meaning} ({kind_of(field.schema)})".lstrip()


def _openapi(entries: Sequence[CatalogueEntry]) -> str:
    from watcher.core.openapi import document

    return json.dumps(document(entries, version=__version__), indent=2, ensure_ascii=False)


def _sample(entry: CatalogueEntry) -> str:
    from watcher.core.samples import sample

    return json.dumps(json.loads(sample(entry, endpoint="default").body), indent=2, ensure_ascii=False)
