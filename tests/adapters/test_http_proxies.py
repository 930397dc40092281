"""Receivers behind a proxy: tunnels, whose certificate is whose, and what is told when it does not work."""

from __future__ import annotations

import base64
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trustme
import uvloop

from tests.adapters.certificates import authority, showing, strict, trusted_by_the_system, written
from tests.adapters.raw_proxy import proxying
from tests.adapters.raw_receiver import (
    OK,
    Connection,
    Law,
    a_request,
    hanging,
    laws_in,
    named,
    reason,
    receiving,
    saying,
)
from watcher.adapters.http.sender import HttpSender
from watcher.core.outcomes import Answered, Outcome
from watcher.core.routes import Proxy, Route, Tls

NO_CREDENTIALS = "proxy: it wants a user and password, or other ones (status 407)"


async def by_proxy(route: Route, *, url: str = "https://receiver.example/", timeout: float = 3.0) -> Outcome:
    async with HttpSender() as sender:
        return await sender.send(a_request(url, route=route, timeout=timeout))


async def test_https_goes_through_a_tunnel_and_the_proxy_sees_nothing_of_it() -> None:
    serving = showing(authority().issue_cert("localhost"))
    with trusted_by_the_system():
        async with receiving(saying(OK), serving) as receiver, proxying() as proxy, HttpSender() as sender:
            route = Route(proxy=Proxy(url=proxy.url, user="me", password="pä:ss"))
            outcomes = [await sender.send(a_request(receiver.url, route=route)) for _ in range(3)]

    (head,) = proxy.heads  # the tunnel is used again
    lines = head.decode().split("\r\n")
    credentials = base64.b64encode("me:pä:ss".encode()).decode()
    assert outcomes == [Answered(status=200)] * 3
    assert lines[0] == f"CONNECT {receiver.url.split('/')[2]} HTTP/1.1"
    assert f"Proxy-Authorization: Basic {credentials}" in lines
    assert "aiohttp" not in head.decode()
    assert b"X-Key" not in head
    assert all(b"proxy-authorization" not in request.lower() for request in receiver.requests)


async def test_plain_http_is_given_to_the_proxy_to_pass_on() -> None:
    async with receiving(saying(OK)) as receiver, proxying() as proxy:
        route = Route(proxy=Proxy(url=proxy.url, user="me", password="secret"))
        outcome = await by_proxy(route, url=receiver.url)

    assert outcome == Answered(status=200)
    assert proxy.heads[0].startswith(f"POST {receiver.url} HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic bWU6c2VjcmV0" in proxy.heads[0]


async def test_the_endpoints_own_tls_is_inside_the_tunnel() -> None:
    with TemporaryDirectory() as folder, strict() as url:
        async with proxying() as proxy:
            route = Route(tls=Tls(**written(Path(folder))), proxy=Proxy(url=proxy.url))
            outcome = await by_proxy(route, url=url)

    assert outcome == Answered(status=200)


async def test_a_proxy_over_tls_is_trusted_by_the_systems_authorities_and_not_by_the_endpoints() -> None:
    theirs = trustme.CA()
    with TemporaryDirectory() as folder, trusted_by_the_system():
        ca = str(Path(folder) / "theirs.pem")
        theirs.cert_pem.write_to_path(ca)
        receivers = showing(theirs.issue_cert("localhost"))
        good, bad = showing(authority().issue_cert("localhost")), showing(theirs.issue_cert("localhost"))
        async with receiving(saying(OK), receivers) as receiver:
            async with proxying(context=good) as proxy:
                route = Route(tls=Tls(ca=ca), proxy=Proxy(url=proxy.url))
                trusted = await by_proxy(route, url=receiver.url)
            async with proxying(context=bad) as proxy:
                route = Route(tls=Tls(ca=ca), proxy=Proxy(url=proxy.url))
                untrusted = await by_proxy(route, url=receiver.url)

    assert trusted == Answered(status=200)
    assert reason(untrusted).startswith("proxy: tls: the certificate is not from a trusted authority")


async def test_what_the_receiver_does_wrong_is_told_as_without_a_proxy() -> None:
    expected = {}
    with trusted_by_the_system():
        for name in ("example.org", "localhost"):
            serving = showing(authority().issue_cert(name))
            async with receiving(hanging, serving) as receiver, proxying() as proxy:
                route = Route(proxy=Proxy(url=proxy.url))
                expected[name] = reason(await by_proxy(route, url=receiver.url, timeout=0.5))

    assert expected == {
        "example.org": "tls: the certificate is for another host name",
        "localhost": "timeout: connected, but no answer after 0.5 s",
    }


async def test_a_proxy_that_does_not_connect_is_told_with_its_status() -> None:
    reasons = {}
    for status in (403, 407, 502):
        async with proxying(refusing=b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status) as proxy:
            reasons[status] = reason(await by_proxy(Route(proxy=Proxy(url=proxy.url))))

    assert reasons == {
        403: "proxy: it does not connect us to the receiver (status 403)",
        407: NO_CREDENTIALS,
        502: "proxy: it does not connect us to the receiver (status 502)",
    }


async def test_a_proxy_that_wants_credentials_is_no_receivers_answer() -> None:
    async with proxying(refusing=b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n") as proxy:
        outcome = await by_proxy(Route(proxy=Proxy(url=proxy.url)), url="http://receiver.example/")

    assert reason(outcome) == NO_CREDENTIALS


async def test_a_proxy_that_speaks_no_http_or_nothing_is_told() -> None:
    reasons = {}
    for said in (b"", b"SSH-2.0-tok3n\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" * 9000):
        async with proxying(refusing=said) as proxy:
            reasons[said[:3]] = reason(await by_proxy(Route(proxy=Proxy(url=proxy.url))))

    assert reasons == {
        b"": "proxy: disconnected: the proxy closed the connection without an answer",
        b"SSH": "proxy: protocol: the answer is not HTTP",
        b"HTT": "proxy: protocol: interim answers (1xx) without end",
    }


async def test_a_proxy_that_is_not_there_is_told() -> None:
    with socket.socket() as reserved:  # bound, but nobody listens
        reserved.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        for url in ("http://receiver.example/", "https://receiver.example/"):
            outcome = await by_proxy(Route(proxy=Proxy(url=closed)), url=url)
            assert reason(outcome) == "proxy: refused: nothing listens at that host and port"

    nowhere = await by_proxy(Route(proxy=Proxy(url=f"http://{'a' * 64}.invalid:3128")))
    assert reason(nowhere) == "proxy: dns: no such host name"


async def test_a_silent_proxy_ends_at_the_timeout() -> None:
    async def silence(connection: Connection) -> None:
        await connection.closed_by_sender()

    async with receiving(silence) as silent:
        proxy = Proxy(url="http://" + silent.url.split("/")[2])
        outcome = await by_proxy(Route(proxy=proxy), timeout=0.3)

    assert reason(outcome) == "timeout: still waiting for the proxy after 0.3 s"


async def test_the_environment_is_not_asked_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async with receiving(saying(OK)) as receiver:
        assert await by_proxy(Route(), url=receiver.url) == Answered(status=200)


@pytest.mark.parametrize(
    "law", [law for law in laws_in(globals()) if "environment" not in named(law)], ids=named
)
def test_on_uvloop_too(law: Law) -> None:
    """The sidecar runs on uvloop, whose transports, TLS and errors are its own."""
    uvloop.run(law())
