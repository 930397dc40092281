"""`listen`: a local receiver that verifies signatures and prints events as they come."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from watcher.cli.terminal import printable

if TYPE_CHECKING:
    from watcher.receiver import Receipt, Receiver

VALUE_WIDTH = 32
LINE_WIDTH = 200


def share(text: str) -> float:
    """`20%` or `0.2`."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise click.BadParameter(f"{text!r} is not a share: write 20% or 0.2")
    return value


def span(text: str) -> timedelta:
    """`2s`, `500ms`, `1.5m`; a bare number is seconds."""
    number, seconds = text, 1.0
    for unit, length in (("ms", 0.001), ("s", 1.0), ("m", 60.0)):
        if text.endswith(unit):
            number, seconds = text.removesuffix(unit), length
            break
    try:
        value = timedelta(seconds=float(number) * seconds)
    except (ValueError, OverflowError):
        value = timedelta(-1)
    if value < timedelta(0):
        raise click.BadParameter(f"{text!r} is not a span of time: write 2s, 500ms or 1.5m")
    return value


@click.command()
@click.option(
    "--port", default=8687, show_default=True, type=click.IntRange(0, 65535), help="0: any free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0: from other machines too.")
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    required=True,
    default=lambda: _secret_of_the_environment(),
    help="What deliveries are signed with; again for older secrets. Or WEBHOOK_SECRET.",
)
@click.option("--fail", type=share, help="Answer this share of requests with --status, as 20%.")
@click.option(
    "--status",
    type=click.IntRange(200, 599),
    help="The failing answer (503). Without --fail every request gets it.",
)
@click.option("--delay", type=span, default="0s", help="Wait so long before each answer, as 2s or 500ms.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line, with headers and body.")
def listen(
    port: int,
    host: str,
    secrets: tuple[str, ...],
    fail: float | None,
    status: int | None,
    delay: timedelta,
    as_json: bool,
) -> None:
    """Receive webhooks here: verify each signature and print the event.

    A wrong signature is answered 401 and the reason printed. Ctrl-C ends it with a summary.
    """
    from watcher.core.endpoints import Secret
    from watcher.receiver import Receiver

    tally = Tally()

    def show(receipt: Receipt) -> None:
        tally.add(receipt)
        click.echo(as_record(receipt) if as_json else as_line(receipt))

    receiver = Receiver(
        [Secret(key=secret.encode()) for secret in secrets],
        on_receipt=show,
        host=host,
        port=port,
        fail=fail if fail is not None else (0.0 if status is None else 1.0),
        status=status or 503,
        delay=delay,
    )
    try:
        asyncio.run(_listen_until_told(receiver, quiet=as_json))
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host} port {port}: {error.strerror or error}\n"
            "  choose another with --port (0 takes any free one) or --host"
        ) from error
    click.echo(tally.summary(), err=as_json)


def _secret_of_the_environment() -> tuple[str, ...]:
    # Not by click's `envvar`, which would take a secret with a space in it for two.
    secret = os.environ.get("WEBHOOK_SECRET")
    return (secret,) if secret else ()


async def _listen_until_told(receiver: Receiver, *, quiet: bool) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    async with receiver:
        click.echo(f"listening on {receiver.url} (Ctrl-C ends)", err=quiet)
        await told.wait()


def as_line(receipt: Receipt) -> str:
    """`12:00:01.250  message.created  webhook_…  attempt 1  ✓  200  messageId=m1 text="Hello"`"""
    verified = click.style("✓", fg="green") if receipt.signature_ok else click.style("✗", fg="red")
    why = f" {click.style(receipt.why, fg='yellow')}" if receipt.why else ""
    return "  ".join(
        (
            f"{receipt.received_at.astimezone():%H:%M:%S.%f}"[:-3],
            click.style(f"{printable(receipt.event):<20}", bold=True),
            printable(receipt.id),
            f"attempt {receipt.attempt}",
            verified + why,
            click.style(str(receipt.status), fg="green" if receipt.status < 300 else "red"),
            _glance(receipt),
        )
    )


def as_record(receipt: Receipt) -> bytes:
    """The receipt as one line of JSON; the body as JSON too where it is that, else as text."""
    import orjson

    try:
        body = orjson.loads(receipt.body)
    except orjson.JSONDecodeError:
        body = receipt.body.decode(errors="replace")
    return orjson.dumps(
        {
            "receivedAt": receipt.received_at,
            "event": printable(receipt.event),
            "id": printable(receipt.id),
            "attempt": receipt.attempt,
            "verified": receipt.signature_ok,
            "why": receipt.why,
            "status": receipt.status,
            "members": receipt.members,
            "headers": {name: printable(value) for name, value in receipt.headers.items()},
            "body": body,
        },
        option=orjson.OPT_UTC_Z,
    )


@dataclass(slots=True)
class Tally:
    """What came in, for the summary."""

    events: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    ids: set[str] = field(default_factory=set)
    requests: int = 0
    verified: int = 0
    repeats: int = 0

    def add(self, receipt: Receipt) -> None:
        self.requests += 1
        self.verified += receipt.signature_ok
        self.repeats += receipt.id in self.ids
        self.ids.add(receipt.id)
        self.events[printable(receipt.event)] += 1
        self.statuses[receipt.status] += 1

    def summary(self) -> str:
        if not self.requests:
            return "nothing came"
        answers = ", ".join(f"{count} × {status}" for status, count in sorted(self.statuses.items()))
        events = "\n".join(f"  {count:6}  {event}" for event, count in self.events.most_common())
        return (
            f"{self.requests} requests, {self.verified} verified, {self.requests - self.verified} not; "
            f"{len(self.ids)} ids, {self.repeats} came again; answered {answers}\n{events}"
        )


def _glance(receipt: Receipt) -> str:
    import orjson

    if receipt.members:
        return f"{len(receipt.members)} events: {' '.join(map(printable, receipt.members))}"[:LINE_WIDTH]
    try:
        document = orjson.loads(receipt.body)
    except orjson.JSONDecodeError:
        return f"{len(receipt.body)} bytes that are not JSON"
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, dict):
        return f"{len(receipt.body)} bytes without data"
    fields = (f"{printable(key)}={_short(orjson.dumps(value).decode())}" for key, value in data.items())
    return _cut(" ".join(fields), LINE_WIDTH)


def _short(text: str) -> str:
    return _cut(printable(text), VALUE_WIDTH)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
