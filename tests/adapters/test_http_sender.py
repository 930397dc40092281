"""The sender against receivers that answer, badly or not at all: whatever they do is an outcome."""

from __future__ import annotations

import asyncio
import functools
import socket
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.adapters.raw_receiver import (
    OK,
    TOKEN,
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
from watcher.adapters.http.answers import Reader
from watcher.adapters.http.sender import HttpSender
from watcher.adapters.http.waits import LONGEST_WAIT, retry_after
from watcher.core.outcomes import Answered, Unreachable

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)

OVERRUN = "followed by more than it announced"
NO_HTTP = "not HTTP after its headers, and was left"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

SPOILT = {
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok-and-more": Answered(status=200, left=OVERRUN),
    b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok-and-more": Answered(status=200, left=OVERRUN),
    b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"more": Answered(status=200, left=OVERRUN),
    b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\nmore": Answered(status=500, left=OVERRUN),
    b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello": Answered(
        status=204, left="a 204 that announces a body"
    ),
    CHUNKED + b"zz\r\nabc": Answered(status=200, left=NO_HTTP),
    CHUNKED + b"2\r\nok\r\nzz\r\nabc": Answered(status=200, left=NO_HTTP),
}
"""Answers as one writes them by hand, and what becomes of them."""


# What is put on the wire


async def test_a_request_carries_our_headers_and_none_of_the_librarys() -> None:
    async with receiving(saying(OK)) as receiver, HttpSender() as sender:
        outcome = await sender.send(a_request(receiver.url))

    head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
    names = [line.split(b":")[0] for line in head.split(b"\r\n")[1:]]
    assert outcome == Answered(status=200)
    assert head.startswith(b"POST /hook?token=tok3n HTTP/1.1\r\n")
    assert sorted(names) == [b"Accept", b"Content-Length", b"Content-Type", b"Host", b"User-Agent", b"X-Key"]
    assert body == b'{"event":"message.created"}'


async def test_the_url_goes_out_as_it_was_written() -> None:
    async with receiving(saying(OK)) as receiver, HttpSender() as sender:
        base = receiver.url.partition("/hook")[0]
        await sender.send(a_request(base + "/a%2fb/../c?sig=%2F%2B%7e+a#part"))

        await sender.send(a_request(base + "/two words"))

    assert receiver.requests[0].startswith(b"POST /a%2fb/../c?sig=%2F%2B%7e+a HTTP/1.1\r\n")
    assert receiver.requests[1].startswith(b"POST /two%20words HTTP/1.1\r\n")


async def test_a_cookie_is_not_given_back() -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"

    async with receiving(saying(answer)) as receiver, HttpSender() as sender:
        for _ in range(2):
            await sender.send(a_request(receiver.url))

    assert b"cookie" not in receiver.requests[1].lower()


async def test_what_http_cannot_carry_is_an_outcome_too() -> None:
    broken: list[dict[str, Any]] = [
        {"headers": (("X-A", "a\r\nX-B: b"),)},
        {"headers": (("X A\n", "a"),)},
        {"url": "http://[half"},
        {"url": "ftp://localhost/"},
        {"url": "http:///nothing"},
    ]

    async with receiving(saying(OK)) as receiver, HttpSender() as sender:
        requests = [a_request(**{"url": receiver.url, **change}) for change in broken]
        reasons = [reason(await sender.send(request)) for request in requests]

    assert {text.partition(":")[0] for text in reasons} == {"protocol"}
    assert receiver.requests == []


# Answers


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    async with receiving(saying(OK)) as target:
        answer = b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % target.url.encode()
        outcome = await outcome_of(saying(answer))

    assert outcome == Answered(status=302)
    assert target.connections == 0


async def test_interim_answers_are_passed_over() -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

    assert await outcome_of(saying(early + OK)) == Answered(status=200)


async def test_a_compressed_answer_is_not_unpacked() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"

    async with receiving(saying(answer)) as receiver, HttpSender() as sender:
        outcomes = [await sender.send(a_request(receiver.url)) for _ in range(2)]

    assert outcomes == [Answered(status=200)] * 2
    assert receiver.connections == 1


