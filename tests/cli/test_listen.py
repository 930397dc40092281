"""`listen` as a developer meets it: a process, a POST, a line, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, Any

import click
import httpx
import pytest
from click.testing import CliRunner

from watcher.cli.listen import listen, share, span
from watcher.core.endpoints import Secret
from watcher.core.signing import signature

SECRET = "a secret with spaces"
COMMAND = [sys.executable, "-c", "from watcher.cli.listen import listen; listen(prog_name='listen')"]


@dataclass
class Listening:
    process: subprocess.Popen[str]
    url: str

    def post(self, body: bytes, *, secret: str = SECRET, **headers: str) -> int:
        headers = {"X-Webhook-Signature": signature(body, Secret(key=secret.encode())), **headers}
        return httpx.post(self.url, content=body, headers=headers, trust_env=False).status_code

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def end(self, number: signal.Signals) -> tuple[int, str, str]:
        """Exit code, and what was still printed to each stream."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=10)
        return self.process.returncode, out, err


@contextmanager
def listening(*arguments: str) -> Iterator[Listening]:
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "WEBHOOK_SECRET": SECRET},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    banner: IO[str] = process.stderr if "--json" in arguments else process.stdout
    try:
        told = re.search(r"http://\S+", banner.readline())
        assert told is not None
        yield Listening(process, told[0])
    finally:
        process.kill()
        process.communicate()


def an_event(**data: Any) -> bytes:
    document = {"event": "message.created", "data": {"messageId": "m1", **data}, "webhookId": "webhook_1"}
    return json.dumps(document, ensure_ascii=False).encode()


def test_each_event_is_a_line_and_ctrl_c_ends_with_a_summary() -> None:
    headers = {"X-Webhook-Event": "message.created", "X-Webhook-ID": "webhook_1", "X-Webhook-Attempt": "2"}

    with listening() as ours:
        statuses = [ours.post(an_event(text="Hello " * 50), **headers)]
        statuses.append(ours.post(an_event(), secret="other", **headers))
        good, bad = ours.line(), ours.line()
        code, summary, err = ours.end(signal.SIGINT)

    assert statuses == [200, 401]
    assert re.match(
        r"\d\d:\d\d:\d\d\.\d{3}  message\.created +webhook_1  attempt 2  ✓  200  messageId=\"m1\" ", good
    )
    assert "Hello Hello" in good
    assert len(good) < 200
    assert "✗ another secret, or the body was altered on the way  401" in bad
    assert (code, err) == (0, "")
    assert "2 requests, 1 verified, 1 not; 1 ids, 1 came again; answered 1 × 200, 1 × 401" in summary
    assert "\x1b" not in good + bad + summary, "no colours where there is no terminal"


def test_json_is_one_object_per_line_and_nothing_else() -> None:
    body = an_event(text="x" * 5000)

    with listening("--json", "--status", "500") as ours:
        status = ours.post(body, **{"X-Webhook-Event": "message.created"})
        record = json.loads(ours.line())
        code, rest, err = ours.end(signal.SIGTERM)

    assert status == record["status"] == 500
    assert record["verified"] is True
    assert record["body"] == json.loads(body)
    assert (code, rest) == (0, "")
    assert "1 requests, 1 verified" in err


def test_what_a_stranger_sends_cannot_steer_the_terminal() -> None:
    document = {"event": "\x9b2J", "data": {"a\x9bb": "\x9b2J\x1b[2J"}}
    body = json.dumps(document, ensure_ascii=False).encode()

    with listening() as ours:
        ours.post(body)
        ours.post(b"\x1b[2J")
        lines = ours.line() + ours.line()

    assert "a�b=" in lines
    assert lines.isprintable()


def test_a_port_in_use_is_told_with_its_cure() -> None:
    with listening() as ours:
        port = ours.url.rstrip("/").rpartition(":")[2]
        result = CliRunner().invoke(listen, ["--port", port, "--secret", "s"])

    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in result.output
    assert "--port" in result.output


def test_without_a_secret_the_command_says_what_is_missing() -> None:
    result = CliRunner(env={"WEBHOOK_SECRET": ""}).invoke(listen, [])

    assert result.exit_code == 2
    assert "--secret" in result.output


@pytest.mark.parametrize(("text", "value"), [("20%", 0.2), ("0.2", 0.2), ("100%", 1.0), ("0", 0.0)])
def test_shares_are_read(text: str, value: float) -> None:
    assert share(text) == value


@pytest.mark.parametrize(
    ("text", "seconds"), [("2s", 2), ("2", 2), ("500ms", 0.5), ("1.5m", 90), ("0s", 0), ("0.25", 0.25)]
)
def test_spans_are_read(text: str, seconds: float) -> None:
    assert span(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["20", "-1%", "101%", "many", "", "nan"])
def test_no_share_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write 20%"):
        share(text)


@pytest.mark.parametrize("text", ["-1s", "s", "2h", "", "nan", "1e400s"])
def test_no_span_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write 2s"):
        span(text)
