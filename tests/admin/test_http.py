"""The admin server's HTTP, byte by byte: what clients send amiss, by halves, or one behind the other."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from tests.admin.test_server import a_port
from watcher.admin.http import connection
from watcher.admin.http.listening import listening
from watcher.admin.http.messages import Request, Response
from watcher.admin.http.parsing import (
    LARGEST_BODY,
    LARGEST_REQUEST,
    LONGEST_HEADER,
    LONGEST_TARGET,
    MOST_VALUES,
)

WAIT_SECONDS = 10.0

OFFERING = b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
TOO_MANY_HEADERS = b"GET / HTTP/1.1\r\n" + b"X: s3cr3t\r\n" * LONGEST_TARGET


class Client:
    """Speaks and hears bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def says(self, text: bytes) -> None:
        self._writer.write(text)

    async def hears(self) -> tuple[int, bytes]:
        """The next answer: its status and its body."""
        async with asyncio.timeout(WAIT_SECONDS):
            head = await self._reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ")[1])
            if status == 100:
                return status, b""
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return status, await self._reader.readexactly(length)

    async def is_left(self) -> bool:
        async with asyncio.timeout(WAIT_SECONDS):
            try:
                return await self._reader.read() == b""
            except ConnectionResetError:
                return True

    def leaves(self) -> None:
        self._writer.close()


@asynccontextmanager
async def served(
    answer: Callable[[Request], Awaitable[Response]] | None = None,
) -> AsyncIterator[tuple[Client, list[Request]]]:
    asked: list[Request] = []

    async def echo(request: Request) -> Response:
        asked.append(request)
        return await answer(request) if answer else Response(body=request.path.encode())

    port = a_port()
    async with listening("127.0.0.1", port, echo, headers={"Server": "us"}):
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        try:
            yield client, asked
        finally:
            client.leaves()


async def test_requests_behind_each_other_are_answered_in_their_order_on_one_connection():
    async with served() as (client, _):
        client.says(b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 HTTP")
        assert await client.hears() == (200, b"/1")
        assert await client.hears() == (200, b"/2")

        client.says(b"/1.1\r\nHost: h\r\n\r\n")

        assert await client.hears() == (200, b"/3")


@pytest.mark.parametrize(
    ("text", "body"),
    [
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            b"hello",
        ),
    ],
)
async def test_a_request_may_come_byte_by_byte(text, body):
    async with served() as (client, asked):
        for byte in text:
            client.says(bytes([byte]))
            await asyncio.sleep(0)

        assert await client.hears() == (200, b"/")

    assert [request.body for request in asked] == [body]


async def test_what_a_path_and_a_query_say_is_decoded_and_a_slash_in_a_segment_is_none_of_the_path():
    async with served() as (client, asked):
        client.says(
            b"GET http://h/a%2Fb/%C3%A4?x=1&x=%262&y= HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\n\r\n"
        )
        await client.hears()

    (request,) = asked
    assert request.segments == ("a/b", "ä")
    assert request.query == {"x": ["1", "&2"], "y": [""]}
    assert request.headers["x-a"] == "1"
    assert request.address == "127.0.0.1"


async def test_who_asks_for_a_head_gets_no_body():
    async with served() as (client, _):
        client.says(b"HEAD /long HTTP/1.1\r\nHost: h\r\n\r\n")
        client.says(b"GET /2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")

        async with asyncio.timeout(WAIT_SECONDS):
            told = await client._reader.read()

    assert told.count(b"HTTP/1.1 200 OK") == 2
    assert b"Content-Length: 5" in told
    assert b"/long" not in told
    assert told.endswith(b"\r\n\r\n/2")


async def test_who_expects_to_be_told_to_go_on_is():
    async with served() as (client, _):
        client.says(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert await client.hears() == (100, b"")

        client.says(b"hi")

        assert await client.hears() == (200, b"/a")


@pytest.mark.parametrize("version", [b"HTTP/1.1\r\nConnection: close", b"HTTP/1.0"])
async def test_who_wants_one_answer_only_is_left_after_it(version):
    async with served() as (client, _):
        client.says(b"GET /1 " + version + b"\r\nHost: h\r\n\r\n")

        assert await client.hears() == (200, b"/1")
        assert await client.is_left()


async def test_nobody_is_taken_elsewhere():
    async with served() as (client, asked):
        client.says(b"GET /1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")

        assert await client.hears() == (200, b"/1")
        assert await client.is_left()

    assert len(asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 5\r\n\r\nhello",
        b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nX-B: 1\r\n\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1_000])
