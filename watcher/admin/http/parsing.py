"""Parsing: bytes of one connection become requests, one after the other, within limits.

What a client sends amiss is answered, and never repeated: it may hold a secret."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, unquote

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, parse_url

from watcher.admin.http.messages import Request

LARGEST_BODY = 256 * 1024
"""A thousand ids fit in it."""

LONGEST_TARGET = 256 * 1024
"""Path and query: the longest query that the API takes fits in it."""

LONGEST_HEADER = 8 * 1024

MOST_VALUES = 1000
"""In a query: several times what the API takes. Hundreds of thousands fit in it, and would stop the loop for
a fifth of a second before anybody has looked at the token."""

LARGEST_HEAD = LONGEST_TARGET + 64 * 1024
"""All before the body."""

LARGEST_REQUEST = LARGEST_HEAD + 8 * LARGEST_BODY
"""On the wire, where a body may come in many small chunks, with headers behind it."""


class Refused(Exception):
    """What came is no request that can be answered. The connection is of no use any more."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Parser:
    """Of one connection. httptools calls the methods that begin with `on_`."""

    _in_head: bool
    _method: str

    def __init__(
        self, address: str, *, take: Callable[[Request, bool], None], go_on: Callable[[], None]
    ) -> None:
        """`take`: gets each request, and whether the connection may be used again. `go_on`: tells the client
        that it may send the body it asks for."""
        self._address = address
        self._take = take
        self._go_on = go_on
        self._parser = HttpRequestParser(self)
        self._refused: Refused | None = None
        self._begin()

    def feed(self, data: bytes) -> None:
        """Raises Refused."""
        try:
            try:
                self._parser.feed_data(data)
            except HttpParserUpgrade as upgrade:
                self._stay(data[upgrade.args[0] :])
        except HttpParserError:
            raise self._refused or Refused(400, "no HTTP request") from None
        # Of all together: what httptools keeps of a header that has not ended, we cannot see.
        self._size += len(data)
        if self._size > (LARGEST_HEAD if self._in_head else LARGEST_REQUEST):
            raise Refused(431, "the request is too large")

    def on_url(self, part: bytes) -> None:
        if not self._in_head:
            return
        self._target += part
        if len(self._target) > LONGEST_TARGET:
            self._refuse(414, "the path or the query is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: taken for a header it would slip by what a proxy before us judges
        if len(name) + len(value) > LONGEST_HEADER:
            self._refuse(400, "a header is too long")
        self._headers.setdefault(name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape"))

    def on_headers_complete(self) -> None:
        if not self._in_head:
            return
        self._in_head = False
        self._method = self._parser.get_method().decode("latin-1")
        expected = self._headers.get("expect")
        if expected is not None and expected.lower() != "100-continue":
            self._refuse(417, "only 100-continue can be expected")
        length = self._headers.get("content-length", "0")
        if length.isdecimal() and int(length) > LARGEST_BODY:
            self._refuse(413, TOO_LARGE)
        if expected is not None:
            self._go_on()

    def on_body(self, part: bytes) -> None:
        self._body += part
        if len(self._body) > LARGEST_BODY:
            self._refuse(413, TOO_LARGE)

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade() and self._framing():
            return
        try:
            url = parse_url(bytes(self._target))
        except HttpParserError:
            self._refuse(400, "the path is none")
        if url.query is not None and url.query.count(b"&") >= MOST_VALUES:
            self._refuse(400, "the query has too many values")
        path = (url.path or b"/").decode("latin-1")
        query = (url.query or b"").decode("latin-1")
        self._take(
            Request(
                method=self._method,
                segments=tuple(map(unquote, path.removeprefix("/").split("/"))),
                query=parse_qs(query, keep_blank_values=True),
                headers=self._headers,
                body=bytes(self._body),
                address=self._address,
            ),
            self._parser.should_keep_alive() and not self._parser.should_upgrade(),
        )
        self._begin()

    def _stay(self, rest: bytes) -> None:
        """Nothing else than HTTP is spoken here, so the request is answered as if no other protocol had been
        offered (RFC 9110 §7.8). httptools leaves its body unread: a second parser, to which no head is told,
        reads that."""
        if framing := self._framing():
            self._parser = HttpRequestParser(self)
            self._parser.feed_data(b"POST / HTTP/1.1\r\nConnection: close\r\n%b\r\n%b" % (framing, rest))

    def _framing(self) -> bytes:
        """What the head says of the length of the body; empty, where there is none."""
        told = {name: self._headers.get(name) for name in ("content-length", "transfer-encoding")}
        lines = [f"{name}: {value}\r\n" for name, value in told.items() if value not in (None, "0")]
        return "".join(lines).encode("utf-8", "surrogateescape")

    def _begin(self) -> None:
        self._in_head, self._size = True, 0
        self._target, self._body = bytearray(), bytearray()
        self._headers: dict[str, str] = {}

    def _refuse(self, status: int, why: str) -> None:
        # httptools makes an error of its own of whatever is raised in here.
        self._refused = Refused(status, why)
        raise self._refused


TOO_LARGE = "the body is too large: name fewer ids, or a filter"
