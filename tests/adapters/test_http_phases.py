"""A request cut off in each phase, by either side: nothing is left that the next one could trip over."""

from __future__ import annotations

import asyncio
import functools
import gc
import random
import socket
import time
from typing import Any

import pytest
import uvloop

from tests.adapters.certificates import authority, showing, trusted_by_the_system
from tests.adapters.raw_receiver import (
    OK,
    Connection,
    Law,
    a_request,
    hanging,
    laws_in,
    named,
    outcome_of,
    reason,
    receiving,
    saying,
)
from watcher.adapters.http.answers import CUT_SHORT, OVERRUN, Answer
from watcher.adapters.http.connection import Connection as OurConnection
from watcher.adapters.http.sender import HttpSender
from watcher.core.outcomes import Answered, Unreachable

LARGE = b"x" * 20_000_000


async def not_reading(connection: Connection) -> None:
    await connection.reader.read(100)
    await asyncio.sleep(30)


# Cut by ourselves


async def test_a_cancelled_attempt_leaves_no_connection_that_is_used_again() -> None:
    async def answering_late(connection: Connection) -> None:
        while await connection.request() is not None:
            arrived.set()
            await asyncio.sleep(0.05)
            await connection.say(OK)

    for wait in (0.0, 0.01, 0.045, 0.05, 0.055):
        arrived = asyncio.Event()
        async with receiving(answering_late) as receiver, HttpSender() as sender:
            attempt = asyncio.ensure_future(sender.send(a_request(receiver.url)))
            await arrived.wait()
            await asyncio.sleep(wait)
            attempt.cancel()
            await asyncio.gather(attempt, return_exceptions=True)

            outcomes = [await sender.send(a_request(receiver.url)) for _ in range(2)]

        assert outcomes == [Answered(status=200)] * 2


async def test_cancelling_while_connecting_leaves_nothing_open() -> None:
    serving = showing(authority().issue_cert("localhost"))
    with trusted_by_the_system():
        for context in (None, serving):
            async with receiving(hanging, context) as receiver, HttpSender() as sender:
                for wait in (0.0, 0.001, 0.003, 0.01):
                    attempt = asyncio.ensure_future(sender.send(a_request(receiver.url)))
                    await asyncio.sleep(wait)
                    attempt.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await attempt
                for _ in range(receiver.connections):
                    await asyncio.wait_for(receiver.gone.get(), 2)


async def test_what_nobody_asked_for_ends_a_connection_however_soon_it_comes() -> None:
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()
    with there:
        connection = OurConnection(loop)
        await loop.create_connection(lambda: connection, sock=here)
        connection.memo.data, connection.memo.answer = OK, Answer(200, [], b"ok", "")
        answer = connection.post(b"head", b"", loop.time() + 1)
        connection.data_received(OK)
        assert (await answer).status == 200

        connection.data_received(b"HTTP/1.1 408 Late\r\nContent-Length: 0\r\n\r\n")

        assert not connection.usable
        await connection.ended


def test_without_tls_nobody_is_said_to_wait_for_it() -> None:
    async def slow(*_: Any, **__: Any) -> None:
        await asyncio.sleep(30)

    async def waited_for() -> str:
        async with receiving(hanging) as receiver, HttpSender() as sender:
            asyncio.get_running_loop().create_connection = slow  # type: ignore[assignment,method-assign]
            return reason(await sender.send(a_request(receiver.url, timeout=0.1)))

    assert asyncio.run(waited_for()) == "timeout: still connecting after 0.1 s"


async def test_who_may_not_send_any_more_writes_nothing_and_keeps_the_connection() -> None:
    def stopped() -> None:
        raise asyncio.CancelledError

    async with receiving(saying(OK)) as receiver, HttpSender() as sender:
        for _ in range(2):  # on a new connection, then on a kept one
            with pytest.raises(asyncio.CancelledError):
                await sender.send(a_request(receiver.url), on_written=stopped)
        assert receiver.requests == []

        assert await sender.send(a_request(receiver.url)) == Answered(status=200)

    assert receiver.connections == 1


async def test_on_written_comes_before_any_byte() -> None:
    seen = []

    async with receiving(saying(OK)) as receiver, HttpSender() as sender:
        for _ in range(2):
            outcome = await sender.send(
                a_request(receiver.url), on_written=lambda: seen.append(len(receiver.requests))
            )
            assert outcome == Answered(status=200)

    assert seen == [0, 1]


async def test_a_body_that_nobody_reads_ends_at_the_timeout() -> None:
    began = time.monotonic()
    outcome = await outcome_of(not_reading, timeout=0.5, body=LARGE)

    assert reason(outcome) == "timeout: connected, but no answer after 0.5 s"
    assert time.monotonic() - began < 5