async def test_who_offers_another_protocol_is_heard_to_the_end(body, size):
    """As Java's client does of itself, and curl when it is told to speak HTTP/2."""
    text = b"PATCH /1?a=b HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n" + body
    async with served() as (client, asked):
        for at in range(0, len(text), size):
            client.says(text[at : at + size])
            await asyncio.sleep(0)
        if b"Expect" in body:
            assert (await client.hears())[0] == 100

        assert await client.hears() == (200, b"/1")
        assert await client.is_left()

    (request,) = asked
    assert (request.method, request.body, request.query) == ("PATCH", b"hello", {"a": ["b"]})
    assert "x-b" not in request.headers


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"\x16\x03\x01\x02\x00 a TLS client\r\n\r\n", 400),
        (b"GET s3cr3t\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: s3cr3t\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nExpect: s3cr3t\r\n\r\n", 417),
        (b"CONNECT s3cr3t:80 HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT s3cr3t:80 HTTP/1.1\r\nContent-Length: 1\r\n\r\na", 400),
        (
            OFFERING + b"Transfer-Encoding: chunked\r\n\r\ns3cr3t",
            400,
        ),
        (
            OFFERING + b"Transfer-Encoding: s3cr3t\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            OFFERING + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (
            OFFERING + b"Content-Length: %d\r\n\r\n" % (LARGEST_BODY + 1),
            413,
        ),
        (b"GET /" + b"a" * LONGEST_TARGET + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: s3cr3t" + b"a" * LONGEST_HEADER + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: s3cr3t" + b"a" * 3 * LONGEST_TARGET, 431),
        (TOO_MANY_HEADERS, 431),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (LARGEST_BODY + 1), 413),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % 10**40, 400),
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"8000\r\n%b\r\n" % (b"a" * 0x8000) * 9,
            413,
        ),
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
            + b"X: 1\r\n" * (LARGEST_REQUEST // 5),
            431,
        ),
    ],
)
async def test_what_is_no_request_or_too_large_is_refused_without_repeating_it(text, status):
    async with served() as (client, asked):
        client.says(text)

        told, body = await client.hears()

        assert told == status
        assert b"s3cr3t" not in body
        assert await client.is_left()

    assert asked == []


