"""The reading of one connection's answers, bounded before the status has come and after it.

Laws: what comes before the status is bounded; what follows takes nothing from it; what comes after an
answer is nobody's, and ends the connection."""

from __future__ import annotations

from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from watcher.adapters.http.faults import Flood, Malformed

HEAD_BYTES = 32_768
"""Interim answers, status line and headers: four times what common proxies pass on of them."""

MOST_HEADERS = 128
ANSWER_BYTES = 16_384
"""Read only so that the connection can carry the next request; what receivers say of an error fits in it."""

WIRE_BYTES = 4 * ANSWER_BYTES
"""The same with what chunks add to it: sizes, extensions, trailers."""

KEPT_BYTES = 1024  # of an answer's body: what receivers say of an error fits in it

OVERRUN = "followed by more than it announced"
SLOW = "slow, and was left"
CUT_SHORT = "cut short by the receiver"
LONG = f"longer than {ANSWER_BYTES} bytes, and was left"
NO_HTTP = "not HTTP after its headers, and was left"
SPOILT_204 = "a 204 that announces a body"

Fields = list[tuple[bytes, bytes]]


class Answer(NamedTuple):
    """What a receiver answered."""

    status: int
    fields: Fields
    body: bytes
    """Its first `KEPT_BYTES`."""
    left: str
    """Why it was not read to its end, or what is wrong with it."""


class Reader:
    """Takes the bytes of a connection, one answer after another; `begin` comes before each.

    httptools calls the methods that begin with `on_`."""

    __slots__ = (
        "_body",
        "_fields",
        "_headers_only",
        "_interim",
        "_is_new",
        "_parser",
        "_read",
        "_size",
        "begun",
        "done",
        "fields",
        "keep",
        "left",
        "status",
    )

    def __init__(self) -> None:
        self.renew()

    def begin(self, *, headers_only: bool = False) -> None:
        """A request goes out. `headers_only`: of its answer no more is wanted, and no other one follows."""
        self._headers_only = headers_only
        self.begun = False
        if self._is_new:
            return  # nothing was fed to it since it last began
        self._is_new: bool = True
        self._fields: Fields = []
        self._body: list[bytes] = []
        self._size = self._read = 0
        self._interim = False
        self.done = self.keep = False
        self.status = 0
        """0: it has not come."""
        self.fields: Fields = []
        self.left = ""

    @property
    def answer(self) -> Answer:
        return Answer(self.status, self.fields, b"".join(self._body)[:KEPT_BYTES], self.left)

    def feed(self, data: bytes) -> None:
        """Raises Flood and Malformed before the status; after it nothing, but is then `done`."""
        self.begun, self._is_new = True, False
        taken = 0
        while taken < len(data) and not self.done:
            # No more at once than there is room for: a flood is seen before it is read.
            most = HEAD_BYTES + WIRE_BYTES if self.status else HEAD_BYTES
            piece = data[taken : taken + most - self._read]
            taken += len(piece)
            self._read += len(piece)
            self._parse(piece)
            if not self.status and self._read >= HEAD_BYTES:
                raise Flood(self._flood())
            if not self.done and (self._size > ANSWER_BYTES or self._read >= HEAD_BYTES + WIRE_BYTES):
                self._leave(LONG)
        if taken < len(data) and self.keep:
            self._leave(OVERRUN)

    def give_up(self) -> None:
        """It took too long since the status."""
        self._leave(SLOW)

    def end(self, *, cleanly: bool) -> None:
        """The connection has ended after the status, in the middle of the body."""
        self._leave("" if cleanly and self._ends_with_the_connection() else CUT_SHORT)

    def renew(self) -> None:
        """What comes now is another's: the receiver's, not its proxy's."""
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        # Old servers fold headers, end lines without a return, and pad the sizes of chunks. We act on nothing
        # but the status, and one connection has one answer at a time: no one is misled by them.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._is_new = False
        self.begin()

    def close(self) -> None:
        """Nothing comes any more. The parser and its reader refer to each other."""
        self._parser = None

    def on_message_begin(self) -> None:
        if self.done:
            raise Enough  # nothing of it is read

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if len(self._fields) > MOST_HEADERS or status < 100:
            raise Enough
        fields, self._fields = self._fields, []  # trailers go nowhere
        if 100 <= status < 200 and status != 101:
            self._interim = True
            return
        self.status, self.fields = status, fields
        self.keep = self._parser.should_keep_alive() and status != 101
        if status in (204, 304) and self._announces_a_body():
            # It may come yet, and would be taken for the beginning of the next answer.
            self.keep = False
            self.left = SPOILT_204 if status == 204 else ""
        if self._headers_only:
            self.done = self.keep = True

    def on_body(self, piece: bytes) -> None:
        if self._size < KEPT_BYTES:
            self._body.append(piece)
        self._size += len(piece)

    def on_message_complete(self) -> None:
        if self.status:
            self.done = True

    def _parse(self, data: bytes) -> None:
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if self.status == 0:
                raise self._malformed() from None
            if self.status == 101 or self._headers_only:
                self._leave("")
            elif self.done:
                self._leave(self.left or OVERRUN)
            else:
                self._leave(NO_HTTP)

    def _leave(self, why: str) -> None:
        self.done, self.keep, self.left = True, False, why

    def _flood(self) -> str:
        if len(self._fields) > MOST_HEADERS:
            return "the answer has too many headers"
        return "interim answers (1xx) without end" if self._interim else "the answer's headers are too large"

    def _malformed(self) -> Exception:
        if len(self._fields) > MOST_HEADERS:
            return Flood(self._flood())
        return Malformed("the answer is not HTTP")

    def _announces_a_body(self) -> bool:
        return any(
            name.lower() == b"transfer-encoding" or (name.lower() == b"content-length" and value != b"0")
            for name, value in self.fields
        )

    def _ends_with_the_connection(self) -> bool:
        """As a body does whose end nothing else tells (RFC 9112 §6.3)."""
        codings = [value for name, value in self.fields if name.lower() == b"transfer-encoding"]
        if codings:
            return codings[-1].rpartition(b",")[2].strip().lower() != b"chunked"
        return all(name.lower() != b"content-length" for name, _ in self.fields)


class Enough(Exception):
    """Ends the parser's reading."""