async def test_a_body_that_nobody_reads_can_be_cancelled() -> None:
    async with receiving(not_reading) as receiver, HttpSender() as sender:
        attempt = asyncio.ensure_future(sender.send(a_request(receiver.url, timeout=30, body=LARGE)))
        await asyncio.sleep(0.2)
        attempt.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await attempt

    assert time.monotonic() - began < 2


async def test_a_large_body_arrives_whole_and_its_connection_is_used_again() -> None:
    serving = showing(authority().issue_cert("localhost"))
    body = bytes(range(256)) * 12_000
    with trusted_by_the_system():
        for context in (None, serving):
            async with receiving(saying(OK), context) as receiver, HttpSender() as sender:
                outcomes = [
                    await sender.send(a_request(receiver.url, timeout=30, body=body)) for _ in range(3)
                ]

            assert outcomes == [Answered(status=200)] * 3
            assert all(request.endswith(b"\r\n\r\n" + body) for request in receiver.requests)
            assert receiver.connections == 1


async def test_an_early_answer_counts_and_the_rest_of_the_body_is_not_sent_to_the_next() -> None:
    async def refusing(connection: Connection) -> None:
        await connection.reader.readuntil(b"\r\n\r\n")
        await connection.say(b"HTTP/1.1 413 Too much\r\nContent-Length: 0\r\n\r\n")
        await connection.closed_by_sender()

    async with receiving(refusing) as receiver, HttpSender() as sender:
        outcomes = [await sender.send(a_request(receiver.url, body=LARGE)) for _ in range(2)]

    assert outcomes == [Answered(status=413)] * 2
    assert receiver.connections == 2


# Cut by the receiver


CUTS = {
    "at once": b"",
    "in an interim answer": b"HTTP/1.1 100 Conti",
    "after an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "in the status": b"HTTP/1.1 2",
    "in the headers": b"HTTP/1.1 200 OK\r\nX-A: ",
}


async def test_a_cut_before_the_status_is_told_and_the_next_request_gets_through() -> None:
    async def cutting(connection: Connection, said: bytes) -> None:
        await connection.request()
        if connection.number == 1:
            await connection.say(said)
        else:
            await connection.say(OK)
            await connection.closed_by_sender()

    for phase, said in CUTS.items():
        async with receiving(functools.partial(cutting, said=said)) as receiver, HttpSender() as sender:
            first = await sender.send(a_request(receiver.url))
            second = await sender.send(a_request(receiver.url))

        where = "in the middle of its answer's headers" if said else "without an answer"
        assert reason(first) == f"disconnected: the receiver closed the connection {where}", phase
        assert second == Answered(status=200)
        assert len(receiver.requests) == 2


async def test_a_kept_connection_that_began_to_answer_is_not_asked_again_elsewhere() -> None:
    async def half(connection: Connection) -> None:
        await connection.request()
        await connection.say(OK)
        await connection.request()
        await connection.say(b"HTTP/1.1 2")

    async with receiving(half) as receiver, HttpSender() as sender:
        await sender.send(a_request(receiver.url))
        outcome = await sender.send(a_request(receiver.url))

    assert reason(outcome).endswith("in the middle of its answer's headers")
    assert len(receiver.requests) == 2


