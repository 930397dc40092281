"""The SSL context that an endpoint's TLS asks for. Law: certificates and host names are always verified."""

from __future__ import annotations

import ssl
from functools import cache

from watcher.core.routes import Tls


@cache
def system_context() -> ssl.SSLContext:
    """What the system trusts, and no certificate of our own. One for all, made when it is needed: it holds
    more than a hundred authorities, a few megabytes."""
    return context_of(Tls())


def context_of(tls: Tls) -> ssl.SSLContext:
    """A client's context, TLS 1.2 at least. Raises OSError when a file is gone, or not what it was."""
    context = ssl.create_default_context(cafile=tls.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.cert is not None:
        # Without a password of ours OpenSSL would ask for it on the terminal.
        context.load_cert_chain(tls.cert, tls.key, password="")
    return context
