"""The sender's connections: names, TLS, reuse, isolation, and that none is left behind."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import pytest
import trustme
import uvloop

from tests.adapters.raw_receiver import (
    OK,
    Connection,
    Law,
    a_request,
    laws_in,
    named,
    reason,
    receiving,
    saying,
)
from watcher.adapters.http import AiohttpSender
from watcher.core.outcomes import Answered, Outcome

# TLS


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA()


def showing(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@contextmanager
def trusted_by_the_system() -> Iterator[None]:
    """Makes the authority one of the system's, as far as OpenSSL can tell."""
    with authority().cert_pem.tempfile() as path, mock.patch.dict(os.environ, SSL_CERT_FILE=path):
        yield


async def tls_outcome(context: ssl.SSLContext) -> Outcome:
    async with receiving(saying(OK), context) as receiver, AiohttpSender() as sender:
        outcome = await sender.send(a_request(receiver.url))
    assert bool(receiver.requests) == isinstance(outcome, Answered), "nothing is sent to who is not trusted"
    return outcome


async def test_a_trusted_receiver_is_sent_to_over_tls() -> None:
    with trusted_by_the_system():
        assert await tls_outcome(showing(authority().issue_cert("localhost"))) == Answered(status=200)


async def test_an_untrusted_authority_is_told() -> None:
    outcome = await tls_outcome(showing(authority().issue_cert("localhost")))

    assert reason(outcome).startswith("tls: the certificate is not from a trusted authority")


async def test_an_expired_certificate_is_told() -> None:
    expired = authority().issue_cert("localhost", not_after=datetime(2020, 1, 1, tzinfo=UTC))

    with trusted_by_the_system():
        assert reason(await tls_outcome(showing(expired))) == "tls: the certificate has expired"


async def test_a_certificate_for_another_host_name_is_told() -> None:
    with trusted_by_the_system():
        outcome = await tls_outcome(showing(authority().issue_cert("example.org")))

    assert reason(outcome) == "tls: the certificate is for another host name"


async def test_tls_below_1_2_is_refused() -> None:
    old = showing(authority().issue_cert("localhost"))
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1

    with trusted_by_the_system():
        assert reason(await tls_outcome(old)).startswith("tls: ")


async def test_a_plain_http_port_is_no_tls() -> None:
    async def plain(connection: Connection) -> None:
        await connection.reader.read(100)
        await connection.say(b"HTTP/1.1 400 Bad\r\n\r\n")

    async with receiving(plain) as receiver, AiohttpSender() as sender:
        outcome = await sender.send(a_request(receiver.url.replace("http:", "https:")))

    assert reason(outcome).startswith("tls: the port does not speak TLS (")


# Connections


async def test_a_connection_is_used_again() -> None:
    async with receiving(saying(OK)) as receiver, AiohttpSender() as sender:
        outcomes = [await sender.send(a_request(receiver.url)) for _ in range(100)]

    assert outcomes == [Answered(status=200)] * 100
    assert receiver.connections == 1


async def test_a_connection_that_the_receiver_closed_meanwhile_is_no_failure() -> None:
    async with receiving(saying(OK, close=True)) as receiver, AiohttpSender() as sender:
        outcomes = []
        for _ in range(3):
            outcomes.append(await sender.send(a_request(receiver.url)))
            await receiver.gone.get()

    assert outcomes == [Answered(status=200)] * 3


async def test_a_connection_closed_just_as_it_is_used_again_is_no_failure() -> None:
    async def closing_late(connection: Connection) -> None:
        await connection.request()
        await connection.say(OK)
        if connection.number == 1:
            await connection.request()  # read, and no answer
        else:
            await connection.closed_by_sender()

    async with receiving(closing_late) as receiver, AiohttpSender() as sender:
        outcomes = [await sender.send(a_request(receiver.url)) for _ in range(2)]

    assert outcomes == [Answered(status=200)] * 2
    assert len(receiver.requests) == 3


