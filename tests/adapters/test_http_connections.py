"""The sender's connections: names, reuse, isolation, and that none is left behind."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest
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
from watcher.adapters.http.sender import HttpSender
from watcher.core.outcomes import Answered

# Connections


async def test_a_connection_is_used_again() -> None:
    async with receiving(saying(OK)) as receiver, HttpSender() as sender:
        outcomes = [await sender.send(a_request(receiver.url)) for _ in range(100)]

    assert outcomes == [Answered(status=200)] * 100
    assert receiver.connections == 1


async def test_a_connection_that_the_receiver_closed_meanwhile_is_no_failure() -> None:
    async with receiving(saying(OK, close=True)) as receiver, HttpSender() as sender:
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

    async with receiving(closing_late) as receiver, HttpSender() as sender:
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
    async with receiving(dying) as receiver, HttpSender() as sender:
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
    async with receiving(hanging_for_crm) as receiver, HttpSender() as sender:
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
    async with receiving(waiting) as receiver, HttpSender() as sender:
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
        async with HttpSender() as sender:
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
    async with receiving(saying(OK)) as receiver, HttpSender() as sender:
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
        async with HttpSender() as sender:
            told[code] = reason(await sender.send(a_request("http://receiver.test/")))

    assert told == {
        socket.EAI_NONAME: "dns: no such host name",
        socket.EAI_AGAIN: "dns: the name server does not answer",
        socket.EAI_FAIL: "dns: the lookup failed (what the system says)",
    }