async def test_retry_after_is_read_against_the_receivers_own_clock() -> None:
    answer = (
        b"HTTP/1.1 503 Busy\r\nDate: Fri, 01 Jan 2016 00:00:00 GMT\r\n"
        b"Retry-After: Fri, 01 Jan 2016 00:02:00 GMT\r\nContent-Length: 0\r\n\r\n"
    )

    assert await outcome_of(saying(answer)) == Answered(status=503, retry_after=timedelta(minutes=2))


async def test_the_answers_headers_are_kept_whatever_bytes_they_are() -> None:
    outcome = await outcome_of(
        saying(b"HTTP/1.1 500 Oh\r\nX-Id: a\xff\r\nX-Id: b\r\nContent-Length: 0\r\n\r\n")
    )

    assert isinstance(outcome, Answered)
    assert outcome.headers == (("X-Id", "aÿ"), ("X-Id", "b"), ("Content-Length", "0"))


async def test_an_endless_answer_is_left_and_its_status_counts() -> None:
    async def endless(connection: Connection) -> None:
        await connection.request()
        await connection.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await connection.say(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")

    async with receiving(endless) as receiver, HttpSender() as sender:
        began = time.monotonic()
        outcome = await sender.send(a_request(receiver.url))
        took = time.monotonic() - began
        await asyncio.wait_for(receiver.gone.get(), 2)  # its write failed: our end is closed

    assert outcome == Answered(status=200, left="longer than 16384 bytes, and was left")
    assert took < 0.95  # after a second it would be left for its slowness


async def test_a_dripping_answer_is_left_after_a_second_and_its_status_counts() -> None:
    async def dripping(connection: Connection) -> None:
        await connection.request()
        await connection.say(b"HTTP/1.1 202 Yes\r\nContent-Length: 9999\r\n\r\n")
        while True:
            await connection.say(b".")
            await asyncio.sleep(0.02)

    async with receiving(dripping) as receiver, HttpSender() as sender:
        began = time.monotonic()
        outcome = await sender.send(a_request(receiver.url, timeout=30))
        took = time.monotonic() - began
        await asyncio.wait_for(receiver.gone.get(), 2)

    assert outcome == Answered(status=202, left="slow, and was left")
    assert took < 10


async def test_the_rest_of_an_answer_never_outlasts_the_timeout() -> None:
    async def half(connection: Connection) -> None:
        await connection.request()
        await connection.say(b"HTTP/1.1 500 Oh\r\nContent-Length: 10\r\n\r\nhalf")
        await connection.closed_by_sender()

    began = time.monotonic()
    outcome = await outcome_of(half, timeout=0.2)

    assert outcome == Answered(status=500, left="slow, and was left")
    assert time.monotonic() - began < 0.95  # not the second that other answers are given


async def test_an_answer_before_the_body_was_read_counts() -> None:
    async def impatient(connection: Connection) -> None:
        await connection.reader.readuntil(b"\r\n\r\n")
        await connection.say(b"HTTP/1.1 413 Too much\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await connection.closed_by_sender()

    async with receiving(impatient) as receiver, HttpSender() as sender:
        outcome = await sender.send(a_request(receiver.url, body=b"x" * 30_000_000))

    assert outcome == Answered(status=413)


# No answer


async def test_silence_ends_at_the_timeout() -> None:
    began = time.monotonic()
    outcome = await outcome_of(hanging, timeout=0.5)
    took = time.monotonic() - began

    assert reason(outcome) == "timeout: connected, but no answer after 0.5 s"
    assert 0.5 <= took < 5


async def test_dripping_headers_end_at_the_timeout() -> None:
    async def dripping(connection: Connection) -> None:
        await connection.request()
        await connection.say(b"HTTP/1.1 200 OK\r\n")
        while True:
            await connection.say(b"X-A: b\r\n")
            await asyncio.sleep(0.02)

    told = "timeout: connected, but the answer's headers did not end after 0.3 s"
    assert reason(await outcome_of(dripping, timeout=0.3)) == told


async def test_endless_interim_answers_end_at_the_timeout() -> None:
    async def hinting(connection: Connection) -> None:
        await connection.request()
        while True:
            await connection.say(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            await asyncio.sleep(0.01)

    told = "timeout: connected, but the answer's headers did not end after 0.3 s"
    assert reason(await outcome_of(hinting, timeout=0.3)) == told


async def test_a_receiver_that_never_finishes_tls_ends_at_the_timeout() -> None:
    async with receiving(hanging) as receiver, HttpSender() as sender:
        url = receiver.url.replace("http:", "https:")
        outcome = await sender.send(a_request(url, timeout=0.3))

    assert reason(outcome) == "timeout: connected, but TLS was not answered after 0.3 s"


async def test_closing_without_an_answer_is_disconnected_and_not_tried_again() -> None:
    async def closing(connection: Connection) -> None:
        await connection.request()

    async with receiving(closing) as receiver, HttpSender() as sender:
        outcome = await sender.send(a_request(receiver.url))

    assert reason(outcome) == "disconnected: the receiver closed the connection without an answer"
    assert len(receiver.requests) == 1


async def test_closing_amid_the_headers_is_disconnected() -> None:
    outcome = await outcome_of(saying(b"HTTP/1.1 200 OK\r\nX-Echo: tok3n\r\n", close=True))

    assert reason(outcome).startswith("disconnected: the receiver closed the connection in the middle")


async def test_a_reset_is_disconnected() -> None:
    async def resetting(connection: Connection) -> None:
        await connection.request()
        connection.writer.transport.abort()

    assert reason(await outcome_of(resetting)).startswith("disconnected: ")


async def test_garbage_is_no_answer() -> None:
    for garbage in (b"\x00\xff\x16\x03" * 40, b"SSH-2.0-tok3n\r\n\r\n", b"HTTP/1.1 tok3n\r\n\r\n"):
        assert reason(await outcome_of(saying(garbage, close=True))) == "protocol: the answer is not HTTP"


async def test_a_flood_of_headers_is_cut() -> None:
    async def flooding(connection: Connection, header: bytes) -> None:
        await connection.request()
        await connection.say(b"HTTP/1.1 200 OK\r\n")
        while True:
            await connection.say(header)

    wide, many, endless = b"X-A: " + b"b" * 9000 + b"\r\n", b"X-A: b\r\n" * 100, b"b" * 1000
    reasons = {
        name: reason(await outcome_of(functools.partial(flooding, header=header)))
        for name, header in (("wide", wide), ("many", many), ("endless", endless))
    }

    assert reasons["wide"] == "protocol: the answer's headers are too large"
    assert reasons["many"] == "protocol: the answer has too many headers"
    assert reasons["endless"].startswith("protocol: ")


async def test_a_flood_of_interim_answers_is_cut_long_before_the_timeout() -> None:
    async def flooding(connection: Connection, interim: bytes) -> None:
        await connection.request()
        while True:
            await connection.say(interim * 1000)

    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </%s>\r\n\r\n" % (b"a" * 2000)
    for interim in (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n", hint):
        behave = functools.partial(flooding, interim=interim)
        async with receiving(behave) as receiver, HttpSender() as sender:
            outcome = await sender.send(a_request(receiver.url, timeout=30))
            await asyncio.wait_for(receiver.gone.get(), 5)

        assert reason(outcome) == "protocol: interim answers (1xx) without end"
        assert len(receiver.requests) == 1


async def test_a_flood_on_a_connection_used_again_is_cut_too() -> None:
    async def flooding_later(connection: Connection) -> None:
        await connection.request()
        await connection.say(OK)
        await connection.request()
        while True:
            await connection.say(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)

    async with receiving(flooding_later) as receiver, HttpSender() as sender:
        first = await sender.send(a_request(receiver.url))
        second = await sender.send(a_request(receiver.url, timeout=30))

    assert first == Answered(status=200)
    assert reason(second) == "protocol: interim answers (1xx) without end"
    assert receiver.connections == 1


async def test_many_short_interim_answers_in_one_go_are_passed_over() -> None:
    assert await outcome_of(saying(b"HTTP/1.1 100 Continue\r\n\r\n" * 500 + OK)) == Answered(status=200)


async def test_headers_may_be_as_large_as_any_server_makes_them() -> None:
    headers = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 1000) for number in range(24))

    assert await outcome_of(
        saying(b"HTTP/1.1 200 OK\r\n" + headers + b"Content-Length: 0\r\n\r\n")
    ) == Answered(status=200)


async def test_what_a_receiver_says_unasked_is_not_taken_for_the_next_answer() -> None:
    async def impolite(connection: Connection, unasked: bytes) -> None:
        await connection.request()
        await connection.say(OK)
        if connection.number == 1:
            await answered.wait()
            await connection.say(unasked)
        await connection.closed_by_sender()

    for unasked in (b"HTTP/1.1 408 Too slow\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 40", b"\r\n"):
        answered = asyncio.Event()
        behave = functools.partial(impolite, unasked=unasked)
        async with receiving(behave) as receiver, HttpSender() as sender:
            first = await sender.send(a_request(receiver.url))
            answered.set()
            await asyncio.wait_for(receiver.gone.get(), 2)
            second = await sender.send(a_request(receiver.url))

        assert [first, second] == [Answered(status=200)] * 2


async def test_what_comes_with_the_end_of_an_answer_is_not_taken_for_the_next_one() -> None:
    async def overzealous(connection: Connection) -> None:
        while await connection.request() is not None:
            await connection.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
            await asyncio.sleep(0.05)  # so that the end comes apart from the beginning
            await connection.say(b"lfHTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")

    async with receiving(overzealous) as receiver, HttpSender() as sender:
        outcomes = [await sender.send(a_request(receiver.url)) for _ in range(2)]

    assert outcomes == [Answered(status=200, left=OVERRUN)] * 2
    assert receiver.connections == 2


async def test_two_answers_to_one_request_are_one_and_the_connection_is_left() -> None:
    twice = OK + b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"

    async with receiving(saying(twice)) as receiver, HttpSender() as sender:
        outcomes = [await sender.send(a_request(receiver.url)) for _ in range(2)]

    assert outcomes == [Answered(status=200, left=OVERRUN)] * 2
    assert receiver.connections == 2


async def test_what_is_wrong_after_the_headers_takes_nothing_from_the_status() -> None:
    for answer, outcome in SPOILT.items():
        async with receiving(saying(answer)) as receiver, HttpSender() as sender:
            began = time.monotonic()
            outcomes = [await sender.send(a_request(receiver.url)) for _ in range(2)]
            took = time.monotonic() - began

        assert outcomes == [outcome] * 2
        assert receiver.connections == 2
        assert took < 0.95  # nobody waits for the end of what cannot be read


async def test_a_body_that_a_204_announces_is_not_taken_for_the_next_answer() -> None:
    async def late(connection: Connection) -> None:
        while await connection.request() is not None:
            await connection.say(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n")
            await asyncio.sleep(0.05)
            await connection.say(b"hello")

    async with receiving(late) as receiver, HttpSender() as sender:
        outcomes = [await sender.send(a_request(receiver.url)) for _ in range(2)]

    assert outcomes == [Answered(status=204, left="a 204 that announces a body")] * 2
    assert receiver.connections == 2


async def test_headers_that_are_wrong_themselves_are_no_answer() -> None:
    for wrong in (
        b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: two\r\n\r\nok",
    ):
        outcome = await outcome_of(saying(b"HTTP/1.1 200 OK\r\n" + wrong))

        assert reason(outcome) == "protocol: the answer is not HTTP"


async def test_old_ways_to_end_an_answer_count() -> None:
    answers = {
        "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nall until the end",
        "no length": b"HTTP/1.1 200 OK\r\n\r\nall until the end",
        "no body": b"HTTP/1.1 204 No Content\r\n\r\n",
        "cut short": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf",
        "no end of chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf",
    }

    outcomes = {name: await outcome_of(saying(answer, close=True)) for name, answer in answers.items()}

    assert outcomes == {
        "HTTP/1.0": Answered(status=200),
        "no length": Answered(status=200),
        "no body": Answered(status=204),
        "cut short": Answered(status=200, left="cut short by the receiver"),
        "no end of chunks": Answered(status=200, left="cut short by the receiver"),
    }


async def test_a_closed_port_is_refused() -> None:
    with socket.socket() as reserved:  # bound, but nobody listens
        reserved.bind(("127.0.0.1", 0))
        async with HttpSender() as sender:
            outcome = await sender.send(a_request(f"http://127.0.0.1:{reserved.getsockname()[1]}/?a={TOKEN}"))

    assert reason(outcome) == "refused: nothing listens at that host and port"


async def test_a_name_that_cannot_exist_is_a_dns_failure() -> None:
    async with HttpSender() as sender:
        outcome = await sender.send(a_request(f"https://{'a' * 64}.invalid/{TOKEN}"))

    assert reason(outcome) == "dns: no such host name"


async def test_an_unknown_name_is_a_dns_failure() -> None:
    async with HttpSender() as sender:
        outcome = await sender.send(a_request(f"https://nonexistent.invalid/{TOKEN}", timeout=4))

    # Without a network the name server cannot even say that there is no such name.
    assert reason(outcome).startswith(("dns: ", "timeout: still looking up the host name"))


@pytest.mark.parametrize("law", laws_in(globals()), ids=named)
def test_on_uvloop_too(law: Law) -> None:
    """The sidecar runs on uvloop, whose transports, TLS and errors are its own."""
    uvloop.run(law())


# Whatever comes


@pytest.mark.parametrize("answer", SPOILT)
async def test_where_the_network_cuts_an_answer_apart_changes_nothing(answer: bytes) -> None:
    for cut in range(len(answer)):
        reader = Reader()

        reader.feed(answer[:cut])
        reader.feed(answer[cut:])

        assert reader.done
        assert reader.status == SPOILT[answer].status
        assert not reader.keep


PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/0.9 999\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Content-Length: 5\r\n",
            b"Content-Length: -1\r\n",
            b"Retry-After: Mon, 99 Foo 99999 99:99:99 GMT\r\n",
            b"Retry-After: " + b"9" * 5000 + b"\r\n",
            b"Date: \xff\r\n",
            b"Location: http://[\r\n",
            b"Set-Cookie: =;=\r\n",
            b"\r\n",
            b"ffffffffff\r\n",
            b"0\r\n\r\n",
        ]
    ),
)


