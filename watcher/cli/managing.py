"""`endpoints`: those that are made at run time: shown, made, changed, tried, dropped; and who did what."""

from __future__ import annotations

import asyncio
import getpass
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click

from watcher.cli.settings import BAD_CONFIG, config_option, refuse, settings_from
from watcher.cli.terminal import indented, printable
from watcher.errors import ConfigError, OutboxBroken, OutboxError, SourceError

if TYPE_CHECKING:
    from watcher.admin.managing import Made, Managing
    from watcher.config.settings import Settings
    from watcher.core.managing import AuditEntry, Origin
    from watcher.core.trials import Tried
    from watcher.stores import Beside

FAILED = 1

TAKEN_UP = 2.0
"""Seconds after which every replica at work has noticed a change."""

file_argument = click.argument("file", type=click.File("r", encoding="utf-8"), metavar="FILE")


@click.command()
@config_option
@file_argument
def create(config: Path | None, file: TextIO) -> None:
    """Make an endpoint of FILE (`-`: standard input), which has the keys of one of `webhooks.endpoints`.

    YAML or JSON. It is kept in the state, encrypted with the key of WATCHER_SECRET_KEY; a `run` that is at
    work takes it up within two seconds. Without a secret it gets one, which is printed this once."""
    definition = _definition(file)

    async def work(managing: Managing, beside: Beside) -> None:
        name = definition.get("name")
        is_free = isinstance(name, str) and await managing.is_free(name)
        if is_free and (waiting := await _waiting(beside, str(name))):
            _fail(
                f"{waiting} deliveries wait for an endpoint of this name that is gone.\n"
                f"  Cancel them first (endpoints delete {name}), or take another name."
            )
        made = await managing.create(definition, origin())
        await beside.outbox.stand(made.managed.stored.name, None)  # that one of this name was paused is over
        _tell_made(made, "is made")

    _managing(config, work)


@click.command()
@config_option
@click.argument("name")
@file_argument
def change(config: Path | None, name: str, file: TextIO) -> None:
    """Change the managed endpoint NAME by FILE (`-`: standard input): keys get another value, or none (null).

    What FILE does not speak of stays; mappings are merged."""
    patch = _definition(file)

    async def work(managing: Managing, _: Beside) -> None:
        _tell_made(await managing.change(name, patch, origin(), seen=None), "is changed")

    _managing(config, work)


@click.command()
@config_option
@click.argument("name")
@click.option("--drop-old", is_flag=True, help="Do not sign with the one before as well.")
@click.option(
    "--secret-file",
    type=click.File("r", encoding="utf-8"),
    help="Has the new secret (`-`: standard input); else one is made, and printed this once.",
)
def rotate(config: Path | None, name: str, drop_old: bool, secret_file: TextIO | None) -> None:
    """Sign for the managed endpoint NAME with another secret from now on.

    The one before signs beside it where there is room (`signing: standard` or `both`), until `retire`."""
    secret = secret_file.read().strip() if secret_file is not None else None

    async def work(managing: Managing, _: Beside) -> None:
        made = await managing.rotate(name, origin(), secret=secret, keep_old=not drop_old)
        _tell_made(made, "signs with another secret")

    _managing(config, work)


@click.command()
@config_option
@click.argument("name")
def retire(config: Path | None, name: str) -> None:
    """Forget the secrets of NAME of before the last rotation."""

    async def work(managing: Managing, _: Beside) -> None:
        _tell_made(await managing.retire(name, origin()), "signs with one secret only")

    _managing(config, work)


@click.command()
@config_option
def reseal(config: Path | None) -> None:
    """Encrypt with the first key of watcher.secretKey what an older one still opens."""

    async def work(managing: Managing, _: Beside) -> None:
        click.echo(f"{await managing.reseal(origin())} endpoints are encrypted anew.")

    _managing(config, work)


