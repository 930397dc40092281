"""Why a signature fails is told as precisely as it can be; the reference library is of the same opinion."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from watcher.core.endpoints import Secret
from watcher.core.signing import signature_headers
from watcher.core.verifying import judge

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECRET, OLDER = Secret(key=b"s3cret"), Secret(key=b"older")
BODY = b'{"event":"message.created","data":{"messageId":"m1"},"webhookId":"webhook_1"}'
KEY = b"0123456789abcdef0123456789abcdef"
WHSEC = Secret(key=b"whsec_" + base64.b64encode(KEY))


def signed(body: bytes, key: bytes = SECRET.key) -> str:
    return "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (None, "no X-Webhook-Signature header, nor webhook-signature"),
        (signed(BODY).removeprefix("sha256="), "the signature is right, but must start with 'sha256='"),
        ("sha1=" + "0" * 40, "the signature does not start with 'sha256='"),
        (
            "sha256=" + signed(BODY)[7:].upper(),
            "the signature is right, but must be bare lower-case hexadecimal",
        ),
        ("sha256=" + "0" * 63, "the signature is not 64 hexadecimal digits"),
        ("sha256=" + "g" * 64, "the signature is not 64 hexadecimal digits"),
        ("sha256=" + "é" * 64, "the signature is not hexadecimal"),
        (signed(BODY + b"\n"), "the signature matches but for a newline at the body's end"),
        (signed(BODY), None),
        (signed(BODY, b"s3cret\n"), "the signature matches the secret with a newline after it"),
        (signed(BODY, b"unknown"), "another secret, or the body was altered on the way"),
        (signed(BODY, OLDER.key), "signed with an older secret"),
    ],
)
def test_each_usual_mistake_is_told_by_its_name(header: str | None, why: str | None) -> None:
    _, told = judge(
        BODY, {} if header is None else {"X-Webhook-Signature": header}, [SECRET, OLDER], now=NOON
    )

    assert told == why or (told is not None and why is not None and told.startswith(why + ":"))


def test_a_re_formatted_body_is_recognised() -> None:
    pretty = b'{\n  "event": "message.created"\n}'

    ok, told = judge(
        pretty, {"X-Webhook-Signature": signed(b'{"event":"message.created"}')}, [SECRET], now=NOON
    )

    assert not ok
    assert told is not None
    assert told.startswith("the signature matches the body as compact JSON")


def test_an_added_newline_and_a_padded_secret_are_recognised() -> None:
    header = {"X-Webhook-Signature": signed(BODY)}

    assert "newline" in str(judge(BODY + b"\r\n", header, [SECRET], now=NOON)[1])
    assert "white space" in str(judge(BODY, header, [Secret(key=b" s3cret\n")], now=NOON)[1])


def test_an_older_secret_still_verifies() -> None:
    assert judge(BODY, {"X-Webhook-Signature": signed(BODY, OLDER.key)}, [SECRET, OLDER], now=NOON)[0]
    assert not judge(BODY, {"X-Webhook-Signature": signed(BODY, b"unknown")}, [SECRET, OLDER], now=NOON)[0]


# ---------------------------------------------------------------- Standard Webhooks


def standard(*secrets: Secret, body: bytes = BODY, at: datetime = NOON, **other: str) -> dict[str, str]:
    seconds = int(at.timestamp())
    headers = signature_headers(body, secrets, "standard", identity="webhook_1", seconds=seconds)
    return {**dict(headers), **{name.replace("_", "-"): value for name, value in other.items()}}


def by_the_library(secret: Secret, headers: dict[str, str], body: bytes = BODY) -> bool:
    """The reference implementation; it looks at the time of day, too."""
    text = secret.key.decode()
    try:
        Webhook(text if text.startswith("whsec_") else secret.key).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


@pytest.mark.parametrize("secret", [WHSEC, SECRET], ids=["whsec_", "as it is"])
def test_the_reference_library_accepts_what_is_signed_now_and_nothing_else(secret: Secret) -> None:
    now = datetime.now(UTC)
    headers = standard(secret, at=now)

    assert by_the_library(secret, headers)
    assert judge(BODY, headers, [secret], now=now) == (True, None)
    for changed in (
        standard(secret, at=now, webhook_id="webhook_2"),
        standard(secret, at=now, webhook_timestamp=str(int(now.timestamp()) + 1)),
        standard(secret, at=now - timedelta(minutes=6)),
        standard(secret, at=now + timedelta(minutes=6)),
        standard(OLDER, at=now),
        standard(secret, at=now, body=BODY + b" "),
    ):
        assert not by_the_library(secret, changed)
        assert not judge(BODY, changed, [secret], now=now)[0]


def test_while_secrets_rotate_a_receiver_verifies_with_either() -> None:
    now = datetime.now(UTC)
    headers = standard(WHSEC, SECRET, at=now)

    assert by_the_library(WHSEC, headers)
    assert by_the_library(SECRET, headers)
    assert judge(BODY, standard(OLDER, at=now), [SECRET, OLDER], now=now) == (
        True,
        "webhook-signature: signed with an older secret",
    )


def test_both_signatures_stand_side_by_side_and_both_must_be_right() -> None:
    headers = dict(
        signature_headers(BODY, [SECRET], "both", identity="webhook_1", seconds=int(NOON.timestamp()))
    )

    assert judge(BODY, headers, [SECRET], now=NOON) == (True, None)
    for name in ("X-Webhook-Signature", "webhook-signature"):
        assert not judge(BODY, {**headers, name: headers[name] + "0"}, [SECRET], now=NOON)[0]


@pytest.mark.parametrize(
    ("headers", "secrets", "why"),
    [
        ({"webhook-signature": "v1,x"}, [SECRET], "no webhook-id header"),
        ({"webhook-signature": "v1,x", "webhook-id": "w"}, [SECRET], "no webhook-timestamp header"),
        (
            standard(SECRET, webhook_timestamp="noon"),
            [SECRET],
            "webhook-timestamp is not a number of seconds since 1970",
        ),
        (standard(SECRET, webhook_signature="v2,x"), [SECRET], "no signature starts with 'v1,'"),
        (
            standard(SECRET),
            [Secret(key=b"whsec_?")],
            "the secret given here is wrong: no base64 follows whsec_",
        ),
        (
            standard(SECRET, at=NOON - timedelta(hours=1)),
            [SECRET],
            "the signature is right, but 3600 s old: look at the clocks",
        ),
        (
            standard(Secret(key=WHSEC.key[6:])),
            [WHSEC],
            "the signature matches the secret as plain text: what follows whsec_ is base64",
        ),
        (
            standard(WHSEC),
            [Secret(key=WHSEC.key[6:])],
            "the signature matches the secret read as base64: write it with whsec_ before it, here too",
        ),
        (standard(SECRET), [OLDER], "another secret, or body, id or timestamp were altered on the way"),
    ],
)
def test_each_usual_mistake_with_the_standard_is_told(headers, secrets, why) -> None:
    assert judge(BODY, headers, secrets, now=NOON) == (False, f"webhook-signature: {why}")
