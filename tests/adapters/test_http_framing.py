"""Where an answer ends, and what is wrong with it: the same however the network cuts it apart."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.adapters.http.answers import (
    ANSWER_BYTES,
    HEAD_BYTES,
    KEPT_BYTES,
    LONG,
    NO_HTTP,
    OVERRUN,
    WIRE_BYTES,
    Answer,
    Reader,
)
from watcher.adapters.http.faults import Flood, Malformed

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"


def read(*pieces: bytes) -> Reader:
    reader = Reader()
    for piece in pieces:
        if not reader.done:
            reader.feed(piece)
    return reader


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


WHOLE = {
    "a length": (OK + b"Content-Length: 2\r\n\r\nok", b"ok"),
    "no body": (EMPTY, b""),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "304 as if there were a body": (b"HTTP/1.1 304 Same\r\nETag: 1\r\n\r\n", b""),
    "chunks": (CHUNKED + b"2\r\nok\r\n3\r\n, 1\r\n0\r\n\r\n", b"ok, 1"),
    "chunks with extensions": (CHUNKED + b'2;a=b;c="d"\r\nok\r\n0;last\r\n\r\n', b"ok"),
    "padded sizes of chunks": (CHUNKED + b"2  \r\nok\r\n0\r\n\r\n", b"ok"),
    "chunks with trailers": (CHUNKED + b"2\r\nok\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n", b"ok"),
    "two codings": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
    "bare line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok"),
    "an empty line before it": (b"\r\n" + EMPTY, b""),
    "folded headers": (OK + b"X-A: a\r\n b\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "HTTP/1.0 that stays": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        b"ok",
    ),
    "interim answers": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: <a>\r\n\r\n" + EMPTY, b""),
    "an interim answer with a length": (b"HTTP/1.1 102 Wait\r\nContent-Length: 9\r\n\r\n" + EMPTY, b""),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_an_answer_ends_where_it_says_and_the_connection_stays(kind: str) -> None:
    data, body = WHOLE[kind]

    for reader in (read(data), read(*bytewise(data))):
        assert reader.done
        assert reader.keep
        assert (reader.answer.body, reader.answer.left) == (body, "")
        assert b"X-Sum" not in dict(reader.answer.fields)


@settings(deadline=None)
@given(kind=st.sampled_from(sorted(WHOLE)), data=st.data())
def test_where_the_network_cuts_an_answer_apart_makes_no_difference(kind: str, data: st.DataObject) -> None:
    answer, _ = WHOLE[kind]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=8)))
    pieces = [answer[a:b] for a, b in zip([0, *cuts], [*cuts, len(answer)], strict=True) if a < b]

    assert read(*pieces).answer == read(answer).answer


def test_one_reader_reads_one_answer_after_another() -> None:
    reader = Reader()
    for kind, (answer, body) in {**WHOLE, **dict(reversed(WHOLE.items()))}.items():
        reader.begin()
        reader.feed(answer)

        assert (reader.done, reader.keep, reader.answer.body) == (True, True, body), kind


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\nwhatever is spoken now",
    ],
)
def test_some_answers_are_whole_and_the_last_on_their_connection(answer: bytes) -> None:
    for reader in (read(answer), read(*bytewise(answer))):
        assert (reader.done, reader.keep, reader.answer.left) == (True, False, "")


SPOILT = {
    CHUNKED + b"zz\r\n": NO_HTTP,
    CHUNKED + b"-2\r\nok": NO_HTTP,
    CHUNKED + b"2\nok\n0\n\n": NO_HTTP,
    CHUNKED + b"f" * 17 + b"\r\nok": NO_HTTP,
    CHUNKED + b"2\r\nokok\r\n": NO_HTTP,
    CHUNKED + b"2\r\nok\r\n0\r\nno trailer\r\n\r\n": NO_HTTP,
    EMPTY + EMPTY: OVERRUN,
    EMPTY + b"HT": OVERRUN,
    EMPTY + b"\0": OVERRUN,
    CHUNKED + b"0\r\n\r\n" + EMPTY: OVERRUN,
    OK + b"Connection: close\r\nContent-Length: 0\r\n\r\nmore": OVERRUN,
}


@pytest.mark.parametrize("answer", SPOILT)
def test_what_is_wrong_behind_the_status_is_said_and_ends_the_connection(answer: bytes) -> None:
    reader = read(answer)

    assert (reader.done, reader.keep, reader.status, reader.answer.left) == (True, False, 200, SPOILT[answer])


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>as HTTP/0.9 did</html>",
        b"200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 -200 OK\r\n\r\n",
        b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: +1\r\n\r\na",
        OK + b"Content-Length: 0x2\r\n\r\nok",
        OK + b"Content-Length: 2, 2\r\n\r\nok",
        OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nok",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b"X A: b\r\n\r\n",
        OK + b": b\r\n\r\n",
    ],
)
def test_what_is_wrong_before_its_end_is_no_answer(answer: bytes) -> None:
    for pieces in ([answer], bytewise(answer)):
        with pytest.raises(Malformed):
            read(*pieces)


def test_a_head_has_an_end_whatever_comes() -> None:
    for flood, told in (
        (b"X-A: " + b"b" * 70_000, "headers are too large"),
        (b"X-A: b\r\n" * 9000, "too many headers"),
        (b"X-A: b\r\n" * 129 + b"\r\n", "too many headers"),
    ):
        with pytest.raises(Flood, match=told):
            read(OK + flood)
    with pytest.raises(Flood, match="interim answers"):
        read(b"HTTP/1.1 100 Continue\r\n\r\n" * 2000)


def test_a_head_of_just_the_size_is_read() -> None:
    padding = b"X-A: " + b"b" * (HEAD_BYTES - len(EMPTY) - 7) + b"\r\n"
    answer = EMPTY[:-2] + padding + b"\r\n"

    assert len(answer) == HEAD_BYTES
    assert read(answer).keep
    assert read(*bytewise(answer)).keep


def test_a_body_is_read_so_far_and_kept_so_far() -> None:
    body = b"x" * ANSWER_BYTES
    just = read(OK + b"Content-Length: %d\r\n\r\n" % len(body), body)
    longer = read(OK + b"Content-Length: %d\r\n\r\n" % (10 * len(body)), body, body)

    assert (just.keep, just.answer.left, just.answer.body) == (True, "", b"x" * KEPT_BYTES)
    assert (longer.done, longer.keep, longer.answer.left) == (True, False, LONG)


def test_what_chunks_add_to_a_body_is_bounded_too() -> None:
    for endless in (b"1\r\nx\r\n", b"1;" + b"e" * 5000 + b"\r\nx\r\n", b"0\r\n" + b"X-A: b\r\n" * 100_000):
        reader = Reader()
        reader.feed(CHUNKED)
        fed = 0
        while not reader.done:
            reader.feed(endless * 10)
            fed += len(endless) * 10

        assert (reader.keep, reader.answer.left) == (False, LONG)
        assert fed <= HEAD_BYTES + WIRE_BYTES + len(endless) * 10


@pytest.mark.parametrize(
    ("head", "left"),
    [
        (b"\r\n", ""),
        (b"Transfer-Encoding: gzip\r\n\r\n", ""),
        (b"Content-Length: 9\r\n\r\n", "cut short by the receiver"),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\n", "cut short by the receiver"),
    ],
)
def test_the_end_of_the_connection_ends_only_what_has_no_end_of_its_own(head: bytes, left: str) -> None:
    reader = read(OK + head + b"half")
    assert not reader.done

    reader.end(cleanly=True)

    assert reader.answer == Answer(200, reader.answer.fields, b"half", left)


def test_a_proxys_yes_has_no_body_whatever_it_says() -> None:
    for said in (b"\r\n", b"Content-Length: 10\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"):
        reader = Reader()
        reader.begin(headers_only=True)
        reader.feed(OK + said)
        assert (reader.done, reader.keep) == (True, True)

        reader.renew()
        reader.feed(EMPTY)

        assert (reader.done, reader.keep, reader.answer.left) == (True, True, "")


@settings(deadline=None, max_examples=300)
@given(data=st.binary(max_size=200), start=st.sampled_from([b"", OK, CHUNKED, EMPTY, b"HTTP/1.1 "]))
def test_whatever_comes_is_read_or_refused(data: bytes, start: bytes) -> None:
    try:
        reader = read(start, data)
    except (Flood, Malformed):
        return
    assert reader.done or not reader.keep or reader.status
