"""Signatures: HMAC-SHA256, as LibreChat's documentation has it verified, or as Standard Webhooks has."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from functools import lru_cache

from watcher.core.endpoints import Secret, Signing

SIGNATURE_HEADER = "X-Webhook-Signature"

STANDARD_ID, STANDARD_TIMESTAMP, STANDARD_SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
"""Of Standard Webhooks 1.0 (standardwebhooks/standard-webhooks, spec/standard-webhooks.md)."""

BLOCK_BYTES = 64
"""Of SHA-256."""

STANDARD_PREFIX = "whsec_"
"""What follows in such a secret is its key, in base64."""


def signature_headers(
    body: bytes, secrets: Sequence[Secret], signing: Signing, *, identity: str, seconds: int
) -> Sequence[tuple[str, str]]:
    """The headers that sign a body. `seconds`: since 1970, of this attempt; receivers refuse old ones.

    Of several secrets the first one signs; in the standard's header there is room for all of them, so that a
    receiver may still have an old one while they rotate."""
    headers = []
    if signing in ("librechat", "both"):
        headers.append((SIGNATURE_HEADER, signature(body, secrets[0])))
    if signing in ("standard", "both"):
        keys = map(standard_key, secrets)
        signed = " ".join(standard_signature(body, key, identity=identity, seconds=seconds) for key in keys)
        headers += [
            (STANDARD_ID, identity),
            (STANDARD_TIMESTAMP, str(seconds)),
            (STANDARD_SIGNATURE, signed),
        ]
    return headers


def signature(body: bytes, secret: Secret) -> str:
    """The value of `X-Webhook-Signature`: over the raw body, with the secret as it is written.

    >>> signature(b"{}", Secret(key=b"k"))
    'sha256=add853b103fbcc936a194f9eb15e29c4ff08af6e47d5d1bca4f20218e31e4fff'
    """
    return "sha256=" + _hmac(secret.key, body).hex()


def standard_signature(body: bytes, key: bytes, *, identity: str, seconds: int) -> str:
    """One signature of `webhook-signature`: over id, timestamp and raw body. `key`: see `standard_key`.

    >>> standard_signature(b"{}", b"k", identity="webhook_1", seconds=1732450000)
    'v1,dKvJ6XYIOmTK8DhnGzjuO9eCV30A+4hMZLD4kQsUKQs='
    """
    signed = _hmac(key, b"%b.%d.%b" % (identity.encode(), seconds, body))
    return "v1," + base64.b64encode(signed).decode()


def _hmac(key: bytes, text: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104 §2), by its definition: half of the work is the same for all texts of a key."""
    inner, outer = _begun(key)
    inside = inner.copy()
    inside.update(text)
    outside = outer.copy()
    outside.update(inside.digest())
    return outside.digest()


@lru_cache(maxsize=64)
def _begun(key: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    """The inner and the outer hash, with the key in them already."""
    short = key if len(key) <= BLOCK_BYTES else hashlib.sha256(key).digest()
    block = short.ljust(BLOCK_BYTES, b"\0")
    return (
        hashlib.sha256(bytes(each ^ 0x36 for each in block)),
        hashlib.sha256(bytes(each ^ 0x5C for each in block)),
    )


def standard_key(secret: Secret) -> bytes:
    """The key that Standard Webhooks' libraries make of a secret: `whsec_` is followed by base64; a secret
    without it is its own key (what the libraries call raw).

    Raises ValueError when it begins so, and no base64 follows."""
    prefix = STANDARD_PREFIX.encode()
    if not secret.key.startswith(prefix):
        return secret.key
    try:
        key = base64.b64decode(secret.key.removeprefix(prefix), validate=True)
    except binascii.Error as error:
        raise ValueError("no base64 follows whsec_") from error
    if not key:
        raise ValueError("nothing follows whsec_")
    return key


def verifies(body: bytes, header: str, secrets: Iterable[Secret]) -> bool:
    """Was this body signed by one of the secrets? Compares in constant time, and looks at all of them."""
    given = header.encode()  # compare_digest takes text only where it is ASCII
    matches = [hmac.compare_digest(signature(body, secret).encode(), given) for secret in secrets]
    return any(matches)


def verifies_standard(
    body: bytes, header: str, keys: Iterable[bytes], *, identity: str, seconds: int
) -> bool:
    """Is one of the header's signatures by one of the keys? In constant time, and looks at all of them."""
    given = [each.encode() for each in header.split(" ")]
    matches = [
        hmac.compare_digest(standard_signature(body, key, identity=identity, seconds=seconds).encode(), each)
        for key in keys
        for each in given
    ]
    return any(matches)
