"""Verifying: is a request signed with one of these secrets? And if not, why not, as far as it can be told."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson

from watcher.core.endpoints import Secret
from watcher.core.signing import (
    SIGNATURE_HEADER,
    STANDARD_ID,
    STANDARD_PREFIX,
    STANDARD_SIGNATURE,
    STANDARD_TIMESTAMP,
    standard_key,
    verifies,
    verifies_standard,
)

PREFIX = "sha256="

TOLERANCE = timedelta(minutes=5)
"""How old, or new, a standard signature may be: what the reference libraries of Standard Webhooks allow."""


def judge(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[Secret], *, now: datetime
) -> tuple[bool, str | None]:
    """Is the body signed with one of the secrets; and why not, or what is remarkable about it.

    `headers`: looked up in lower case, too. Where there are both signatures, both must be right."""
    if not secrets:
        return False, "not verified: no secret was given"
    ours, standard = _header(headers, SIGNATURE_HEADER), _header(headers, STANDARD_SIGNATURE)
    if ours is None and standard is None:
        return False, f"no {SIGNATURE_HEADER} header, nor {STANDARD_SIGNATURE}"
    verdicts = []
    if ours is not None:
        verdicts.append(_judge(body, ours, secrets))
    if standard is not None:
        right, why = _judge_standard(body, headers, standard, secrets, now)
        verdicts.append((right, f"{STANDARD_SIGNATURE}: {why}" if why else None))
    return next((verdict for verdict in verdicts if not verdict[0]), verdicts[0])


def _judge(body: bytes, header: str, secrets: Sequence[Secret]) -> tuple[bool, str | None]:
    # compare_digest takes ASCII only.
    if not header.isascii():
        return False, "the signature is not hexadecimal"
    if verifies(body, header, secrets[:1]):
        return True, None
    if verifies(body, header, secrets):
        return True, "signed with an older secret"
    return False, _explain(body, header, secrets)


def _judge_standard(
    body: bytes, headers: Mapping[str, str], header: str, secrets: Sequence[Secret], now: datetime
) -> tuple[bool, str | None]:
    if not header.isascii():
        return False, "the signature is not base64"
    identity, written = _header(headers, STANDARD_ID), _header(headers, STANDARD_TIMESTAMP)
    if identity is None or written is None:
        return False, f"no {STANDARD_ID if identity is None else STANDARD_TIMESTAMP} header"
    if not identity.isascii():
        return False, f"{STANDARD_ID} is not ASCII"
    if not (written.isascii() and written.isdigit() and len(written) <= 12):
        return False, f"{STANDARD_TIMESTAMP} is not a number of seconds since 1970"
    seconds = int(written)
    try:
        keys = [standard_key(secret) for secret in secrets]
    except ValueError as bad:
        return False, f"the secret given here is wrong: {bad}"
    if not verifies_standard(body, header, keys, identity=identity, seconds=seconds):
        return False, _explain_standard(body, header, secrets, identity, seconds)
    age = now.timestamp() - seconds
    if abs(age) > TOLERANCE.total_seconds():
        late = "old" if age > 0 else "ahead"
        return False, f"the signature is right, but {abs(age):.0f} s {late}: look at the clocks"
    if not verifies_standard(body, header, keys[:1], identity=identity, seconds=seconds):
        return True, "signed with an older secret"
    return True, None


def _explain_standard(
    body: bytes, header: str, secrets: Sequence[Secret], identity: str, seconds: int
) -> str:
    """Tries the usual mistakes one after the other."""
    if not any(each.startswith("v1,") for each in header.split(" ")):
        return "no signature starts with 'v1,'"
    readings = [(key, why) for secret in secrets for key, why in _other_readings(secret)]
    for key, why in readings:
        if verifies_standard(body, header, [key], identity=identity, seconds=seconds):
            return why
    document = _json(body)
    if document is not None:
        keys = [standard_key(secret) for secret in secrets]
        compact = orjson.dumps(document)
        if verifies_standard(compact, header, keys, identity=identity, seconds=seconds):
            return "the signature matches the body as compact JSON: something between re-formatted it"
    return "another secret, or body, id or timestamp were altered on the way"


def _other_readings(secret: Secret) -> Sequence[tuple[bytes, str]]:
    """The keys that other people may make of a secret."""
    bare = secret.key.removeprefix(STANDARD_PREFIX.encode())
    if bare != secret.key:
        why = f"the signature matches the secret as plain text: what follows {STANDARD_PREFIX} is base64"
        return [(bare, why), (secret.key, why)]
    try:
        decoded = base64.b64decode(bare, validate=True)
    except binascii.Error:
        return []
    cure = f"write it with {STANDARD_PREFIX} before it, here too"
    return [(decoded, f"the signature matches the secret read as base64: {cure}")]


def _header(headers: Mapping[str, str], name: str) -> str | None:
    return headers.get(name, headers.get(name.lower()))


def _explain(body: bytes, header: str, secrets: Sequence[Secret]) -> str:
    """Tries the usual mistakes one after the other."""
    if not header.startswith(PREFIX):
        if verifies(body, PREFIX + header, secrets):
            return f"the signature is right, but must start with '{PREFIX}'"
        return f"the signature does not start with '{PREFIX}'"
    digest = header.removeprefix(PREFIX)
    if verifies(body, PREFIX + digest.strip().lower(), secrets):
        return "the signature is right, but must be bare lower-case hexadecimal"
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        return "the signature is not 64 hexadecimal digits"

    if verifies(body.rstrip(b"\r\n"), header, secrets) or verifies(body + b"\n", header, secrets):
        return "the signature matches but for a newline at the body's end: something between altered it"
    document = _json(body)
    if document is not None and verifies(orjson.dumps(document), header, secrets):
        return "the signature matches the body as compact JSON: something between re-formatted it"
    if verifies(body, header, [Secret(key=secret.key.strip()) for secret in secrets]):
        return "the signature matches the secret without the white space around it"
    if verifies(body, header, [Secret(key=secret.key + b"\n") for secret in secrets]):
        return "the signature matches the secret with a newline after it: the sender's copy has one"
    return "another secret, or the body was altered on the way"


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
