"""Certificates of an authority of the tests' own, and receivers that show them or want to see some."""

from __future__ import annotations

import functools
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

import trustme

from tests.adapters.raw_receiver import OK, TOKEN
from watcher.adapters.http.tls import system_context


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA()


def showing(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@contextmanager
def trusted_by_the_system() -> Iterator[None]:
    """Makes the authority one of the system's, as far as OpenSSL can tell."""
    with authority().cert_pem.tempfile() as path, mock.patch.dict(os.environ, SSL_CERT_FILE=path):
        system_context.cache_clear()
        yield
    system_context.cache_clear()


def written(folder: Path, *, issuer: trustme.CA | None = None) -> dict[str, str]:
    """The authority's certificate, and a client's with its key, as files: what `Tls` takes."""
    client = (issuer or authority()).issue_cert("watcher.example")
    files = {name: str(folder / f"{name}.pem") for name in ("ca", "cert", "key")}
    authority().cert_pem.write_to_path(files["ca"])
    client.cert_chain_pems[0].write_to_path(files["cert"])
    client.private_key_pem.write_to_path(files["key"])
    return files


@contextmanager
def strict(
    *, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, trusting: trustme.CA | None = None
) -> Iterator[str]:
    """A receiver that wants a client certificate; yields its URL.

    In a thread, with blocking sockets: asyncio's server closes without the alert that tells why."""
    context = showing(authority().issue_cert("localhost"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = version
    (trusting or authority()).configure_trust(context)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=_serve_strictly, args=(listening, context), daemon=True)
        serving.start()
        yield f"https://localhost:{listening.getsockname()[1]}/hook?token={TOKEN}"
        listening.shutdown(socket.SHUT_RDWR)
        serving.join(5)


def _serve_strictly(listening: socket.socket, context: ssl.SSLContext) -> None:
    with suppress(OSError):  # nobody listens any more: the test is over
        while True:
            plain, _ = listening.accept()
            plain.settimeout(5)
            threading.Thread(target=_serve, args=(plain, context), daemon=True).start()


def _serve(plain: socket.socket, context: ssl.SSLContext) -> None:
    with (
        context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as secure,
        suppress(ssl.SSLError, TimeoutError, ConnectionError),
    ):
        _answer_once(secure)


def _answer_once(secure: ssl.SSLSocket) -> None:
    try:
        secure.do_handshake()
    except ssl.SSLError:
        secure.shutdown(socket.SHUT_WR)
        while secure.recv(65536):  # closing over what was not read would reset the connection
            pass
        return
    read = b""
    while b"}" not in read:
        piece = secure.recv(65536)
        if not piece:
            return
        read += piece
    secure.sendall(OK)
    secure.recv(1)
