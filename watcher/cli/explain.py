"""`explain`: why a change is sent or not; and what became of a document's events."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from watcher.cli.settings import BAD_CONFIG, config_option, refuse, settings_from, with_managed
from watcher.cli.terminal import printable
from watcher.core.encoding import encode
from watcher.errors import ConfigError, InputError, OutboxBroken, OutboxError, Problem

if TYPE_CHECKING:
    from watcher.config.settings import Settings
    from watcher.tracing import Trace

FAILED = 1


@click.command()
@config_option
@click.argument("file", required=False)
@click.option(
    "--document",
    nargs=2,
    metavar="COLLECTION ID",
    help="What became of this document's events. ID: its `_id`, or LibreChat's own id of it.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of words.")
def explain(config: Path | None, file: str | None, document: tuple[str, str] | None, as_json: bool) -> None:
    """Explain what becomes of the change events in FILE (`-`: standard input), rule by rule and why.

    FILE has events of MongoDB's change stream as Extended JSON (in mongosh: EJSON.stringify(event)), one or
    several; each is seen in the light of those before it, with what they hold and leave behind. Nothing is
    stored or sent, and MongoDB is not asked. Of a row nothing is shown but what events may carry.

    With --document, what the state knows of one document's events: state, attempts, last answer, next try.
    It may run beside `run`. MongoDB is asked only to find a document by an id of LibreChat's own.

    Exit 1: the state cannot be read; 2: bad settings, or a FILE that cannot be understood."""
    if (file is None) == (document is None):
        raise click.UsageError("one of FILE and --document COLLECTION ID")
    settings = settings_from(config, need_endpoints=False, need_mongo=False)
    if settings.secret_keys:
        settings = with_managed(settings)
    try:
        if file is not None:
            asyncio.run(_explain(settings, file, as_json))
        elif document is not None:
            asyncio.run(_trace(settings, *document, as_json))
    except ConfigError as error:
        refuse(error)
    except InputError as error:
        _refuse(error)
    except (OutboxError, OutboxBroken) as error:
        click.echo(str(error), err=True)
        sys.exit(FAILED)


async def _explain(settings: Settings, file: str, as_json: bool) -> None:
    from watcher.adapters.mongo.recording import read_recording
    from watcher.cli.explanations import as_record, in_words
    from watcher.cli.fates import fate_lines, fate_record
    from watcher.inquiry import Inquiry

    recording = read_recording(_text_of(file), "standard input" if file == "-" else file)
    inquiry = Inquiry(settings)
    records = []
    for number, recorded in enumerate(recording, start=1):
        answer = await inquiry.explain(recorded)
        if as_json:
            records.append(as_record(answer))
        else:
            _say(*in_words(number, answer), "")
    held = await inquiry.held()
    if as_json:
        _print({"changes": records, "held": [fate_record(fate) for fate in held]})
    elif held:
        _say("Held still at the end:", *(line for fate in held for line in fate_lines(fate)))


async def _trace(settings: Settings, collection: str, identity: str, as_json: bool) -> None:
    from watcher.tracing import trace

    found = await trace(settings, collection, identity)
    if as_json:
        _print(_trace_record(found))
    else:
        _say(*_trace_lines(found))


def _trace_record(found: Trace) -> dict[str, Any]:
    from watcher.cli.fates import fate_record

    rows = [{"row": each.row, "deliveries": list(map(fate_record, each.fates))} for each in found.rows]
    return {"rows": rows, "notes": found.notes}


def _trace_lines(found: Trace) -> list[str]:
    from watcher.cli.fates import fate_lines
    from watcher.tracing import NEWEST

    lines = []
    for each in found.rows:
        count = (
            f"the newest {NEWEST} deliveries"
            if len(each.fates) == NEWEST
            else f"{len(each.fates)} deliveries"
        )
        lines += [
            f"{printable(each.row)}: {count}",
            *(line for fate in each.fates for line in fate_lines(fate)),
            "",
        ]
    if not any(each.fates for each in found.rows):
        lines.append("Nothing is known of its events.")
    return lines + list(found.notes)


def _text_of(file: str) -> str:
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError([Problem(where=file, what="is no UTF-8 text", cure="save it as UTF-8")]) from None
    except OSError as error:
        cure = "correct the path, or write - for standard input"
        raise InputError([Problem(where=file, what=f"cannot be read: {error.strerror}", cure=cure)]) from None


def _refuse(error: InputError) -> NoReturn:
    for problem in error.problems:
        click.echo(f"{problem}\n", err=True)
    sys.exit(BAD_CONFIG)


def _say(*lines: str) -> None:
    for line in lines:
        click.echo(line)


def _print(document: dict[str, Any]) -> None:
    """Written as bodies are: names and ids of documents may be as odd as what is in them."""
    click.echo(json.dumps(json.loads(encode(document)), indent=2, ensure_ascii=False))
