"""Signatures: HMAC-SHA256 over the raw body, as LibreChat's documentation has receivers verify it."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from watcher.core.endpoints import Secret

SIGNATURE_HEADER = "X-Webhook-Signature"


def signature(body: bytes, secret: Secret) -> str:
    """The value of `X-Webhook-Signature`.

    >>> signature(b"{}", Secret(key=b"k"))
    'sha256=add853b103fbcc936a194f9eb15e29c4ff08af6e47d5d1bca4f20218e31e4fff'
    """
    return "sha256=" + hmac.digest(secret.key, body, "sha256").hex()


def verifies(body: bytes, header: str, secrets: Iterable[Secret]) -> bool:
    """Was this body signed by one of the secrets? Compares in constant time, and looks at all of them."""
    given = header.encode()  # compare_digest takes text only where it is ASCII
    matches = [hmac.compare_digest(signature(body, secret).encode(), given) for secret in secrets]
    return any(matches)
