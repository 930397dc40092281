"""`deliveries`: the log of what was sent and what was not; sending again, and taking back."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from watcher.cli.managing import origin
from watcher.cli.settings import config_option, settings_from
from watcher.cli.tail import moment
from watcher.cli.terminal import printable
from watcher.errors import OutboxBroken, OutboxError, SourceError

if TYPE_CHECKING:
    from watcher.admin.changing import Act
    from watcher.config.settings import Settings
    from watcher.core.managing import AuditEntry
    from watcher.core.searching import Wanted
    from watcher.ports import Log, LogReader, Registry

FAILED = 1
PAGE = 500
STATES = ("held", "pending", "delivered", "dead", "cancelled")


api_option = click.option(
    "--api",
    metavar="URL",
    help="Ask the watcher whose page is there, with the token of WATCHER_ADMIN_TOKEN.",
)


@click.group()
def deliveries() -> None:
    """The delivery log: what was sent to whom, and why something was not; sent again, or taken back.

    All of it works while `run` is at work, and without it. With --api it asks a running watcher instead of
    the state, and needs no settings but WATCHER_ADMIN_TOKEN."""


def filters(command: Callable[..., None]) -> Callable[..., None]:
    """The options by which deliveries are chosen, handed to the command as `wanted`."""

    @wraps(command)
    def filtered(
        *,
        ids: tuple[str, ...] = (),
        endpoints: tuple[str, ...],
        states: tuple[str, ...],
        events: tuple[str, ...],
        user: str | None,
        conversation: str | None,
        since: datetime | None,
        until: datetime | None,
        **rest: Any,
    ) -> None:
        from watcher.core.events import EventId, EventType
        from watcher.core.searching import Wanted

        wanted = Wanted(
            ids=tuple(map(EventId, ids)),
            endpoints=endpoints,
            states=states,  # type: ignore[arg-type]  # judged by click
            events=tuple(map(EventType, events)),
            user=user,
            conversation=conversation,
            since=since,
            until=until,
        )
        command(wanted=wanted, **rest)

    for option in (
        click.option("--until", type=moment, metavar="TIME", help="Of changes before this time."),
        click.option("--since", type=moment, metavar="TIME", help="Of changes at this time or later."),
        click.option("--conversation", metavar="ID", help="Of this conversation."),
        click.option("--user", metavar="ID", help="Of this user."),
        click.option(
            "--event",
            "events",
            multiple=True,
            metavar="NAME",
            help="Of this event; may be given several times.",
        ),
        click.option(
            "--state",
            "states",
            type=click.Choice(STATES),
            multiple=True,
            help="In this state; may be given several times.",
        ),
        click.option(
            "--endpoint",
            "endpoints",
            multiple=True,
            metavar="NAME",
            help="To this one; may be given several times.",
        ),
    ):
        filtered = option(filtered)
    return filtered


@deliveries.command("list")
@config_option
@api_option
@filters
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document per line.")
def list_(config: Path | None, api: str | None, wanted: Wanted, limit: int, as_json: bool) -> None:
    """Show deliveries, the newest first."""
    from watcher.cli.fates import fate_lines, fate_record

    async def work(log: LogReader) -> None:
        after, left = None, limit
        while left > 0:
            page = await log.search(wanted, after=after, limit=min(left, PAGE))
            for fate in page:
                lines = [_json(fate_record(fate))] if as_json else fate_lines(fate)
                for line in lines:
                    click.echo(line)
            if len(page) < min(left, PAGE):
                break
            after, left = page[-1].id, left - len(page)
        if not as_json:
            number = sum((await log.number(wanted)).values())
            click.echo(f"{min(limit, number)} of {number}", err=True)

    _looking(config, api, work)


@deliveries.command()
@config_option
@api_option
@click.argument("identity", metavar="ID")
@click.option("--body", is_flag=True, help="Show the body as it is sent, with what people wrote.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of words.")
def show(config: Path | None, api: str | None, identity: str, body: bool, as_json: bool) -> None:
    """Show all that is kept of the delivery ID: its state, each attempt, the receiver's answers."""
    from watcher.cli.dossiers import dossier_lines, dossier_record
    from watcher.core.events import EventId

    async def work(log: LogReader) -> None:
        dossier = await log.dossier(EventId(identity))
        if dossier is None:
            told = f"no delivery {printable(identity)!r}.\n"
            _fail(told + "  Its id is wrong, or it was dropped (watcher.retention).")
        if as_json:
            click.echo(_json(dossier_record(dossier, with_body=body)))
        else:
            for line in dossier_lines(dossier, with_body=body):
                click.echo(line)

    _looking(config, api, work)