async def test_what_is_said_before_anything_was_asked_is_the_answer() -> None:
    async def refusing(connection: Connection) -> None:
        await connection.say(b"HTTP/1.1 503 Full\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    async def greeting(connection: Connection) -> None:
        await connection.say(b"220 mail.example ESMTP\r\n")
        await connection.closed_by_sender()

    for _ in range(5):
        full = await outcome_of(refusing)
        assert full == Answered(status=503) or reason(full).startswith("disconnected: ")
        assert reason(await outcome_of(greeting)) == "protocol: the answer is not HTTP"


async def test_an_answer_that_is_the_same_again_is_told_the_same() -> None:
    async def counting(connection: Connection) -> None:
        while await connection.request() is not None:
            number = len(receiver.requests) // 3
            body = b"a" * number
            await connection.say(
                b"HTTP/1.1 200 OK\r\nX-N: %d\r\nContent-Length: %d\r\n\r\n" % (number, number)
            )
            await connection.say(body)

    async with receiving(counting) as receiver, HttpSender() as sender:
        told: list[Any] = [await sender.send(a_request(receiver.url)) for _ in range(9)]

    assert [outcome.answer for outcome in told] == ["a" * (n // 3) for n in range(1, 10)]
    assert [dict(outcome.headers)["X-N"] for outcome in told] == [str(n // 3) for n in range(1, 10)]


async def test_no_answer_is_ever_taken_for_another_requests() -> None:
    dice = random.Random(8)

    async def whimsical(connection: Connection) -> None:
        while (request := await connection.request()) is not None:
            body = request.partition(b"\r\n\r\n")[2]
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            match dice.randrange(8):
                case 0:
                    return
                case 1:
                    await connection.say(answer[: dice.randrange(len(answer))])
                    return
                case 2:
                    await connection.say(b"HTTP/1.1 100 Continue\r\n\r\n" + answer)
                case 3:
                    await connection.say(answer + answer)
                case 4:
                    await connection.say(answer[:-1])
                    await asyncio.sleep(0.001)
                    await connection.say(answer[-1:] + answer)
                case _:
                    await asyncio.sleep(dice.random() / 500)
                    await connection.say(answer)

    async def some(worker: int) -> None:
        for number in range(60):
            body = b"%d-%d" % (worker, number)
            attempt = asyncio.ensure_future(sender.send(a_request(receiver.url, timeout=20, body=body)))
            if dice.random() < 0.2:
                await asyncio.sleep(dice.random() / 300)
                attempt.cancel()
            (outcome,) = await asyncio.gather(attempt, return_exceptions=True)
            match outcome:
                case Answered():
                    assert outcome.left in ("", OVERRUN, CUT_SHORT)
                    whole = outcome.left != CUT_SHORT
                    assert outcome.answer == body.decode()[: None if whole else len(outcome.answer)]
                    told.append(outcome)
                case Unreachable():
                    assert reason(outcome).startswith("disconnected: ")
                case _:
                    assert isinstance(outcome, asyncio.CancelledError)

    told: list[Answered] = []
    async with receiving(whimsical) as receiver, HttpSender() as sender, asyncio.TaskGroup() as tasks:
        for worker in range(12):
            tasks.create_task(some(worker))

    assert sum(not outcome.left for outcome in told) > 200


# Addresses


async def test_a_dead_first_address_does_not_eat_the_timeout() -> None:
    def two(host: str, port: int, *args: Any, **options: Any) -> Any:
        asked.append(host)
        # The first is set aside for documentation: nothing there refuses or answers.
        addresses = ("192.0.2.1", "127.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    asked: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", two)
        async with receiving(hanging_up) as receiver, HttpSender() as sender:
            url = receiver.url.replace("localhost", "two.example")
            began = time.monotonic()
            outcomes = [await sender.send(a_request(url, timeout=10)) for _ in range(3)]

    assert outcomes == [Answered(status=200)] * 3
    assert time.monotonic() - began < 5
    assert asked == ["two.example"]  # remembered


async def test_of_several_addresses_that_fail_each_in_its_way_none_is_named() -> None:
    def both(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        # Nothing listens at the one, and the other is for everybody.
        addresses = ("127.0.0.1", "255.255.255.255")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    with socket.socket() as reserved, pytest.MonkeyPatch.context() as patch:
        reserved.bind(("127.0.0.1", 0))
        patch.setattr(socket, "getaddrinfo", both)
        async with HttpSender() as sender:
            outcome = await sender.send(a_request(f"http://both.test:{reserved.getsockname()[1]}/"))

    told = "network: none of the name's addresses can be connected to, and not all for one reason"
    assert reason(outcome) == told


async def hanging_up(connection: Connection) -> None:
    await connection.request()
    await connection.say(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))


async def test_a_name_is_looked_up_once_at_a_time() -> None:
    def counting(host: str, port: int, *args: Any, **options: Any) -> Any:
        asked.append(host)
        time.sleep(0.1)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    asked: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", counting)
        async with receiving(saying(OK)) as receiver, HttpSender() as sender:
            url = receiver.url.replace("localhost", "many.example")
            gone = asyncio.ensure_future(sender.send(a_request(url)))
            others = [asyncio.ensure_future(sender.send(a_request(url))) for _ in range(10)]
            await asyncio.sleep(0.05)
            gone.cancel()
            outcomes = await asyncio.gather(*others)

    assert outcomes == [Answered(status=200)] * 10
    assert asked == ["many.example"]


# Connections that nobody uses


async def test_idle_connections_are_closed_before_the_receiver_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watcher.adapters.http.line.IDLE_SECONDS", 0.2)
    async with receiving(saying(OK)) as receiver, HttpSender() as sender:
        await asyncio.gather(*(sender.send(a_request(receiver.url)) for _ in range(3)))
        opened = receiver.connections
        for _ in range(opened):
            await asyncio.wait_for(receiver.gone.get(), 2)

        assert await sender.send(a_request(receiver.url)) == Answered(status=200)

    assert receiver.connections == opened + 1


async def test_connections_that_are_gone_leave_no_trace_in_memory() -> None:
    from watcher.adapters.http.connection import Connection as Ours

    async with receiving(hanging_up) as receiver, HttpSender() as sender:
        for _ in range(50):
            assert await sender.send(a_request(receiver.url)) == Answered(status=200)
        gc.collect()
        ours = [each for each in gc.get_objects() if isinstance(each, Ours)]

    assert len(ours) < 5


@pytest.mark.parametrize("law", [law for law in laws_in(globals()) if "idle" not in named(law)], ids=named)
def test_on_uvloop_too(law: Law) -> None:
    """The sidecar runs on uvloop, whose transports, TLS and errors are its own."""
    uvloop.run(law())
