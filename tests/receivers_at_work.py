"""The receivers of docs/RECEIVERS.md, started as they stand there, and what they make of what we send."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.builders import NOON, a_delivery, a_request, an_endpoint
from watcher.adapters.http.sender import HttpSender
from watcher.core.deliveries import Stored
from watcher.core.encoding import encode
from watcher.core.endpoints import Secret
from watcher.core.events import EventId
from watcher.core.outcomes import Answered, Outcome
from watcher.core.requests import Parcel

PAGE = Path(__file__).parents[1] / "docs" / "RECEIVERS.md"


def code(*names: str) -> str:
    """Blocks of the page, one under the other."""
    page = PAGE.read_text()
    return "\n".join(re.findall(rf"```\w+ {name}\n(.*?)```", page, re.DOTALL)[0] for name in names)


def stored(identity: str) -> Stored:
    body = encode(
        {
            "event": "message.created",
            "timestamp": "2026-11-24T12:00:00.000Z",
            "data": {"text": "é🧵\u2028", "tiny": 1e-7, "10": 1},
            "userId": None,
            "webhookId": identity,
        }
    )
    delivery = a_delivery(id=EventId(identity), body=body)
    return Stored(seq=1, delivery=delivery, attempts=0, due_at=None, batch=None)


ONE = Parcel(members=(stored("webhook_1"),))
BATCH = Parcel(members=(stored("webhook_2"), stored("webhook_3")), batch=EventId("webhook_b"))


async def what_it_answers(
    command: Sequence[str], *, folder: Path, environment: Mapping[str, str]
) -> tuple[list[Outcome], str]:
    """An event, a batch, and two that are not signed by its secret; and all that it printed meanwhile.

    It listens where PORT says (`{port}` in the command)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = await asyncio.create_subprocess_exec(
        *(word.format(port=port) for word in command),
        cwd=folder,
        env={**os.environ, "WEBHOOK_SECRET": "s3cret", "PORT": str(port), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    endpoint = an_endpoint(
        url=f"http://127.0.0.1:{port}/webhooks/librechat", secrets=(Secret(key=b"s3cret"),)
    )
    others = replace(endpoint, secrets=(Secret(key=b"other"),))
    unsigned = replace(endpoint, secrets=(), signing="none")
    try:
        await _until_it_listens(port)
        async with HttpSender() as sender:
            outcomes = [
                await sender.send(a_request(parcel, by, now=NOON))
                for parcel, by in ((ONE, endpoint), (BATCH, endpoint), (ONE, others), (ONE, unsigned))
            ]
    finally:
        program.terminate()
        printed, _ = await program.communicate()
    return outcomes, printed.decode()


def statuses(outcomes: Sequence[Outcome]) -> list[int | None]:
    return [outcome.status if isinstance(outcome, Answered) else None for outcome in outcomes]


async def _until_it_listens(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)  # only trying tells that a program of others is ready
            else:
                writer.close()
                return