@click.command()
@config_option
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(config: Path | None, name: str, yes: bool) -> None:
    """Drop the managed endpoint NAME, and cancel what waits for it; or what waits for one that is gone.

    Needs no key. What was sent to it stays in the log."""

    async def work(managing: Managing, beside: Beside) -> None:
        from watcher.admin.managing import NotDone

        spelled = await managing.spelled(name) or name
        waiting = await _waiting(beside, spelled)
        if not yes:
            click.confirm(f"Drop {spelled}? {waiting} deliveries wait for it.", abort=True, err=True)
        try:
            await managing.delete(spelled, origin())
        except NotDone as error:
            if error.why != "unknown" or not waiting:
                raise
        else:
            await beside.outbox.stand(spelled, None)
            if not beside.alone:
                await asyncio.sleep(TAKEN_UP)  # what is told of until then waits, too
        click.echo(f"{spelled} is dropped; {await _cancel(beside, spelled)} deliveries are cancelled.")

    _managing(config, work, keyless=True)


@click.command()
@config_option
@click.argument("name")
def show(config: Path | None, name: str) -> None:
    """Show the definition of the managed endpoint NAME; what may be secret in it is hidden."""

    async def work(managing: Managing, _: Beside) -> None:
        from watcher.admin.managing import veiled

        for each in await managing.every():
            if each.stored.name.lower() == name.lower():
                click.echo(indented(veiled(each.definition), by=0))
                return
        _fail(f"no managed endpoint {printable(name)!r} that can be opened.")

    _managing(config, work)


@click.command("try")
@config_option
@click.option("--name", help="FILE is a change of this managed endpoint.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Of so many events."
)
@click.option("--body", is_flag=True, help="Show bodies as they would be sent, with what people wrote.")
@file_argument
def try_(config: Path | None, file: TextIO, name: str | None, limit: int, body: bool) -> None:
    """Tell what an endpoint defined by FILE would have got of the newest events, and why not of the others.

    Reads MongoDB's oplog for at most some seconds. Nothing is stored, and nothing is sent."""
    definition = _definition(file)
    settings = settings_from(config)

    async def work() -> None:
        from watcher.adapters.clock import SystemClock
        from watcher.trying import recent

        async with _open(settings, keyless=name is None) as (managing, _):
            endpoint = await managing.candidate(definition, name)
        trial = await recent(settings, endpoint, limit=limit, clock=SystemClock())
        for each in reversed(trial.tried):
            _tell_tried(each, body=body)
        sent = sum(each.body is not None for each in trial.tried)
        since = f" since {trial.since.isoformat(timespec='seconds')}" if trial.since is not None else ""
        click.echo(f"{sent} of the {len(trial.tried)} newest events{since} would be sent.", err=True)
        if trial.trouble is not None:
            click.echo(trial.trouble, err=True)
        elif not trial.caught_up:
            click.echo("There was no time to reach the newest ones.", err=True)

    _run(work())


@click.command()
@config_option
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document per line.")
def audit(config: Path | None, limit: int, as_json: bool) -> None:
    """Show what operators did, the newest first: when, what, from which address."""
    settings = settings_from(config, need_endpoints=False, need_mongo=False)

    async def work() -> None:
        from watcher import stores

        async with stores.read(settings) as state:
            for _, entry in await state.audit(before=None, limit=limit):
                click.echo(json.dumps(_record(entry)) if as_json else _line(entry))

    _run(work())


MANAGING = (show, create, change, rotate, retire, delete, try_, reseal, audit)
"""Commands of `endpoints`."""


def origin() -> Origin:
    """This command's, for the audit list."""
    from watcher.core.managing import Origin

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        user = "somebody"
    return Origin(way="cli", address=f"{user}@{socket.gethostname()}")


# ---------------------------------------------------------------------- work on the state


def _managing(
    config: Path | None,
    work: Callable[[Managing, Beside], Coroutine[Any, Any, None]],
    *,
    keyless: bool = False,
) -> None:
    # Without a key the file may name nobody: `run` does not start by it, and this is what mends that.
    settings = settings_from(config, need_endpoints=not keyless, need_mongo=False)

    async def whole() -> None:
        async with _open(settings, keyless=keyless) as (managing, beside):
            await work(managing, beside)

    _run(whole())


