"""How a connection comes about, as a route says: the name's addresses, the proxy, its tunnel, TLS.

Law: no name is looked up between the judging of an address and connecting to it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from aiohappyeyeballs import AddrInfoType, start_connection

from watcher.adapters.http.connection import Connection
from watcher.adapters.http.faults import (
    HandshakeCut,
    NoAddress,
    NoTunnel,
    PrivateAddress,
    fault,
    is_cut,
    proxy_fault,
)
from watcher.adapters.http.heads import Origin, connect_head, origin_of
from watcher.adapters.http.resolver import Addresses, PatientResolver
from watcher.adapters.http.tls import context_of, system_context
from watcher.core.addresses import is_private
from watcher.core.routes import DIRECT, Proxy, Route

NEXT_ADDRESS_SECONDS = 0.25
"""After so long the next address of a name is tried beside those that have not answered (RFC 8305 §5)."""

HANDSHAKE_SECONDS = 3600.0  # the attempt's own deadline ends it long before
GOODBYE_SECONDS = 1.0  # for TLS to be ended in good order


@dataclass(slots=True)
class Progress:
    """How far a connection has come."""

    proxied: bool
    stage: Literal["looking up", "connecting", "securing"] = "looking up"
    with_proxy: bool = False
    """It is between us and the proxy; the receiver is yet to come."""

    @property
    def where(self) -> str:
        """Of one that took too long."""
        if self.stage == "looking up":
            return "still looking up the host name" + (" of the proxy" if self.proxied else "")
        if self.with_proxy:
            return "still waiting for the proxy"
        return "connected, but TLS was not answered" if self.stage == "securing" else "still connecting"

    def why(self, error: BaseException) -> str:
        """The reason for an `Unreachable`."""
        return proxy_fault(error) if self.with_proxy else fault(error)


class Connector:
    """Opens connections of one route. Raises OSError when the files of its TLS cannot be used."""

    def __init__(self, route: Route, *, resolver: PatientResolver) -> None:
        # Files are read here, in the event loop: milliseconds, once for each change of them.
        self._tls = None if route.tls == DIRECT.tls else context_of(route.tls)
        self._resolver = resolver
        self._proxy = route.proxy
        self._socket_of = _open_public if route.deny_private else _open

    async def open(self, origin: Origin, deadline: float, progress: Progress) -> Connection:
        """A connection on which the receiver, or the proxy for it, can be asked. Raises what `why` tells."""
        if self._proxy is None:
            return await self._connected(origin, self._tls, progress)

        progress.with_proxy = True
        # The proxy is trusted by the system's authorities, and is shown none of the endpoint's certificates.
        connection = await self._connected(origin_of(self._proxy.url), None, progress)
        try:
            if origin.secure:
                await self._dig(connection, origin, self._proxy, deadline)
                progress.stage, progress.with_proxy = "securing", False
                connection.secured(await self._secured(connection, origin.host))
        except BaseException:
            connection.abort()
            raise
        progress.with_proxy = False
        return connection

    async def _connected(self, origin: Origin, tls: ssl.SSLContext | None, progress: Progress) -> Connection:
        """`tls`: None for whom the system trusts."""
        loop = asyncio.get_running_loop()
        addresses = await self._addresses(origin)
        progress.stage = "connecting"
        try:
            connected = await start_connection(
                addresses,
                happy_eyeballs_delay=NEXT_ADDRESS_SECONDS,
                interleave=1,
                socket_factory=self._socket_of,
            )
        except OSError as error:
            if error.errno is None and not isinstance(error, PrivateAddress):
                raise NoAddress from error  # all that is told are texts, with the addresses in them
            raise
        connection = Connection(loop)
        try:
            if origin.secure:
                progress.stage = "securing"
                with_tls = loop.create_connection(
                    lambda: connection,
                    sock=connected,
                    ssl=tls or system_context(),
                    server_hostname=_verified(origin.host),
                    ssl_handshake_timeout=HANDSHAKE_SECONDS,
                    ssl_shutdown_timeout=GOODBYE_SECONDS,
                )
                await with_tls
            else:
                await loop.create_connection(lambda: connection, sock=connected)
        except OSError as error:
            # The transport closes the socket. Closed here, its number would be another's before that.
            if origin.secure and is_cut(error):
                raise HandshakeCut from error
            raise
        return connection

    async def _addresses(self, origin: Origin) -> Addresses:
        try:
            family = socket.AF_INET6 if ip_address(origin.host).version == 6 else socket.AF_INET
        except ValueError:
            return await self._resolver.addresses(origin.host, origin.port)
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV  # asks nobody
        return list(
            socket.getaddrinfo(origin.host, origin.port, family, type=socket.SOCK_STREAM, flags=flags)
        )

    async def _dig(self, connection: Connection, origin: Origin, proxy: Proxy, deadline: float) -> None:
        answer = await connection.post(connect_head(origin, proxy), b"", deadline, headers_only=True)
        if not 200 <= answer.status < 300:
            raise NoTunnel(answer.status)

    async def _secured(self, connection: Connection, host: str) -> asyncio.Transport:
        try:
            transport = await asyncio.get_running_loop().start_tls(
                connection.transport,
                connection,
                self._tls or system_context(),
                server_hostname=_verified(host),
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=GOODBYE_SECONDS,
            )
        except OSError as error:
            if is_cut(error):
                raise HandshakeCut from error
            raise
        if transport is None:  # cut just then
            raise HandshakeCut
        return transport


def _verified(host: str) -> str:
    """The name that a certificate must be for: there, none ends with a dot."""
    return host.rstrip(".")


def _open(address: AddrInfoType) -> socket.socket:
    family, kind, protocol, *_ = address
    return socket.socket(family, kind, protocol)


def _open_public(address: AddrInfoType) -> socket.socket:
    """Judges the very address that is connected to next."""
    if is_private(str(address[4][0])):
        raise PrivateAddress
    return _open(address)
