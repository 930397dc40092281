"""What `check` says of a receiver: as a delivery would find it, and without sending one."""

from __future__ import annotations

from pathlib import Path

from tests.adapters.certificates import authority, showing, strict, trusted_by_the_system, written
from tests.adapters.raw_proxy import proxying
from tests.adapters.raw_receiver import OK, receiving, saying
from watcher.adapters.http.probe import reach
from watcher.core.routes import Proxy, Route, Tls


async def test_a_receiver_that_answers_is_good_and_is_sent_nothing() -> None:
    serving = showing(authority().issue_cert("localhost"))
    with trusted_by_the_system():
        for context in (None, serving):
            async with receiving(saying(OK), context) as receiver:
                assert await reach(receiver.url, Route()) is None

            assert receiver.requests == []


async def test_an_endpoints_own_tls_is_used(tmp_path: Path) -> None:
    with strict() as url:
        assert await reach(url, Route(tls=Tls(**written(tmp_path)))) is None


async def test_a_client_certificate_that_is_missing_is_told_though_the_handshake_is_done() -> None:
    with trusted_by_the_system(), strict() as url:
        why = await reach(url, Route())

    assert why == "tls: the receiver wants a client certificate (`tls: {cert, key}`)"


async def test_a_certificate_for_another_host_name_is_told() -> None:
    with trusted_by_the_system():
        async with receiving(saying(OK), showing(authority().issue_cert("example.org"))) as receiver:
            why = await reach(receiver.url, Route())

    assert why == "tls: the certificate is for another host name"


async def test_files_that_are_gone_are_told() -> None:
    why = await reach("https://localhost:9/", Route(tls=Tls(ca="/nowhere.pem")))

    assert why == "tls: the files of our own settings cannot be used (No such file or directory)"


async def test_a_private_address_is_denied() -> None:
    async with receiving(saying(OK)) as receiver:
        why = await reach(receiver.url, Route(deny_private=True))

    assert why == "denied: the address is private (denyPrivate)"
    assert receiver.connections == 0


async def test_the_proxy_is_used_and_told_when_it_refuses() -> None:
    serving = showing(authority().issue_cert("localhost"))
    with trusted_by_the_system():
        async with receiving(saying(OK), serving) as receiver:
            async with proxying() as proxy:
                good = await reach(receiver.url, Route(proxy=Proxy(url=proxy.url)))
            async with proxying(refusing=b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n") as refusing:
                bad = await reach(receiver.url, Route(proxy=Proxy(url=refusing.url)))

    assert good is None
    assert proxy.heads[0].startswith(b"CONNECT ")
    assert bad == "proxy: it does not connect us to the receiver (status 403)"
