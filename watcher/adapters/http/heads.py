"""The head of a request: all that goes before its body. Law: nothing of a URL or a header adds a line.

Most of a head is the same from request to request. So it is laid out once for a URL and the names of its
headers, and filled in for each request."""

from __future__ import annotations

import base64
import functools
import re
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from watcher.core.requests import USER_AGENT, Request
from watcher.core.routes import Proxy

REMEMBERED = 512
"""URLs, and forms of heads. Where URLs are made of events there is no end of them."""

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

CONTROLS = bytes({*range(32), 127} - {ord("\t")})
"""What no header and no URL can carry (RFC 9110 §5.5); among them what ends a line."""

NO_URL = re.compile(r"[\x00-\x1f\x7f\\]")
"""Parsers differ on these: some leave them out, or take a backslash for a slash. The settings refuse them."""

HOST = re.compile(r"[\w.:%-]+", re.ASCII)
"""Any name or address, and nothing that another parser may take for the end of one."""


class Origin(NamedTuple):
    """Whom a connection leads to."""

    secure: bool
    host: str
    port: int

    @property
    def authority(self) -> str:
        return f"{self.name}:{self.port}"

    @property
    def name(self) -> str:
        """Of the host, as it stands in a URL."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def shortly(self) -> str:
        """The authority without what goes without saying: its usual port, and the dot behind a full name."""
        name = self.name.removesuffix(".")
        return name if self.port == _usual_port(secure=self.secure) else f"{name}:{self.port}"


class Form(NamedTuple):
    """A head whose values are yet to be filled in."""

    origin: Origin
    text: str
    lines: int


def origin_of(url: str) -> Origin:
    """Raises ValueError where it is no URL of HTTP."""
    return _origin(_url(url))


def head_of(request: Request, *, proxy: Proxy | None) -> tuple[Origin, bytes]:
    """Where the request goes, and its head. Raises ValueError where HTTP cannot carry it.

    `proxy`: without TLS the request itself is what the proxy reads."""
    names, values = zip(*request.headers, strict=True) if request.headers else ((), ())
    form = _form(request.url, names, proxy)
    head = (form.text % (*values, len(request.body))).encode()
    # One look at the whole: any control character is one more than the ends of our own lines.
    if len(head) - len(head.translate(None, CONTROLS)) != 2 * form.lines:
        raise ValueError("a control character in the URL or in a header")
    return form.origin, head


def connect_head(origin: Origin, proxy: Proxy) -> bytes:
    """Asks a proxy for a tunnel. Nothing of the request is in it."""
    lines = [
        f"CONNECT {origin.authority} HTTP/1.1",
        f"Host: {origin.authority}",
        f"User-Agent: {USER_AGENT}",
        *_credentials(proxy),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


@functools.lru_cache(REMEMBERED)
def _form(url: str, names: tuple[str, ...], proxy: Proxy | None) -> Form:
    if not all(TOKEN.fullmatch(name) for name in names):
        raise ValueError("no name of a header")
    parts = _url(url)
    origin = _origin(parts)
    target, credentials = (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), list[str]()
    if proxy is not None and not origin.secure:
        target, credentials = f"http://{origin.shortly}{target}", _credentials(proxy)

    given = {name.lower() for name in names}
    ours = []
    if "host" not in given:
        ours.append(f"Host: {origin.shortly}")
    if parts.username or parts.password:
        if "authorization" in given:
            raise ValueError("two authorizations")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        ours.append(f"Authorization: {_basic(user, password, 'latin-1')}")
    if "accept" not in given:
        ours.append("Accept: */*")
    constant = [f"POST {target} HTTP/1.1", *ours, *credentials]
    lines = [
        *(line.replace("%", "%%") for line in constant),
        *(f"{name.replace('%', '%%')}: %s" for name in names),
        "Content-Length: %d",
        "",
    ]
    return Form(origin, "".join(f"{line}\r\n" for line in lines), len(lines))


def _origin(parts: SplitResult) -> Origin:
    host, port, secure = parts.hostname or "", parts.port, parts.scheme == "https"
    if parts.scheme not in ("http", "https") or not HOST.fullmatch(host) or port == 0:
        raise ValueError("no URL of HTTP")
    return Origin(secure, host, port or _usual_port(secure=secure))


def _usual_port(*, secure: bool) -> int:
    return 443 if secure else 80


def _url(text: str) -> SplitResult:
    """As the settings read it: what was checked there is what is sent to."""
    if NO_URL.search(text):
        raise ValueError("a backslash or a control character in the URL")
    if not text.isascii() or " " in text:
        from yarl import URL  # 1.5 MB of memory; few write their URLs so

        text = str(URL(text))
    return urlsplit(text)


def _credentials(proxy: Proxy) -> list[str]:
    if proxy.user is None:
        return []
    return [f"Proxy-Authorization: {_basic(proxy.user, proxy.password, 'utf-8')}"]


def _basic(user: str, password: str, encoding: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode(encoding)).decode()
