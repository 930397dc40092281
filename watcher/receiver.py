"""A receiver to try deliveries against: verifies each signature over the raw body, and says why one fails.

Law: what it records is what came over the wire, before it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from types import TracebackType
from typing import Any, Self

import orjson
from aiohttp import web

from watcher.core.endpoints import Secret
from watcher.core.verifying import judge

LARGEST_BODY = 8 * 1024 * 1024  # eight times the largest event; a batch may need more than one


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One POST as it arrived, and what was answered."""

    event: str
    id: str
    attempt: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    signature_ok: bool
    why: str | None
    """Why the signature fails; or what is remarkable about one that does not."""
    received_at: datetime
    status: int
    """The answer."""
    members: tuple[str, ...] = ()
    """Of a batch: the ids of the events in it."""


class Receiver:
    """Listens while its `async with` block lasts. Without secrets nothing is verified, nor refused."""

    def __init__(
        self,
        secrets: Sequence[Secret],
        *,
        on_receipt: Callable[[Receipt], None],
        host: str = "127.0.0.1",
        port: int = 0,
        fail: float = 0.0,
        status: int = 503,
        delay: timedelta = timedelta(0),
        rng: Random | None = None,
    ) -> None:
        self._secrets = tuple(secrets)
        self._on_receipt = on_receipt
        self._host = host
        self._port = port
        self._fail = fail
        self._status = status
        self._delay = delay
        self._rng = rng or Random()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where to POST to. Any path will do."""
        assert self._runner is not None, "the receiver is not listening"
        host, port = self._runner.addresses[0][:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared, not bound)
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_post("/{path:.*}", self._receive)
        app.router.add_get("/{path:.*}", self._greet)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        signature_ok, why = judge(body, request.headers, self._secrets, now=datetime.now(UTC))
        status = self._answer(signature_ok)

        self._on_receipt(_receipt(request.headers, body, signature_ok, why, status))

        if self._delay:
            await asyncio.sleep(self._delay.total_seconds())
        return web.Response(status=status, text=why if status == 401 else None)

    def _answer(self, signature_ok: bool) -> int:
        if self._secrets and not signature_ok:
            return 401
        return self._status if self._rng.random() < self._fail else 200

    async def _greet(self, _: web.Request) -> web.Response:
        return web.Response(text="librechat-watcher's local receiver: POST webhooks to this address.\n")


def _receipt(
    headers: Mapping[str, str], body: bytes, signature_ok: bool, why: str | None, status: int
) -> Receipt:
    document = _json(body)
    told: dict[str, Any] = document if isinstance(document, dict) else {}
    attempt = headers.get("X-Webhook-Attempt", "")
    return Receipt(
        event=headers.get("X-Webhook-Event") or str(told.get("event", "?")),
        id=headers.get("X-Webhook-ID") or str(told.get("webhookId", "?")),
        attempt=int(attempt) if attempt.isdecimal() and len(attempt) < 10 else 1,
        body=body,
        headers={str(name): value for name, value in headers.items()},
        signature_ok=signature_ok,
        why=why,
        received_at=datetime.now(UTC),
        status=status,
        members=_members(told),
    )


def _members(document: Mapping[str, Any]) -> tuple[str, ...]:
    data = document.get("data")
    events = data.get("events") if document.get("event") == "batch" and isinstance(data, dict) else None
    if not isinstance(events, list):
        return ()
    return tuple(str(event.get("webhookId", "?")) for event in events if isinstance(event, dict))


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