@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(PIECES, max_size=8))
def test_whatever_a_receiver_says_is_an_outcome(pieces: list[bytes]) -> None:
    outcome = asyncio.run(outcome_of(saying(b"".join(pieces), close=True)))

    assert isinstance(outcome, Answered | Unreachable)


# Retry-After


@pytest.mark.parametrize(
    ("value", "date", "span"),
    [
        (None, None, None),
        ("120", None, timedelta(minutes=2)),
        (" 0 ", None, timedelta(0)),
        ("9" * 5000, None, LONGEST_WAIT),
        ("-5", None, None),
        ("1.5", None, None),
        ("²", None, None),
        ("soon", None, None),
        ("", None, None),
        ("Tue, 24 Nov 2026 12:00:30 GMT", None, timedelta(seconds=30)),
        ("Tuesday, 24-Nov-26 12:00:30 GMT", None, timedelta(seconds=30)),
        ("Tue Nov 24 12:00:30 2026", None, timedelta(seconds=30)),
        ("Tue, 24 Nov 2026 11:00:00 GMT", None, timedelta(0)),
        ("Tue, 24 Nov 9999 12:00:00 GMT", None, LONGEST_WAIT),
        ("Tue, 24 Nov 2026 12:00:30 GMT", "Tue, 24 Nov 2026 12:00:10 GMT", timedelta(seconds=20)),
        ("Tue, 24 Nov 2026 12:00:30 GMT", "yesterday", timedelta(seconds=30)),
    ],
)
def test_retry_after_is_read_in_both_forms(
    value: str | None, date: str | None, span: timedelta | None
) -> None:
    assert retry_after(value, date=date, now=NOON) == span


@given(value=st.text(), date=st.none() | st.text())
def test_no_retry_after_is_negative_or_beyond_a_year(value: str, date: str | None) -> None:
    span = retry_after(value, date=date, now=NOON)

    assert span is None or timedelta(0) <= span <= LONGEST_WAIT