async def test_a_request_that_kills_its_receiver_is_repeated_only_once() -> None:
    async def dying(connection: Connection) -> None:
        await connection.request()
        if len(receiver.requests) <= pooled:
            together.release()
            await everyone_here.wait()
            await connection.say(OK)
            await connection.request()

    pooled, together, everyone_here = 5, asyncio.Semaphore(0), asyncio.Event()
    async with receiving(dying) as receiver, AiohttpSender() as sender:
        request = a_request(receiver.url)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(pooled):
                tasks.create_task(sender.send(request))
            for _ in range(pooled):
                await together.acquire()
            everyone_here.set()
        outcome = await sender.send(request)

    assert reason(outcome).startswith("disconnected: ")
    assert len(receiver.requests) == pooled + 2


async def test_endpoints_do_not_share_connections_nor_wait_for_each_other() -> None:
    async def hanging_for_crm(connection: Connection) -> None:
        request = await connection.request()
        assert request is not None
        if b"POST /hook" in request:
            arrived.release()
            await connection.closed_by_sender()
        await connection.say(OK)
        await connection.closed_by_sender()

    arrived = asyncio.Semaphore(0)
    async with receiving(hanging_for_crm) as receiver, AiohttpSender() as sender:
        stuck = [asyncio.ensure_future(sender.send(a_request(receiver.url, timeout=30))) for _ in range(110)]
        for _ in stuck:
            await arrived.acquire()
        url = receiver.url.replace("/hook", "/other")
        outcome = await sender.send(a_request(url, endpoint="other", timeout=2))
        again = await sender.send(a_request(url, endpoint="third", timeout=2))
        for attempt in stuck:
            attempt.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)

    assert outcome == again == Answered(status=200)
    assert receiver.connections == 112


async def test_cancelling_an_attempt_closes_its_connection() -> None:
    async def waiting(connection: Connection) -> None:
        await connection.request()
        arrived.set()
        await connection.closed_by_sender()

    arrived = asyncio.Event()
    async with receiving(waiting) as receiver, AiohttpSender() as sender:
        attempt = asyncio.ensure_future(sender.send(a_request(receiver.url, timeout=30)))
        await arrived.wait()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        await asyncio.wait_for(receiver.gone.get(), 2)


async def test_leaving_the_sender_closes_every_connection() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with receiving(saying(OK)) as receiver:
        async with AiohttpSender() as sender:
            for endpoint in ("a", "b", "c"):
                await sender.send(a_request(receiver.url, endpoint=endpoint))
            assert receiver.gone.empty()
        ended = {await asyncio.wait_for(receiver.gone.get(), 2) for _ in range(3)}

    assert ended == {1, 2, 3}
    assert complaints == []  # aiohttp tells of what only the garbage collector closed


@pytest.mark.parametrize("law", laws_in(globals()), ids=named)
def test_on_uvloop_too(law: Law) -> None:
    """The sidecar runs on uvloop, whose transports, TLS and errors are its own."""
    uvloop.run(law())


# Names


async def test_dead_name_servers_hold_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def hanging_for_some(host: str, *args: Any, **options: Any) -> Any:
        if host.endswith(".dead"):
            over.wait()
        return real(host, *args, **options)

    over, real = threading.Event(), socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", hanging_for_some)
    async with receiving(saying(OK)) as receiver, AiohttpSender() as sender:
        names = [f"e{number}" for number in range(40)]
        requests = [a_request(f"http://{name}.dead/", endpoint=name, timeout=0.5) for name in names]
        dead = asyncio.gather(*map(sender.send, requests))
        outcome = await sender.send(a_request(receiver.url, timeout=0.4))
        reasons = {reason(late) for late in await dead}
        over.set()

    assert outcome == Answered(status=200)
    assert reasons == {"timeout: still looking up the host name after 0.5 s"}


async def test_each_kind_of_lookup_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {}
    for code in (socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_FAIL):

        def failing(*args: Any, code: int = code, **options: Any) -> Any:
            raise socket.gaierror(code, "what the system says")

        monkeypatch.setattr(socket, "getaddrinfo", failing)
        async with AiohttpSender() as sender:
            told[code] = reason(await sender.send(a_request("http://receiver.test/")))

    assert told == {
        socket.EAI_NONAME: "dns: no such host name",
        socket.EAI_AGAIN: "dns: the name server does not answer",
        socket.EAI_FAIL: "dns: the lookup failed (what the system says)",
    }
