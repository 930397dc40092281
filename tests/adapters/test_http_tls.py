"""The sender's TLS: whom it trusts, what it shows, and that files may change while it sends."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trustme
import uvloop

from tests.adapters.certificates import authority, showing, strict, trusted_by_the_system, written
from tests.adapters.raw_receiver import (
    OK,
    Connection,
    Law,
    a_request,
    laws_in,
    named,
    reason,
    receiving,
    saying,
)
from watcher.adapters.http.sender import HttpSender
from watcher.core.outcomes import Answered, Outcome
from watcher.core.routes import Route, Tls

NO_CERTIFICATE = "tls: the receiver wants a client certificate (`tls: {cert, key}`)"


async def tls_outcome(context: ssl.SSLContext) -> Outcome:
    async with receiving(saying(OK), context) as receiver, HttpSender() as sender:
        outcome = await sender.send(a_request(receiver.url))
    assert bool(receiver.requests) == isinstance(outcome, Answered), "nothing is sent to who is not trusted"
    return outcome


async def test_a_trusted_receiver_is_sent_to_over_tls() -> None:
    with trusted_by_the_system():
        assert await tls_outcome(showing(authority().issue_cert("localhost"))) == Answered(status=200)


async def test_an_untrusted_authority_is_told() -> None:
    outcome = await tls_outcome(showing(authority().issue_cert("localhost")))

    assert reason(outcome).startswith("tls: the certificate is not from a trusted authority")


async def test_an_expired_certificate_is_told() -> None:
    expired = authority().issue_cert("localhost", not_after=datetime(2020, 1, 1, tzinfo=UTC))

    with trusted_by_the_system():
        assert reason(await tls_outcome(showing(expired))) == "tls: the certificate has expired"


async def test_a_certificate_for_another_host_name_is_told() -> None:
    with trusted_by_the_system():
        outcome = await tls_outcome(showing(authority().issue_cert("example.org")))

    assert reason(outcome) == "tls: the certificate is for another host name"


async def test_tls_below_1_2_is_refused() -> None:
    old = showing(authority().issue_cert("localhost"))
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1

    with trusted_by_the_system():
        assert reason(await tls_outcome(old)).startswith("tls: ")


async def test_a_plain_http_port_is_no_tls() -> None:
    async def plain(connection: Connection) -> None:
        await connection.reader.read(100)
        await connection.say(b"HTTP/1.1 400 Bad\r\n\r\n")

    async with receiving(plain) as receiver, HttpSender() as sender:
        outcome = await sender.send(a_request(receiver.url.replace("http:", "https:")))

    assert reason(outcome).startswith("tls: the port does not speak TLS (")


async def test_a_certificate_that_is_not_valid_yet_is_told() -> None:
    early = authority().issue_cert("localhost", not_before=datetime(2999, 1, 1, tzinfo=UTC), not_after=LATE)

    with trusted_by_the_system():
        told = reason(await tls_outcome(showing(early)))

    assert told == "tls: the certificate is not valid yet (check the clocks)"


LATE = datetime(3000, 1, 1, tzinfo=UTC)


async def test_a_handshake_that_is_cut_is_told() -> None:
    async def cutting(connection: Connection) -> None:
        await connection.reader.read(10)

    async with receiving(cutting) as receiver, HttpSender() as sender:
        outcome = await sender.send(a_request(receiver.url.replace("http:", "https:")))

    assert reason(outcome) == "tls: the receiver closed the connection in the handshake"


# Files of an endpoint's own


async def test_an_authority_of_ones_own_can_be_given_and_is_trusted_instead_of_the_systems() -> None:
    another = trustme.CA()
    with TemporaryDirectory() as folder, trusted_by_the_system():
        ours, theirs = str(Path(folder) / "ours.pem"), str(Path(folder) / "theirs.pem")
        authority().cert_pem.write_to_path(ours)
        another.cert_pem.write_to_path(theirs)
        serving = showing(authority().issue_cert("localhost"))
        async with receiving(saying(OK), serving) as receiver, HttpSender() as sender:
            good = await sender.send(a_request(receiver.url, route=Route(tls=Tls(ca=ours))))
            bad = await sender.send(a_request(receiver.url, route=Route(tls=Tls(ca=theirs))))

    assert good == Answered(status=200)
    assert reason(bad).startswith("tls: the certificate is not from a trusted authority")


async def test_a_client_certificate_is_shown_to_who_wants_one() -> None:
    outcomes = []
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with TemporaryDirectory() as folder, strict(version=version) as url:
            request = a_request(url, route=Route(tls=Tls(**written(Path(folder)))))
            async with HttpSender() as sender:
                outcomes.append(await sender.send(request))

    assert outcomes == [Answered(status=200)] * 2


async def test_a_client_certificate_that_is_wanted_and_missing_is_told() -> None:
    with trusted_by_the_system(), strict() as url:
        async with HttpSender() as sender:
            outcomes = [await sender.send(a_request(url)) for _ in range(30)]

    # It is told after the handshake: now and then while the request is still being written.
    assert {reason(outcome) for outcome in outcomes} == {NO_CERTIFICATE}


async def test_tls_1_2_cannot_tell_what_it_misses() -> None:
    with trusted_by_the_system(), strict(version=ssl.TLSVersion.TLSv1_2) as url:
        async with HttpSender() as sender:
            outcome = await sender.send(a_request(url))

    told = "tls: the receiver broke off: it wants a client certificate, or no cipher suits both ("
    assert reason(outcome).startswith(told)


async def test_a_client_certificate_that_the_receiver_does_not_know_is_told() -> None:
    with TemporaryDirectory() as folder, strict() as url:
        tls = Tls(**written(Path(folder), issuer=trustme.CA()))
        async with HttpSender() as sender:
            outcome = await sender.send(a_request(url, route=Route(tls=tls)))

    told = "tls: the receiver does not take our client certificate (TLSV1_ALERT_UNKNOWN_CA)"
    assert reason(outcome) == told


def lead(link: Path, target: str) -> None:
    """Mounted secrets are links that are made to lead elsewhere."""
    link.unlink(missing_ok=True)
    link.symlink_to(target)


async def test_files_that_went_bad_fail_the_attempt_and_the_next_reads_them_again() -> None:
    with TemporaryDirectory() as folder, strict() as url:
        files = written(Path(folder))
        key = Path(folder) / "mounted.pem"
        request = a_request(url, route=Route(tls=Tls(ca=files["ca"], cert=files["cert"], key=str(key))))
        async with HttpSender() as sender:
            missing = await sender.send(request)
            lead(key, files["cert"])
            spoiled = await sender.send(request)
            lead(key, files["key"])
            mended = await sender.send(request)

    assert reason(spoiled).startswith("tls: the files of our own settings cannot be used (")
    assert reason(missing) == "tls: the files of our own settings cannot be used (No such file or directory)"
    assert mended == Answered(status=200)


async def test_a_key_that_was_encrypted_meanwhile_is_told() -> None:
    with TemporaryDirectory() as folder:
        files = written(Path(folder))
        locking = await asyncio.create_subprocess_exec(
            *("openssl", "pkey", "-in", files["key"], "-aes256", "-passout", "pass:x", "-out", files["ca"]),
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert await locking.wait() == 0
        tls = Tls(cert=files["cert"], key=files["ca"])
        async with HttpSender() as sender:
            outcome = await sender.send(a_request("https://localhost:9/", route=Route(tls=tls)))

    assert reason(outcome).startswith("tls: the files of our own settings cannot be used (")


# Another route while requests are under way


async def test_another_route_makes_new_connections_and_leaves_requests_under_way_alone() -> None:
    async def slow_at_first(connection: Connection) -> None:
        while await connection.request() is not None:
            if len(receiver.requests) == 1:
                arrived.set()
                await go_on.wait()
            await connection.say(OK)

    arrived, go_on = asyncio.Event(), asyncio.Event()
    async with receiving(slow_at_first) as receiver, HttpSender() as sender:
        under_way = asyncio.ensure_future(sender.send(a_request(receiver.url)))
        await arrived.wait()

        changed = Route(tls=Tls(print="another"))
        outcomes = [await sender.send(a_request(receiver.url, route=changed)) for _ in range(3)]
        assert receiver.gone.empty()
        go_on.set()
        first = await under_way

        # The former connection is closed when its last request has ended, well before it would be as idle.
        assert await asyncio.wait_for(receiver.gone.get(), 2) == 1
        assert receiver.gone.empty()

    assert [first, *outcomes] == [Answered(status=200)] * 4
    assert receiver.connections == 2


async def test_an_idle_connection_of_a_former_route_is_closed_at_once() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with receiving(saying(OK)) as receiver, HttpSender() as sender:
        await sender.send(a_request(receiver.url))
        await sender.send(a_request(receiver.url, route=Route(tls=Tls(print="another"))))

        assert await asyncio.wait_for(receiver.gone.get(), 2) == 1

    assert complaints == []  # aiohttp tells of what only the garbage collector closed


@pytest.mark.parametrize("law", laws_in(globals()), ids=named)
def test_on_uvloop_too(law: Law) -> None:
    """The sidecar runs on uvloop, whose transports, TLS and errors are its own."""
    uvloop.run(law())
