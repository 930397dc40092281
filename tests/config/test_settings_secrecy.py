"""Nothing leaks: no secret, URI password, header or URL in any message or repr."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from tests.config.settings_texts import loaded
from watcher.errors import ConfigError

PLANTED = "Pl4nted"
GOOD = f"""\
webhooks:
  url: https://receiver.example/{PLANTED}?key={PLANTED}
  secret: [{PLANTED}, "old-{PLANTED}"]
  headers: {{Authorization: "Bearer {PLANTED}"}}
  endpoints:
    - {{name: crm, url: "https://crm.example/{PLANTED}", secret: {PLANTED}}}
watcher:
  mongoUri: mongodb://me:{PLANTED}@host/LibreChat
  http: {{token: {PLANTED}}}
"""


def test_settings_can_be_printed(tmp_path: Path) -> None:
    settings = loaded(tmp_path, GOOD)

    assert PLANTED not in repr(settings)
    assert PLANTED not in str(settings)
    assert "crm" in repr(settings)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("https://receiver", "htps://receiver"),
        ("https://receiver", f"http://{PLANTED}:receiver"),
        ("https://receiver", "http://receiver"),
        ("https://crm.example/", "https://crm.example:port/"),
        ("https://crm.example/", "https://[crm.example/"),
        ("https://crm.example/", "https://me:pass@crm.example/"),
        (f"[{PLANTED}, ", f"[[{PLANTED}], "),
        (f"[{PLANTED}, ", f"[{{a: {PLANTED}}}, "),
        (f"[{PLANTED}, ", f"[*{PLANTED}, "),
        (f"[{PLANTED}, ", f"[!{PLANTED} a, "),
        (f"[{PLANTED}, ", f"[!<{PLANTED}> a, "),
        (f"[{PLANTED}, ", f"[!{PLANTED}!x a, "),
        (f"[{PLANTED}, ", f'["${{{PLANTED}", '),
        (f"[{PLANTED}, ", f"[&{PLANTED} &{PLANTED} a, "),
        (f"[{PLANTED}, ", f'["\\q{PLANTED}", '),
        (f"[{PLANTED}, ", f"[@{PLANTED}, "),
        (f"[{PLANTED}, ", f'["\\0{PLANTED}", '),
        (f"Bearer {PLANTED}", f"Bearer\\n{PLANTED}"),
        (f'"Bearer {PLANTED}"', f"[{PLANTED}]"),
        (f"me:{PLANTED}@", f"me:{PLANTED}@{PLANTED}@"),
        (f"me:{PLANTED}@host", f"me:{PLANTED}/@host"),
        (f"me:{PLANTED}@host/LibreChat", f"me:{PLANTED}@host/a/{PLANTED}"),
        ("mongodb://me", "mongo://me"),
        (f"mongodb://me:{PLANTED}@host/LibreChat", f"[{PLANTED}]"),
        (f"token: {PLANTED}", f"token: [{PLANTED}]"),
        (f"token: {PLANTED}", f"listen: {PLANTED}, token: {PLANTED}"),
        (f"token: {PLANTED}", f"token: {PLANTED}\n  state: sqlite:{PLANTED}"),
        ("  mongoUri", "mongoUri"),
        ("  mongoUri", "   \tmongoUri"),
    ],
)
def test_no_message_shows_what_stands_in_a_wrong_value(tmp_path: Path, good: str, bad: str) -> None:
    assert good in GOOD

    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, GOOD.replace(good, bad))

    assert PLANTED not in str(caught.value)
    assert PLANTED not in repr(caught.value)
    assert PLANTED not in "".join(traceback.format_exception(caught.value)).replace(bad, "")


@pytest.mark.parametrize(
    "name", ["MONGO_URI", "WEBHOOK_URL", "WATCHER_STATE", "WATCHER_HTTP", "WATCHER_LOG", "WATCHER_LOG_LEVEL"]
)
def test_no_message_shows_what_stands_in_a_wrong_variable(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, GOOD, env={name: f"x{PLANTED} {PLANTED}"})

    assert PLANTED not in str(caught.value)


def test_no_message_shows_a_mounted_secret_or_a_variables_value(tmp_path: Path) -> None:
    (tmp_path / "mounted").write_bytes(f"{PLANTED}\xff".encode("latin-1"))
    text = GOOD.replace("https://crm", "${CRM}://crm").replace("headers:", "timeout: ${CRM}\n  headers:")

    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, env={"CRM": PLANTED, "WEBHOOK_SECRET_FILE": str(tmp_path / "mounted")})

    assert len(caught.value.problems) == 3
    assert PLANTED not in str(caught.value)