async def test_a_trailer_is_no_header():
    async with served() as (client, asked):
        client.says(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.says(b"0\r\nAuthorization: Bearer s3cr3t\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n")
        assert await client.hears() == (200, b"/")
        assert await client.hears() == (200, b"/2")

    assert [list(request.headers) for request in asked] == [["host", "transfer-encoding"], ["host", "x-a"]]


async def test_a_query_has_no_more_values_than_anybody_needs():
    async with served() as (client, asked):
        client.says(b"GET /1?" + b"&".join([b"a=1"] * MOST_VALUES) + b" HTTP/1.1\r\nHost: h\r\n\r\n")
        assert await client.hears() == (200, b"/1")

        client.says(b"GET /2?" + b"a&" * MOST_VALUES + b" HTTP/1.1\r\nHost: h\r\n\r\n")

        assert (await client.hears())[0] == 400
        assert await client.is_left()

    assert len(asked) == 1


async def test_many_requests_at_once_leave_the_loop_to_others_in_between():
    turns: list[int] = []

    async def at_once(request: Request) -> Response:
        seen.append(len(turns))
        asyncio.get_running_loop().call_soon(turns.append, 1)
        return Response()

    seen: list[int] = []
    async with served(at_once) as (client, _):
        client.says(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 500)
        for _ in range(500):
            await client.hears()

    assert seen == list(range(500))


async def test_who_has_left_is_not_answered_any_more():
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Response:
        begun.set()
        await may_end.wait()
        return Response()

    async with served(slow) as (client, asked):
        client.says(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 1_000)
        await begun.wait()
        client.leaves()
        may_end.set()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        async with asyncio.timeout(WAIT_SECONDS):
            await asyncio.wait(others)

    assert len(asked) < 1_000


async def test_who_is_refused_and_has_left_is_no_fault_of_ours():
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with served() as (client, _):
        port = client._writer.get_extra_info("peername")[1]
        for _ in range(50):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"nonsense\r\n\r\n")
            writer.close()  # so that our answer is met by a reset
        client.says(b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n")
        assert await client.hears() == (200, b"/1")
    gc.collect()

    assert complaints == []


async def test_nobody_waits_for_an_answer_that_was_broken_off():
    async def broken_off(request: Request) -> Response:
        raise asyncio.CancelledError

    async with served(broken_off) as (client, _):
        client.says(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")

        assert await client.is_left()


async def test_with_too_many_connections_the_oldest_that_asks_for_nothing_is_left(monkeypatch):
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 3)
    begun, may_end, port = asyncio.Event(), asyncio.Event(), a_port()

    async def slow_at_first(request: Request) -> Response:
        if request.path == "/slow":
            begun.set()
            await may_end.wait()
        return Response(body=request.path.encode())

    async with listening("127.0.0.1", port, slow_at_first, headers={}):
        clients = [Client(*await asyncio.open_connection("127.0.0.1", port))]
        clients[0].says(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        await begun.wait()
        for _ in range(4):
            clients.append(Client(*await asyncio.open_connection("127.0.0.1", port)))
        first, second, third, *late = clients
        for client in late:
            client.says(b"GET /late HTTP/1.1\r\nHost: h\r\n\r\n")
            assert await client.hears() == (200, b"/late")
        may_end.set()

        assert await first.hears() == (200, b"/slow")
        assert await second.is_left()
        assert await third.is_left()
    for client in clients:
        client.leaves()


async def test_requests_before_one_that_is_none_are_answered():
    async with served() as (client, _):
        client.says(b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nnonsense\r\n\r\n")

        assert await client.hears() == (200, b"/1")
        assert (await client.hears())[0] == 400


async def test_who_never_ends_a_request_or_never_asks_is_left(monkeypatch):
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0.05)
    for beginning in (b"", b"GET / HTTP/1.1\r\nX:"):
        async with served() as (client, _):
            client.says(beginning)

            assert await client.is_left()


async def test_who_takes_no_answers_gets_no_more_of_them_made_and_is_left(monkeypatch):
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0.2)
    left, lost = asyncio.Event(), connection.Connection.connection_lost

    def note(self: connection.Connection, why: Exception | None) -> None:
        lost(self, why)
        left.set()

    monkeypatch.setattr(connection.Connection, "connection_lost", note)

    async def much(request: Request) -> Response:
        return Response(body=bytes(30_000_000))

    async with served(much) as (client, asked):
        client.says(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 1_000)

        async with asyncio.timeout(WAIT_SECONDS):
            await left.wait()

    assert len(asked) == 1


async def test_who_takes_not_the_last_of_an_answer_is_left_too(monkeypatch):
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0.2)
    # As if all that is not taken fitted into the buffer.
    monkeypatch.setattr(connection.Connection, "pause_writing", lambda _: None)
    left, lost = asyncio.Event(), connection.Connection.connection_lost

    def note(self: connection.Connection, why: Exception | None) -> None:
        lost(self, why)
        left.set()

    monkeypatch.setattr(connection.Connection, "connection_lost", note)

    async def much(request: Request) -> Response:
        return Response(body=bytes(30_000_000))

    async with served(much) as (client, _):
        client.says(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")

        async with asyncio.timeout(WAIT_SECONDS):
            await left.wait()


async def test_at_the_end_what_is_under_way_is_answered():
    begun, may_end, port = asyncio.Event(), asyncio.Event(), a_port()

    async def slow(request: Request) -> Response:
        begun.set()
        await may_end.wait()
        return Response(body=b"done")

    async with listening("127.0.0.1", port, slow, headers={}):
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        client.says(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await begun.wait()
        asyncio.get_running_loop().call_soon(may_end.set)

    assert await client.hears() == (200, b"done")
    assert await client.is_left()
    client.leaves()


async def test_at_the_end_nobody_waits_for_long_for_an_answer_that_does_not_come(monkeypatch):
    monkeypatch.setattr("watcher.admin.http.listening.PARTING_SECONDS", 0.05)
    begun, port = asyncio.Event(), a_port()

    async def never(request: Request) -> Response:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with asyncio.timeout(WAIT_SECONDS), listening("127.0.0.1", port, never, headers={}):
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        client.says(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await begun.wait()

    assert await client.is_left()
    client.leaves()


def test_all_of_it_goes_the_same_way_on_the_loop_that_run_takes(monkeypatch):
    acts = [
        test_requests_behind_each_other_are_answered_in_their_order_on_one_connection,
        test_who_asks_for_a_head_gets_no_body,
        test_nobody_is_taken_elsewhere,
        test_requests_before_one_that_is_none_are_answered,
        test_many_requests_at_once_leave_the_loop_to_others_in_between,
        test_who_has_left_is_not_answered_any_more,
        test_nobody_waits_for_an_answer_that_was_broken_off,
        test_at_the_end_what_is_under_way_is_answered,
    ]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for act in acts:
            runner.run(act())
        runner.run(
            test_what_is_no_request_or_too_large_is_refused_without_repeating_it(TOO_MANY_HEADERS, 431)
        )
        runner.run(test_who_takes_no_answers_gets_no_more_of_them_made_and_is_left(monkeypatch))
        runner.run(test_who_takes_not_the_last_of_an_answer_is_left_too(monkeypatch))
        runner.run(test_with_too_many_connections_the_oldest_that_asks_for_nothing_is_left(monkeypatch))