@asynccontextmanager
async def _open(settings: Settings, *, keyless: bool) -> AsyncIterator[tuple[Managing, Beside]]:
    from watcher import stores
    from watcher.adapters.clock import SystemClock
    from watcher.admin.managing import IS_OFF, Managing
    from watcher.managed import sealing_by

    if not keyless and not settings.secret_keys:
        _fail(IS_OFF)
    async with stores.read(settings) as state:
        if await state.checkpoint() is None:
            _fail(f"{settings.state}: there is no state yet.\n  Start `librechat-watcher run` once.")
    async with stores.beside(settings) as beside:
        managing = Managing(
            beside.registry,
            sealing=lambda: sealing_by(settings),
            define=settings.define,
            locked=lambda: {endpoint.name for endpoint in settings.endpoints},
            clock=SystemClock(),
        )
        yield managing, beside


async def _waiting(beside: Beside, name: str) -> int:
    counts = (await beside.outbox.counts()).get(name)
    return counts.held + counts.pending if counts is not None else 0


async def _cancel(beside: Beside, name: str) -> int:
    from watcher.admin.changing import change as change_all
    from watcher.core.searching import Wanted

    pages = change_all(beside.log, Wanted(endpoints=(name,)), "cancel", reason="the endpoint was deleted")
    return sum([page.changed async for page in pages])


def _run(work: Coroutine[Any, Any, None]) -> None:
    from watcher.admin.managing import NotDone

    try:
        asyncio.run(work)
    except ConfigError as error:
        refuse(error)
    except (NotDone, OutboxError, OutboxBroken, SourceError) as error:
        _fail(str(error))


# ---------------------------------------------------------------------- in and out


def _definition(file: TextIO) -> dict[str, Any]:
    from watcher.config.yaml_positions import parse

    parsed = parse(file.read())
    for fault in parsed.faults:
        click.echo(f"{file.name}:{fault.position.line}: {fault.what}\n  {fault.cure}", err=True)
    if not parsed.faults and not isinstance(parsed.value, dict):
        click.echo(
            f"{file.name}: this is no mapping of keys to values\n  write `name: crm`, `url: …`", err=True
        )
    if parsed.faults or not isinstance(parsed.value, dict):
        sys.exit(BAD_CONFIG)
    return parsed.value


def _tell_made(made: Made, what: str) -> None:
    click.echo(f"{made.managed.stored.name} {what}.", err=True)
    if made.secret is not None:
        click.echo("Its secret, shown this once:", err=True)
        click.echo(made.secret)


def _tell_tried(tried: Tried, *, body: bool) -> None:
    from watcher.core.encoding import timestamp

    if tried.body is not None:
        verdict = "sent"
    elif not tried.subscribed:
        verdict = "not subscribed"
    else:
        verdict = printable(tried.refused) if tried.refused is not None else "filtered out"
    click.echo(f"{timestamp(tried.at)}  {tried.event:<22}  {verdict}")
    for line in tried.misses:
        click.echo(f"    {printable(line)}")
    if body and tried.body is not None:
        click.echo(f"    {printable(tried.body.decode())}")


def _record(entry: AuditEntry) -> dict[str, Any]:
    from watcher.core.encoding import timestamp

    return {
        "at": timestamp(entry.at),
        "act": entry.act,
        "subject": entry.subject,
        "way": entry.origin.way,
        "address": entry.origin.address,
        "forwarded": entry.origin.forwarded,
        "details": dict(entry.details),
    }


def _line(entry: AuditEntry) -> str:
    from watcher.core.encoding import timestamp

    told = f" (a proxy says: {entry.origin.forwarded})" if entry.origin.forwarded else ""
    details = f"  {json.dumps(dict(entry.details), ensure_ascii=False)}" if entry.details else ""
    return printable(
        f"{timestamp(entry.at)}  {entry.act:<20}  {entry.subject}  by {entry.origin.way} "
        f"from {entry.origin.address}{told}{details}"
    )


def _fail(text: str) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(FAILED)
