"""Access: who may use the API, and the headers that keep others out."""

from __future__ import annotations

import hashlib
import hmac

from watcher.admin.http.messages import Request
from watcher.core.endpoints import Secret

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Server": "librechat-watcher",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}
"""Of every answer. The page needs no more than its own files; the API is read by nobody but scripts."""


def permitted(request: Request, token: Secret) -> bool:
    """Does it carry the token? The comparison takes as long whatever it carries.

    In the `Authorization` header only: a URL ends in logs and histories, and a cookie goes along unasked."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    # Digests are of one length: not even that of the token shows.
    same = hmac.compare_digest(_digest(given.strip().encode("utf-8", "surrogateescape")), _digest(token.key))
    return same and scheme.lower() == "bearer"


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
