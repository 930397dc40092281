"""Sealing: definitions of managed endpoints encrypted with AES-256-GCM, by a key that is not in the state.

    sealed = 1 (the form) ‖ 4 bytes that tell the keys apart ‖ 12 random bytes (nonce) ‖ ciphertext and tag

The name is authenticated along with it: what is sealed for one endpoint does not open as another's."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from watcher.core.endpoints import Secret
from watcher.errors import Unsealable

FORM = b"\x01"
MARK, NONCE = 4, 12
"""NIST SP 800-38D: with random nonces of 96 bits a key may seal 2^32 times. We seal when somebody edits."""


class AesSealing:
    """A `Sealing` by keys of which the first one seals, and all open."""

    def __init__(self, keys: Sequence[Secret]) -> None:
        """`keys`: random texts, at least one."""
        derived = [_derived(key) for key in keys]
        self._keys = {_mark(key): key for key in reversed(derived)}
        self._first = derived[0]

    def seal(self, text: str, *, name: str) -> bytes:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # megabytes: only who manages

        nonce = os.urandom(NONCE)
        sealed = AESGCM(self._first).encrypt(nonce, text.encode(), _bound(name))
        return FORM + _mark(self._first) + nonce + sealed

    def opened(self, sealed: bytes, *, name: str) -> str:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key = self._keys.get(sealed[1 : 1 + MARK])
        if sealed[:1] != FORM or key is None:
            raise Unsealable("it was encrypted with another key")
        nonce, rest = sealed[1 + MARK : 1 + MARK + NONCE], sealed[1 + MARK + NONCE :]
        try:
            return AESGCM(key).decrypt(nonce, rest, _bound(name)).decode()
        except (InvalidTag, ValueError) as error:
            raise Unsealable("it was changed by somebody without the key") from error

    def is_current(self, sealed: bytes) -> bool:
        return sealed[1 : 1 + MARK] == _mark(self._first)


def _derived(key: Secret) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"librechat-watcher endpoints").derive(key.key)


def _mark(key: bytes) -> bytes:
    return hashlib.sha256(b"mark" + key).digest()[:MARK]


def _bound(name: str) -> bytes:
    return b"endpoint " + name.lower().encode()
