"""Hiding: no form of a secret survives in what is kept of an answer, and what is none does."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.builders import NOON, an_endpoint
from watcher.core.attempts import attempt_of
from watcher.core.endpoints import Secret
from watcher.core.hiding import BLOT, Hiding
from watcher.core.outcomes import Answered

SLACK = "https://hooks.example/services/T0A1B2C3/B4D5E6F7/Zx9yWq8vUt7s?token=abc-DEF-1"
ENDPOINT = an_endpoint(
    url=SLACK,
    secrets=(Secret(key=b'open/sesame+"now"\xc3\xa9'), Secret(key=b"\x00\xff\xfe binary \x80")),
    headers=(("Authorization", "Bearer tok-en-1"), ("X-Env", "eu")),
)


@pytest.mark.parametrize(
    "said",
    [
        "Cannot POST /services/T0A1B2C3/B4D5E6F7/Zx9yWq8vUt7s?token=abc-DEF-1",
        r'{"path":"\/services\/T0A1B2C3\/B4D5E6F7\/Zx9yWq8vUt7s"}',
        "moved to https://hooks.example/services/T0A1B2C3/B4D5E6F7/Zx9yWq8vUt7s",
        "you sent abc-DEF-1",
    ],
)
def test_what_is_secret_in_an_address_is_blotted_out_and_its_plain_words_are_not(said):
    kept = Hiding(ENDPOINT).blotted(said)

    assert not [part for part in ("T0A1B2C3", "B4D5E6F7", "Zx9yWq", "abc-DEF") if part in kept]
    assert BLOT in kept
    assert (
        Hiding(ENDPOINT).blotted("no such services at hooks.example") == "no such services at hooks.example"
    )


def test_user_and_password_of_an_address_are_blotted_out_and_holes_for_events_hide_nothing():
    endpoint = an_endpoint(url="https://robot-7:pass_word_9@crm.example/u/{{ data.userId }}/KEY-4711")

    assert Hiding(endpoint).blotted("robot-7 pass_word_9 KEY-4711 data.userId crm.example") == (
        f"{BLOT} {BLOT} {BLOT} data.userId crm.example"
    )


@pytest.mark.parametrize(
    "said",
    [
        'open/sesame+"now"é',
        json.dumps('open/sesame+"now"é'),
        r"open\/sesame+\"now\"é",
        "open/sesame+&quot;now&quot;é",
        "open/sesame%2B%22now%22%C3%A9",
        "b3Blbi9zZXNhbWUrIm5vdyLDqQ==",
        "b3Blbi9zZXNhbWUrIm5vdyLDqQ",
        b'open/sesame+"now"\xc3\xa9'.hex(),
    ],
)
def test_a_secret_is_found_as_json_html_urls_hex_and_base64_write_it(said):
    kept = Hiding(ENDPOINT).blotted(f"before {said} after").replace('"', "").replace("==", "")

    assert kept == f"before {BLOT} after"


@pytest.mark.parametrize("length", range(6, 22))
def test_what_is_left_of_a_secret_at_the_cut_is_blotted_out(length):
    secret = "a-signing-key-of-length"
    endpoint = an_endpoint(secrets=(Secret(key=secret.encode()),))

    for end in ("", "\N{REPLACEMENT CHARACTER}"):
        assert Hiding(endpoint).blotted(f"you sent {secret[:length]}{end}") == f"you sent {BLOT}"


@pytest.mark.parametrize("name", ["X-Webhook-Signature", "webhook-signature"])
def test_signatures_are_blotted_out_wherever_they_stand(name):
    said = json.dumps({"headers": {name: "sha256=" + "0f" * 32, "other": "v1,aGVsbG8/aGVsbG8=", "a": 1}})

    kept = Hiding(ENDPOINT).blotted(said)

    assert json.loads(kept) == {"headers": {name: BLOT, "other": BLOT, "a": 1}}


def test_headers_of_an_answer_are_blotted_as_its_body_is():
    answer = Answered(status=307, headers=(("Location", SLACK), ("X-Request-Id", "7f3a")))

    told = attempt_of(answer, Hiding(ENDPOINT), at=NOON, took=timedelta(0), reason=None)

    assert told.headers[0] == (
        "Location",
        f"https://hooks.example/services/{BLOT}/{BLOT}/{BLOT}?token={BLOT}",
    )
    assert told.headers[1] == ("X-Request-Id", "7f3a")
