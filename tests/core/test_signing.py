"""The signatures are those of the standard library's HMAC, whatever the key and the body."""

from __future__ import annotations

import base64
import hmac

from hypothesis import given
from hypothesis import strategies as st

from watcher.core.endpoints import Secret
from watcher.core.signing import signature, standard_signature

KEYS = st.binary(min_size=1, max_size=200) | st.sampled_from([b"k" * length for length in (63, 64, 65)])


@given(key=KEYS, body=st.binary(max_size=300))
def test_a_signature_is_an_hmac(key: bytes, body: bytes) -> None:
    assert signature(body, Secret(key=key)) == "sha256=" + hmac.new(key, body, "sha256").hexdigest()


@given(key=KEYS, body=st.binary(max_size=300))
def test_a_signature_of_the_standard_is_an_hmac_too(key: bytes, body: bytes) -> None:
    signed = hmac.new(key, b"webhook_1.1732450000." + body, "sha256").digest()

    assert standard_signature(body, key, identity="webhook_1", seconds=1732450000) == (
        "v1," + base64.b64encode(signed).decode()
    )
