"""Requests out of bytes: the same however the network cuts them, and nothing but a refusal for the rest."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from watcher.admin.http.messages import Request
from watcher.admin.http.parsing import Parser, Refused

UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
HEADERS = [
    UPGRADE,
    b"Connection: close\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Expect: 100-continue\r\n",
    b"X: \xff\xc3\r\n",
]
BODIES = [b"abc", b"3\r\nabc\r\n", b"0\r\n", b"\r\n", b"Content-Length: 3\r\n", b"\n", b"\0"]

requests = st.builds(
    lambda method, target, version, headers, body: b"".join(
        [method, target, version, *headers, b"\r\n", *body]
    ),
    st.sampled_from([b"GET ", b"POST ", b"CONNECT ", b"get "]),
    st.sampled_from([b"/", b"/a%2Fb?b=%zz&c", b"a:80", b"*", b"http://h"]),
    st.sampled_from([b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"\r\n"]),
    st.lists(st.sampled_from(HEADERS), max_size=4, unique=True),
    st.lists(st.sampled_from(BODIES), max_size=4),
)


def asked(data: bytes, cuts: list[int]) -> list[tuple[Request, bool] | int]:
    """The requests, each with whether another may follow, up to the first after which none may; a number: the
    rest is refused with that status."""
    taken: list[tuple[Request, bool] | int] = []
    parser = Parser("", take=lambda request, keeps: taken.append((request, keeps)), go_on=lambda: None)
    try:
        for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            if begin < end:
                parser.feed(data[begin:end])
    except Refused as refused:
        taken.append(refused.status)
    last = next((at for at, each in enumerate(taken) if isinstance(each, int) or not each[1]), len(taken))
    return taken[: last + 1]


@settings(deadline=None)
@given(data=st.lists(requests, min_size=1, max_size=3).map(b"".join), drawn=st.data())
def test_where_the_network_cuts_requests_apart_makes_no_difference(data: bytes, drawn: st.DataObject) -> None:
    cuts = sorted(drawn.draw(st.lists(st.integers(0, len(data)), max_size=6)))

    assert asked(data, cuts) == asked(data, []) == asked(data, list(range(1, len(data))))


@settings(deadline=None)
@given(data=st.binary(max_size=200), start=st.sampled_from([b"", b"GET / HTTP/1.1\r\n", b"GET / HT"]))
@example(data=b"Content-Length: 1\r\n\r\na", start=b"CONNECT a:80 HTTP/1.1\r\n")
def test_whatever_comes_is_taken_or_refused(data: bytes, start: bytes) -> None:
    asked(start + data, [])
