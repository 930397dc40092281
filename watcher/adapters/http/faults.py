"""Why there was no answer, in a short stable word and a detail of our own wording.

Law: nothing of the URL, the headers or the receiver's bytes is repeated; they may carry tokens."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator

CUT = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ESHUTDOWN})

# What OpenSSL says of bytes that are no TLS changed from version to version.
NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"})
NO_VERSION = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"})
ABOUT_OURS = (
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_UNKNOWN_CA",
    "ALERT_ACCESS_DENIED",
)


NO_CREDENTIALS = "proxy: it wants a user and password, or other ones (status 407)"


class PrivateAddress(OSError):
    """An endpoint with `denyPrivate` has a name that leads to such an address."""

    def __init__(self) -> None:
        # Always the same words: of several addresses that are all refused, the one reason is told.
        super().__init__("the address is private (denyPrivate)")


class NoAddress(Exception):
    """A name has several addresses, and none can be connected to: one for this reason, one for that."""


class Flood(Exception):
    """More came before an answer's status than any answer needs."""


class Malformed(Exception):
    """What came before an answer's status is not HTTP."""


class Cut(Exception):
    """The connection ended before an answer's status had come; from what the system or TLS says of it."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__("cut")
        self.begun = begun
        """Some of the answer had come."""


class HandshakeCut(Exception):
    """The connection ended in the TLS handshake, without a word of TLS."""


class Late(Exception):
    """The answer did not come in time; says how far it got."""


class NoTunnel(Exception):
    """The proxy does not connect us."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


def fault(error: BaseException, *, peer: str = "the receiver") -> str:
    """The reason for an `Unreachable`: `word: detail`."""
    chain = list(_causes(error))
    for cause in chain:
        match cause:
            case PrivateAddress():
                return f"denied: {cause}"
            case Flood() | Malformed():
                return f"protocol: {cause}"
            case NoAddress():
                return "network: none of the name's addresses can be connected to, and not all for one reason"
            case HandshakeCut():
                return f"tls: {peer} closed the connection in the handshake"
            case ssl.SSLEOFError() if isinstance(error, Cut):
                return _cut(error, peer)  # after the handshake it is an end like any other
            case ssl.SSLError():
                return f"tls: {_tls(cause, peer)}"
            case socket.gaierror():
                return f"dns: {_dns(cause)}"
    for cause in chain:
        if isinstance(cause, OSError) and cause.errno is not None and not is_cut(cause):
            return _network(cause.errno)
    for cause in chain:
        if isinstance(cause, Cut):
            return _cut(cause, peer)
        if is_cut(cause):
            return f"disconnected: {peer} closed the connection without an answer"
        if isinstance(cause, ValueError):
            return "protocol: the URL or a header cannot be put into an HTTP request"
    return f"network: {type(error).__name__}"


def proxy_fault(error: BaseException) -> str:
    """The reason when a proxy did not connect us: `proxy: `, and what is wrong between us and it."""
    if isinstance(error, NoTunnel):
        refused = f"proxy: it does not connect us to the receiver (status {error.status})"
        return NO_CREDENTIALS if error.status == 407 else refused
    return f"proxy: {fault(error, peer='the proxy')}"


def files_fault(error: OSError) -> str:
    """The reason when the files of `tls:`, good as the settings were read, cannot be used any more."""
    why = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return f"tls: the files of our own settings cannot be used ({why or type(error).__name__})"


def is_cut(error: BaseException) -> bool:
    """Did the other side close or reset the connection?"""
    return isinstance(error, ConnectionResetError | ConnectionAbortedError) or (
        isinstance(error, OSError) and error.errno in CUT
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from."""
    following: BaseException | None = error
    while following is not None:
        yield following
        following = following.__cause__


def _cut(cut: Cut, peer: str) -> str:
    if cut.begun:
        return f"disconnected: {peer} closed the connection in the middle of its answer's headers"
    return f"disconnected: {peer} closed the connection without an answer"


def _tls(error: ssl.SSLError, peer: str) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return _handshake(error.reason or "no reason given", peer)
    match error.verify_code:  # X509_V_ERR_…, openssl-verification-options(1)
        case 10:
            return "the certificate has expired"
        case 9:
            return "the certificate is not valid yet (check the clocks)"
        case 62 | 64:
            return "the certificate is for another host name"
        case 18 | 19 | 20 | 21:
            return f"the certificate is not from a trusted authority ({error.verify_message})"
        case _:
            return f"the certificate was refused ({error.verify_message})"


def _handshake(reason: str, peer: str) -> str:
    """What OpenSSL's word for it (`WRONG_VERSION_NUMBER`) means; an alert is what the other side says."""
    if reason in NO_TLS:
        return f"the port does not speak TLS ({reason})"
    if reason == "UNEXPECTED_EOF_WHILE_READING":
        return f"{peer} closed the connection in the handshake"
    if reason.endswith("ALERT_CERTIFICATE_REQUIRED"):
        return f"{peer} wants a client certificate (`tls: {{cert, key}}`)"
    if reason.endswith(ABOUT_OURS):
        return f"{peer} does not take our client certificate ({reason})"
    if reason.endswith("ALERT_HANDSHAKE_FAILURE"):
        # All that TLS 1.2 says of either.
        return f"{peer} broke off: it wants a client certificate, or no cipher suits both ({reason})"
    if reason in NO_VERSION:
        return f"no version of TLS suits both; ours are 1.2 and 1.3 ({reason})"
    return f"the handshake failed ({reason})"


def _dns(error: OSError) -> str:
    if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
        return "no such host name"
    if error.errno == socket.EAI_AGAIN:
        return "the name server does not answer"
    return f"the lookup failed ({error.strerror or type(error).__name__})"


def _network(number: int) -> str:
    match number:
        case errno.ECONNREFUSED:
            return "refused: nothing listens at that host and port"
        case errno.ETIMEDOUT:
            return "timeout: the system gave up connecting"
        case _:
            return f"network: {os.strerror(number)}"
