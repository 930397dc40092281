"""The head of a request: all that goes before its body. Law: nothing of a URL or a header adds a line.

Most of a head is the same from request to request. So it is laid out once for a URL and the names of its
headers, and filled in for each request."""

from __future__ import annotations

import base64
import functools
import re
from typing import NamedTuple

from yarl import URL

from watcher.core.requests import USER_AGENT, Request
from watcher.core.routes import Proxy

REMEMBERED = 512
"""URLs, and forms of heads. Where URLs are made of events there is no end of them."""

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

CONTROLS = bytes({*range(32), 127} - {ord("\t")})
"""What no header and no URL can carry (RFC 9110 §5.5); among them what ends a line."""


class Origin(NamedTuple):
    """Whom a connection leads to."""

    secure: bool
    host: str
    port: int

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


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
    if origin.secure or proxy is None:
        target, credentials = parts.raw_path_qs, []
    else:
        bare = parts.with_user(None).with_fragment(None)
        target, credentials = str(bare), _credentials(proxy)

    given = {name.lower() for name in names}
    ours = []
    if "host" not in given:
        ours.append(f"Host: {parts.host_port_subcomponent}")
    if parts.raw_user is not None or parts.raw_password is not None:
        if "authorization" in given:
            raise ValueError("two authorizations")
        ours.append(f"Authorization: {_basic(parts.user or '', parts.password or '', 'latin-1')}")
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


def _origin(parts: URL) -> Origin:
    if parts.scheme not in ("http", "https") or not parts.raw_host or parts.port is None:
        raise ValueError("no URL of HTTP")
    return Origin(parts.scheme == "https", parts.raw_host, parts.port)


def _url(text: str) -> URL:
    # Taken as written where that can go over the wire: yarl would turn the `%2F` of a signed query into `/`.
    return URL(text, encoded=text.isascii() and " " not in text)


def _credentials(proxy: Proxy) -> list[str]:
    if proxy.user is None:
        return []
    return [f"Proxy-Authorization: {_basic(proxy.user, proxy.password, 'utf-8')}"]


def _basic(user: str, password: str, encoding: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode(encoding)).decode()
