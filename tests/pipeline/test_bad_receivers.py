"""Receivers of every bad kind beside a good one: each has its own reason, and none hurts another."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
import uvloop

from tests.adapters.certificates import authority, showing, strict, trusted_by_the_system
from tests.adapters.raw_proxy import proxying
from tests.adapters.raw_receiver import OK, TOKEN, Behaviour, Connection, hanging, receiving, saying
from tests.builders import NOON, a_checkpoint, a_delivery, an_endpoint
from watcher.adapters.clock import SystemClock
from watcher.adapters.http.sender import HttpSender
from watcher.adapters.journal import _outcome
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.core.endpoints import Endpoint
from watcher.core.events import Entity
from watcher.core.facts import Attempted
from watcher.core.outcomes import Answered
from watcher.core.routes import DIRECT, Proxy, Route
from watcher.core.verdicts import Dead, Delivered
from watcher.pipeline.dispatch import Dispatcher
from watcher.testing import Facts

EACH = 3  # deliveries to each bad receiver, all at once
GOOD = 60
# Longer than the slowest of them needs on a busy machine: here they run in the loop that sends, too.
TIMEOUT = timedelta(seconds=5)
LONG_AGO, LATER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)


async def dripping_body(connection: Connection) -> None:
    await connection.request()
    await connection.say(b"HTTP/1.1 500 Oh\r\nContent-Length: 9999\r\n\r\n")
    while True:
        await connection.say(b".")
        await asyncio.sleep(0.02)


async def dripping_headers(connection: Connection) -> None:
    await connection.request()
    while True:
        await connection.say(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await asyncio.sleep(0.02)


async def endless_body(connection: Connection) -> None:
    await connection.request()
    await connection.say(b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await connection.say(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")


async def endless_headers(connection: Connection) -> None:
    await connection.request()
    await connection.say(b"HTTP/1.1 200 OK\r\n")
    while True:
        await connection.say(b"X-A: " + b"b" * 9000 + b"\r\n")


async def interim_answers(connection: Connection) -> None:
    await connection.request()
    while True:
        await connection.say(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


async def closing(connection: Connection) -> None:
    await connection.request()


async def cutting(connection: Connection) -> None:
    await connection.reader.read(10)


async def plain_text(connection: Connection) -> None:
    await connection.reader.read(100)
    await connection.say(b"HTTP/1.1 400 Bad\r\n\r\n")


REDIRECT = b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n"
NO = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"

BEHAVIOURS: dict[str, tuple[Behaviour, str]] = {
    "redirect": (saying(REDIRECT), "status 302: redirects are not followed"),
    "error": (saying(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"), "status 500"),
    "oversized answer": (endless_body, "status 500 (the answer is longer than 16384 bytes, and was left)"),
    "slow answer": (dripping_body, "status 500 (the answer is slow, and was left)"),
    "oversized headers": (endless_headers, "protocol: the answer's headers are too large"),
    "slow headers": (
        dripping_headers,
        "timeout: connected, but the answer's headers did not end after 5 s",
    ),
    "interim answers": (interim_answers, "protocol: interim answers (1xx) without end"),
    "silence": (hanging, "timeout: connected, but no answer after 5 s"),
    "garbage": (saying(b"SSH-2.0-tok3n\r\n\r\n", close=True), "protocol: the answer is not HTTP"),
    "closing": (closing, "disconnected: the receiver closed the connection without an answer"),
}


@asynccontextmanager
async def bad_receivers() -> AsyncIterator[dict[str, tuple[str, Route, str]]]:
    """For each kind: URL, route, and the reason that must be told."""
    async with AsyncExitStack() as stack:
        bad: dict[str, tuple[str, Route, str]] = {}
        for kind, (behave, told) in BEHAVIOURS.items():
            receiver = await stack.enter_async_context(receiving(behave))
            bad[kind] = (receiver.url, DIRECT, told)

        ca = authority()
        stranger = trustme.CA().issue_cert("localhost")
        expired = ca.issue_cert("localhost", not_before=LONG_AGO, not_after=LONG_AGO + YEAR)
        early = ca.issue_cert("localhost", not_before=LATER, not_after=LATER + YEAR)
        for kind, leaf, told in (
            ("expired", expired, "tls: the certificate has expired"),
            ("early", early, "tls: the certificate is not valid yet (check the clocks)"),
            ("other name", ca.issue_cert("example.org"), "tls: the certificate is for another host name"),
            ("unknown authority", stranger, "tls: the certificate is not from a trusted authority ("),
        ):
            receiver = await stack.enter_async_context(receiving(saying(OK), showing(leaf)))
            bad[kind] = (receiver.url, DIRECT, told)
        for kind, behave, told in (
            ("plain text", plain_text, "tls: the port does not speak TLS ("),
            ("cut handshake", cutting, "tls: the receiver closed the connection in the handshake"),
        ):
            receiver = await stack.enter_async_context(receiving(behave))
            bad[kind] = (receiver.url.replace("http:", "https:"), DIRECT, told)
        wanting = stack.enter_context(strict())
        told = "tls: the receiver wants a client certificate (`tls: {cert, key}`)"
        bad["client certificate"] = (wanting, DIRECT, told)

        closed = stack.enter_context(a_closed_port())
        refused = "refused: nothing listens at that host and port"
        bad["refused"] = (f"http://{closed}/", DIRECT, refused)
        bad["no such name"] = (f"https://{'a' * 64}.invalid/", DIRECT, "dns: no such host name")
        receiver = await stack.enter_async_context(receiving(saying(OK)))
        guarded = Route(deny_private=True)
        bad["private"] = (receiver.url, guarded, "denied: the address is private (denyPrivate)")

        proxy = await stack.enter_async_context(proxying(refusing=NO))
        by_proxy = Route(proxy=Proxy(url=proxy.url))
        told = "proxy: it does not connect us to the receiver (status 403)"
        bad["refusing proxy"] = ("https://receiver.example/", by_proxy, told)
        no_proxy = Route(proxy=Proxy(url=f"http://{closed}"))
        bad["no proxy"] = ("https://receiver.example/", no_proxy, f"proxy: {refused}")
        yield bad


@contextmanager
def a_closed_port():
    with socket.socket() as reserved:  # bound, but nobody listens
        reserved.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{reserved.getsockname()[1]}"


async def a_run(folder: Path) -> None:
    serving = showing(authority().issue_cert("localhost"))
    async with AsyncExitStack() as stack:
        stack.enter_context(trusted_by_the_system())
        bad = await stack.enter_async_context(bad_receivers())
        good = await stack.enter_async_context(receiving(saying(OK), serving))
        outbox = await stack.enter_async_context(SqliteOutbox.open(folder / "state.db"))
        sender = await stack.enter_async_context(HttpSender())

        names = {kind: kind.replace(" ", "-") for kind in bad}
        endpoints = [
            an_endpoint(name=names[kind], url=url, route=route, retry_delays=(), timeout=TIMEOUT)
            for kind, (url, route, _) in bad.items()
        ]
        endpoints.append(an_endpoint(name="good", url=good.url, retry_delays=(), timeout=2 * TIMEOUT))
        facts, stopping = Facts(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for endpoint in endpoints:
                dispatcher = Dispatcher(
                    endpoint, outbox=outbox, sender=sender, clock=SystemClock(), observe=facts
                )
                tasks.create_task(dispatcher.run(stopping, grace=timedelta(seconds=1)))
            await outbox.append(owed(endpoints), checkpoint=a_checkpoint(), through=NOON)
            await facts.until(Attempted, EACH * len(bad) + GOOD)
            stopping.set()

        attempts = facts.of(Attempted)
        delivered = [fact for fact in attempts if fact.endpoint == "good"]
        assert [fact.verdict for fact in delivered] == [Delivered()] * GOOD
        assert len(good.requests) == GOOD
        for kind, (_, _, told) in bad.items():
            reasons = {
                fact.verdict.reason
                for fact in attempts
                if fact.endpoint == names[kind] and isinstance(fact.verdict, Dead)
            }
            assert len(reasons) == 1, kind
            (reason,) = reasons
            assert reason.startswith(told) if told.endswith("(") else reason == told, kind
            assert TOKEN not in reason
            # What the log says, and what the delivery's record keeps.
            logged = {_outcome(f.outcome) for f in attempts if f.endpoint == names[kind]}
            assert logged == {int(reason[7:10]) if reason.startswith("status") else reason}
            fates = await outbox.fates(Entity(f"messages:{kind}"), limit=10)
            assert [(fate.state, fate.reason) for fate in fates] == [("dead", reason)] * EACH
        assert all(isinstance(fact.outcome, Answered) for fact in delivered)


def owed(endpoints: list[Endpoint]):
    return [
        a_delivery(
            endpoint=endpoint.name,
            entity=Entity(f"conversation:{number}"),
            row=Entity(f"messages:{endpoint.name.replace('-', ' ')}"),
        )
        for endpoint in endpoints
        for number in range(GOOD if endpoint.name == "good" else EACH)
    ]


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_each_bad_receiver_has_its_own_reason_and_none_hurts_the_good_one(tmp_path: Path, loop) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(a_run(tmp_path))
