"""Proxies: one as an operator writes it, and those that the environment names for everybody.

Law: user and password of a proxy are secret; no message quotes its URL."""

from __future__ import annotations

import ipaddress
import re
import urllib.parse

from pydantic_core import PydanticCustomError

from watcher.config.report import Report
from watcher.config.sources import Environment
from watcher.config.values import NO_PROXY, is_loopback, proxy_url
from watcher.core.routes import Proxy


def proxy_of(url: str) -> Proxy | None:
    """The value of a URL that `proxy_url` let pass; None for `none`.

    >>> proxy_of("http://me:p%40ss@proxy.example:3128/") == Proxy(
    ...     url="http://proxy.example:3128", user="me", password="p@ss"
    ... )
    True
    """
    if url == NO_PROXY:
        return None
    parts = urllib.parse.urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    if parts.username is None:
        return Proxy(url=f"{parts.scheme}://{address}")
    return Proxy(
        url=f"{parts.scheme}://{address}",
        user=urllib.parse.unquote(parts.username),
        password=urllib.parse.unquote(parts.password or ""),
    )


class Surroundings:
    """What HTTPS_PROXY, HTTP_PROXY and NO_PROXY say. Small letters go before large ones, as with curl."""

    def __init__(self, environment: Environment, report: Report) -> None:
        self._environment = environment
        self._report = report
        self._read: dict[str, Proxy | None] = {}

    def proxy_for(self, url: str) -> tuple[Proxy, str] | None:
        """The proxy for a receiver, and the variable that names it. A wrong variable is told once."""
        if is_loopback(url):
            return None  # no proxy can reach what only this machine can
        parts = urllib.parse.urlsplit(url)
        found = self._lookup(f"{parts.scheme}_proxy")
        if found is None:
            return None
        text, variable = found
        exempt = self._lookup("no_proxy")
        if exempt and is_exempt(parts.hostname or "", parts.port or _usual_port(parts.scheme), exempt[0]):
            return None
        if variable not in self._read:
            self._read[variable] = self._parsed(text, variable)
        proxy = self._read[variable]
        return None if proxy is None else (proxy, variable)

    def _lookup(self, name: str) -> tuple[str, str] | None:
        return self._environment.lookup(name) or self._environment.lookup(name.upper())

    def _parsed(self, text: str, variable: str) -> Proxy | None:
        url = text if "://" in text else f"http://{text}"  # `proxy.example:3128` is usual there
        try:
            return proxy_of(proxy_url(url))
        except PydanticCustomError as error:
            told = error.context or {}
            cure = f"{told['cure']}; or, for receivers that need none, `proxy: none` in the settings' file"
            self._report.add_of(variable, told["what"], cure)
            return None


def is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Does NO_PROXY except this receiver? A name means those below it, too; numbers may be networks.

    >>> is_exempt("crm.example.org", 443, "localhost,.example.org"), is_exempt("10.1.2.3", 443, "10.0.0.0/8")
    (True, True)
    """
    entries = [entry.lower() for entry in re.split(r"[\s,]+", no_proxy) if entry]
    return any(_matches(entry, host.lower().rstrip("."), port) for entry in entries)


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    try:
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    else:
        return _is_in(host, network)
    name, colon, wanted = entry.rpartition(":")
    if colon and wanted.isdecimal():
        return int(wanted) == port and _matches(name, host, port)
    suffix = entry.removeprefix("*").strip(".")
    return host == suffix or (suffix != "" and host.endswith(f".{suffix}"))


def _is_in(host: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(host) in network
    except ValueError:
        return False


def _usual_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80
