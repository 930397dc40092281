"""`denyPrivate`: judged is the address that is connected to, by whatever name it goes."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import uvloop

from tests.adapters.raw_receiver import (
    OK,
    Law,
    a_request,
    laws_in,
    named,
    outcome_of,
    reason,
    receiving,
    saying,
)
from watcher.adapters.http.sender import HttpSender
from watcher.core.outcomes import Answered
from watcher.core.routes import Route

GUARDED = Route(deny_private=True)
DENIED = "denied: the address is private (denyPrivate)"


async def test_a_name_that_leads_to_a_private_address_is_refused_before_anything_is_sent() -> None:
    async with receiving(saying(OK)) as receiver, HttpSender() as sender:
        outcome = await sender.send(a_request(receiver.url, route=GUARDED))

    assert reason(outcome) == DENIED
    assert receiver.connections == 0


async def test_without_the_guard_it_is_sent() -> None:
    assert await outcome_of(saying(OK), route=Route()) == Answered(status=200)


async def test_no_spelling_of_an_address_gets_around_it() -> None:
    hosts = [
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "169.254.169.254",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "127.1",
        "0",
        "localhost.",
    ]
    reasons = {}

    async with receiving(saying(OK)) as receiver, HttpSender() as sender:
        port = receiver.url.split(":")[2].split("/")[0]
        for host in hosts:
            url = f"http://{host}:{port}/"
            reasons[host] = reason(await sender.send(a_request(url, route=GUARDED, timeout=5)))

    assert receiver.connections == 0
    unsayable = "protocol: the URL or a header cannot be put into an HTTP request"
    unknown = "dns: no such host name"  # to some resolvers
    assert set(reasons.values()) <= {DENIED, unsayable, unknown}
    assert [reasons[host] for host in hosts[:6]] == [DENIED] * 6


async def test_a_name_that_changes_its_address_is_judged_by_the_one_connected_to() -> None:
    def rebinding(host: str, port: int, *args: Any, **options: Any) -> Any:
        answers.append(host)
        address = "93.184.215.14" if len(answers) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    answers: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", rebinding)
        async with receiving(saying(OK)) as receiver, HttpSender() as sender:
            port = receiver.url.split(":")[2].split("/")[0]
            first = await sender.send(a_request(f"http://a.example:{port}/", route=GUARDED, timeout=0.3))
            other = await sender.send(a_request(f"http://b.example:{port}/", route=GUARDED))

    assert reason(first) != DENIED  # a public address, which does not answer here
    assert reason(other) == DENIED
    assert answers == ["a.example", "b.example"]
    assert receiver.connections == 0


async def test_of_several_addresses_only_private_ones_are_refused() -> None:
    def two(host: str, port: int, *args: Any, **options: Any) -> Any:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("10.0.0.1", "192.168.0.1", "127.0.0.1")
        ]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", two)
        async with HttpSender() as sender:
            outcome = await sender.send(a_request("http://many.example/", route=GUARDED))

    assert reason(outcome) == DENIED


async def test_a_connection_made_without_the_guard_is_not_used_with_it() -> None:
    async with receiving(saying(OK)) as receiver, HttpSender() as sender:
        before = await sender.send(a_request(receiver.url))
        after = await sender.send(a_request(receiver.url, route=GUARDED))

    assert before == Answered(status=200)
    assert reason(after) == DENIED
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("law", laws_in(globals()), ids=named)
def test_on_uvloop_too(law: Law) -> None:
    """The sidecar runs on uvloop, whose transports, TLS and errors are its own."""
    uvloop.run(law())