ids_argument = click.argument("ids", metavar="[ID]...", nargs=-1)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@deliveries.command()
@config_option
@api_option
@ids_argument
@filters
@yes_option
def replay(config: Path | None, api: str | None, wanted: Wanted, yes: bool) -> None:
    """Send deliveries again: those named by ID, or all that meet the options; without --state, the dead ones.

    Each goes with the same id and the same bytes as before, behind what waits already. They are shown as
    pending, and `run` sends them. What could not be made for its endpoint cannot be sent, and is left out."""
    _changing(config, api, wanted, "replay", yes=yes)


@deliveries.command()
@config_option
@api_option
@ids_argument
@filters
@yes_option
def cancel(config: Path | None, api: str | None, wanted: Wanted, yes: bool) -> None:
    """Never send deliveries that wait: those named by ID, or all that meet the options.

    What `run` sends at this moment, or begins to within a second, still arrives. They are kept as cancelled,
    and can be sent again by `replay`."""
    _changing(config, api, wanted, "cancel", yes=yes)


def _changing(config: Path | None, api: str | None, wanted: Wanted, act: Act, *, yes: bool) -> None:
    from watcher.admin.changing import change, meant
    from watcher.core.searching import Wanted

    if wanted == Wanted():
        raise click.UsageError("name deliveries by ID, or choose them by options (--endpoint, --since, …)")

    async def work() -> None:
        narrowed = meant(wanted, act)
        async with _reading(config, api) as log:
            number = sum((await log.number(narrowed)).values()) if narrowed is not None else 0
        if number == 0:
            click.echo(f"Nothing to {act}.")
            return
        if not yes:
            click.confirm(f"{act.capitalize()} {number} deliveries?", abort=True, err=True)
        done, seen = 0, 0
        async with _writing(config, api) as (log, registry):
            if registry is not None:
                await registry.note(_noted(wanted, act, number))
            async for page in change(log, wanted, act):
                done, seen = done + page.changed, seen + page.looked_at
                _progress(seen, number)
        click.echo(f"{done} deliveries {'wait to be sent again' if act == 'replay' else 'are cancelled'}.")
        if done < number:
            click.echo(f"{number - done} were left as they are: refused ones, or changed meanwhile.")

    _run(work())


@asynccontextmanager
async def _reading(config: Path | None, api: str | None) -> AsyncIterator[LogReader]:
    if api is not None:
        async with _remote(api) as log:
            yield log
        return
    from watcher import stores

    async with stores.read(_settings(config)) as state:
        yield state


@asynccontextmanager
async def _writing(config: Path | None, api: str | None) -> AsyncIterator[tuple[Log, Registry | None]]:
    """The log; and where to note what is done to it, unless who is asked notes it itself."""
    if api is not None:
        async with _remote(api) as log:
            yield log, None
        return
    from watcher import stores

    async with stores.beside(_settings(config)) as state:
        yield state.log, state.registry


def _noted(wanted: Wanted, act: Act, number: int) -> AuditEntry:
    from watcher.core.managing import AuditEntry
    from watcher.core.searching import in_a_line

    return AuditEntry(
        at=datetime.now(UTC),
        act="deliveries.replayed" if act == "replay" else "deliveries.cancelled",
        subject=in_a_line(wanted),
        origin=origin(),
        details={"expected": number},
    )


def _remote(api: str) -> AbstractAsyncContextManager[Log]:
    from watcher.adapters.remote_log import RemoteLog

    token = os.environ.get("WATCHER_ADMIN_TOKEN", "")
    if not token:
        raise click.UsageError("--api needs the token in the environment: WATCHER_ADMIN_TOKEN")
    return RemoteLog.open(api, token)


def _settings(config: Path | None) -> Settings:
    return settings_from(config, need_endpoints=False, need_mongo=False)


def _progress(seen: int, number: int) -> None:
    if sys.stderr.isatty():
        share = min(1.0, seen / number)
        click.echo(f"\r{'█' * round(share * 30):<30} {seen}/{number}", nl=seen >= number, err=True)


def _looking(
    config: Path | None, api: str | None, work: Callable[[LogReader], Coroutine[Any, Any, None]]
) -> None:
    async def looking() -> None:
        async with _reading(config, api) as log:
            await work(log)

    _run(looking())


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except (OutboxError, OutboxBroken, SourceError) as error:
        _fail(str(error))


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False)


def _fail(text: str) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(FAILED)
