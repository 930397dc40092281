"""The reference library for Node verifies what we sign, by the very code of docs/RECEIVERS.md."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.librechat.table import FOLDER
from watcher.core.encoding import encode
from watcher.core.endpoints import Secret
from watcher.core.signing import signature_headers

pytestmark = pytest.mark.librechat

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
BODY = encode({"event": "message.created", "data": {"text": "é🧵\u2028", "tiny": 1e-7, "10": 1}})


def by_the_library(body: bytes, headers: dict[str, str], secret: str = SECRET) -> str:
    page = Path(__file__).parents[2].joinpath("docs", "RECEIVERS.md").read_text()
    [code] = re.findall(r"```js standard-node\n(.*?)```", page, re.DOTALL)
    given = {"code": code, "body": body.decode(), "headers": headers, "secret": secret}
    done = subprocess.run(
        ["node", "verify.js"],
        cwd=FOLDER,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return done.stdout.strip()


def signed(*secrets: str, seconds: int | None = None) -> dict[str, str]:
    keys = [Secret(key=secret.encode()) for secret in secrets]
    at = int(time.time()) if seconds is None else seconds
    return dict(signature_headers(BODY, keys, "both", identity="webhook_1", seconds=at))


def test_it_takes_what_is_signed_now_also_while_secrets_rotate():
    assert json.loads(by_the_library(BODY, signed(SECRET))) == json.loads(BODY)
    assert json.loads(by_the_library(BODY, signed("whsec_bmV3", SECRET))) == json.loads(BODY)


def test_it_refuses_another_body_another_secret_and_an_old_signature():
    refused = "refused: WebhookVerificationError"

    assert by_the_library(BODY + b" ", signed(SECRET)) == refused
    assert by_the_library(BODY, signed("whsec_bmV3")) == refused
    assert by_the_library(BODY, signed(SECRET, seconds=int(time.time()) - 600)) == refused
