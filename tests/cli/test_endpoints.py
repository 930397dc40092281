"""`endpoints`, as a process on a state file: made, changed, dropped, and each of it in the audit list."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.builders import NOON, a_checkpoint, a_delivery
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.adapters.sqlite.reading import SqliteReader
from watcher.core.circuits import Standing

KEY = "a key of more than thirty-two characters"
CRM = "name: crm\nurl: https://crm.example/T0/token-in-url\nevents: [message.created]\n"


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    path = tmp_path / "state.db"
    settings = f"webhooks: {{url: http://127.0.0.1:9/, secret: s}}\nwatcher: {{state: 'sqlite:///{path}'}}\n"
    (tmp_path / "webhooks.yaml").write_text(settings)
    async with SqliteOutbox.open(path) as outbox:
        await outbox.append([], checkpoint=a_checkpoint(), through=NOON)
    return tmp_path


def command(folder: Path, *words: str, given: str = "", key: str = KEY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "watcher", "endpoints", *words, "--config", str(folder / "webhooks.yaml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        input=given,
        env={"WATCHER_SECRET_KEY": key, "USER": "alice", "HOME": str(folder)},
    )


def audited(folder: Path) -> list[Any]:
    told = command(folder, "audit", "--json").stdout
    return [json.loads(line) for line in told.splitlines()]


async def test_one_is_made_shown_changed_and_dropped(folder):
    made = command(folder, "create", "-", given=CRM)
    assert (made.returncode, made.stdout[:6]) == (0, "whsec_"), made.stderr

    shown = command(folder, "show", "crm").stdout
    assert json.loads(shown)["events"] == ["message.created"]
    assert "token-in-url" not in shown
    assert made.stdout.strip() not in shown

    changed = command(folder, "change", "crm", "-", given='{"events": null, "timeout": 9000}')
    assert (changed.returncode, changed.stdout) == (0, ""), changed.stderr
    assert "events" not in json.loads(command(folder, "show", "crm").stdout)

    rotated = command(folder, "rotate", "crm", "--secret-file", "-", given="another secret\n")
    assert (rotated.returncode, rotated.stdout) == (0, ""), rotated.stderr
    assert "crm" in command(folder, "list").stdout

    async with SqliteOutbox.open(folder / "state.db") as outbox:
        rows = [a_delivery(endpoint="crm"), a_delivery(endpoint="crm")]
        await outbox.append(rows, checkpoint=a_checkpoint(), through=NOON)
    dropped = command(folder, "delete", "crm", "--yes", key="")
    assert dropped.stdout == "crm is dropped; 2 deliveries are cancelled.\n", dropped.stderr
    assert (await SqliteReader(folder / "state.db").registered()).endpoints == ()

    entries = audited(folder)
    assert [each["act"] for each in entries] == [
        "endpoint.deleted",
        "secret.rotated",
        "endpoint.changed",
        "endpoint.created",
    ]
    assert all(each["way"] == "cli" and each["address"].startswith("alice@") for each in entries)
    assert entries[2]["details"] == {"keys": ["events", "timeout"]}


async def test_one_is_dropped_without_a_key_however_its_name_is_written_though_the_file_names_nobody(folder):
    command(folder, "create", "-", given=CRM)
    async with SqliteOutbox.open(folder / "state.db") as outbox:
        await outbox.append([a_delivery(endpoint="crm")], checkpoint=a_checkpoint(), through=NOON)
    (folder / "webhooks.yaml").write_text(f"watcher: {{state: 'sqlite:///{folder}/state.db'}}\n")

    dropped = command(folder, "delete", "CRM", "--yes", key="")

    assert dropped.stdout == "crm is dropped; 1 deliveries are cancelled.\n", dropped.stderr


async def test_a_name_that_is_taken_is_told_so_and_one_that_is_made_anew_is_not_paused(folder):
    command(folder, "create", "-", given=CRM)
    paused = Standing(state="paused", reason="by an operator", since=NOON)
    async with SqliteOutbox.open(folder / "state.db") as outbox:
        await outbox.append([a_delivery(endpoint="crm")], checkpoint=a_checkpoint(), through=NOON)
        await outbox.stand("crm", paused)

    refused = command(folder, "create", "-", given=CRM)
    assert (refused.returncode, "already" in refused.stderr) == (1, True), refused.stderr

    command(folder, "delete", "crm", "--yes")
    async with SqliteOutbox.open(folder / "state.db") as outbox:
        await outbox.stand("crm", paused)  # whoever dropped it was killed half-way
    made = command(folder, "create", "-", given=CRM)
    assert made.returncode == 0, made.stderr
    assert await SqliteReader(folder / "state.db").standings() == {}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("name: crm\nurl: nowhere\n", "endpoint crm: url: the URL does not begin with https://"),
        ("- a list\n", "this is no mapping of keys to values"),
        ("name: [", "<stdin>:1"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_made(folder, given, told):
    refused = command(folder, "create", "-", given=given)

    assert (refused.returncode, told in refused.stderr) == (2, True), refused.stderr
    assert audited(folder) == []


def test_without_a_key_it_says_why(folder):
    refused = command(folder, "create", "-", given=CRM, key="")

    assert (refused.returncode, "WATCHER_SECRET_KEY" in refused.stderr) == (1, True)


def test_one_of_the_file_is_changed_there(folder):
    refused = command(folder, "change", "default", "-", given="timeout: 1")

    assert (refused.returncode, "in the settings' file" in refused.stderr) == (1, True)


def test_pausing_and_sending_again_are_in_the_audit_list(folder):
    command(folder, "create", "-", given=CRM)
    for act in ("pause", "resume"):
        done = command(folder, act, "crm")
        assert done.returncode == 0, done.stderr

    assert [each["act"] for each in audited(folder)] == [
        "endpoint.resumed",
        "endpoint.paused",
        "endpoint.created",
    ]


def test_where_nothing_was_ever_begun_it_says_so(tmp_path):
    (tmp_path / "webhooks.yaml").write_text(f"watcher: {{state: 'sqlite:///{tmp_path}/none.db'}}\n")

    refused = command(tmp_path, "create", "-", given=CRM)

    assert (refused.returncode, "there is no state yet" in refused.stderr) == (1, True), refused.stderr
