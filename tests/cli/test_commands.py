"""The commands as a person calls them: real processes, a real MongoDB where one is needed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from tests.builders import NOON, a_checkpoint
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.core.endpoints import Secret
from watcher.core.events import DOCUMENTED
from watcher.demo.mongod import PrivateMongo
from watcher.receiver import Receipt, Receiver


def command(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "watcher", *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def run(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Beside the test's own servers, which must go on meanwhile."""
    return await asyncio.to_thread(command, *arguments, folder=folder, **environment)


@pytest.fixture
async def receiver():
    receipts: list[Receipt] = []
    async with Receiver([Secret(key=b"s")], on_receipt=receipts.append) as opened:
        yield opened, receipts


def a_file(folder: Path, uri: str, url: str, **watcher) -> Path:
    file = folder / "webhooks.yaml"
    state = f"sqlite:///{str(folder / 'state.db').lstrip('/')}"
    text = {
        "webhooks": {"url": url, "secret": "s"},
        "watcher": {"mongoUri": uri, "state": state, **watcher},
    }
    file.write_text(yaml.safe_dump(text))
    return file


def test_help_names_every_command(tmp_path):
    shown = command("--help", folder=tmp_path).stdout

    for name in (
        "run",
        "demo",
        "check",
        "prepare",
        "listen",
        "tail",
        "explain",
        "events",
        "ping",
        "mappings",
    ):
        assert f"  {name} " in shown


def test_events_lists_the_sixteen_and_ours(tmp_path):
    listed = command("events", folder=tmp_path).stdout

    assert [line.split()[0] for line in listed.splitlines()][:16] == list(DOCUMENTED)
    assert "user.session.expired" in listed


def test_an_event_is_shown_with_a_whole_sample(tmp_path):
    shown = command("events", "message.feedback", folder=tmp_path).stdout

    sample = json.loads(shown[shown.index("{") : shown.rindex("}") + 1])
    assert list(sample) == ["event", "timestamp", "data", "userId", "webhookId"]
    assert sample["data"]["feedback"]["rating"] == "thumbsUp"


def test_an_event_is_shown_with_its_fields(tmp_path):
    shown = command("events", "user.login", folder=tmp_path).stdout

    fields = [line.split()[:2] for line in shown.split("Fields of data:\n")[1].splitlines()]
    assert fields == [["userId", "always"], ["sessionId", "always"], ["tenantId", "sometimes"]]


def test_the_catalogue_is_printed_as_openapi(tmp_path):
    printed = command("events", "--openapi", folder=tmp_path)

    document = json.loads(printed.stdout)
    assert document["openapi"] == "3.1.0"
    assert list(document["webhooks"])[:16] == list(DOCUMENTED)
    assert command("events", "user.login", "--openapi", folder=tmp_path).returncode == 2


def test_an_unknown_event_is_refused_with_the_one_that_was_meant(tmp_path):
    refused = command("events", "mesage.created", folder=tmp_path)

    assert refused.returncode == 2
    assert "Did you mean message.created?" in refused.stderr


async def test_check_and_ping_tell_of_a_receiver_what_a_delivery_would_find(tmp_path, mongodb_uri, receiver):
    opened, receipts = receiver
    file = a_file(tmp_path, mongodb_uri, opened.url)
    settings = yaml.safe_load(file.read_text())
    settings["webhooks"]["denyPrivate"] = True
    file.write_text(yaml.safe_dump(settings))

    checked = await run("check", "--json", folder=tmp_path)
    pinged = await run("ping", folder=tmp_path)

    denied = "denied: the address is private (denyPrivate)"
    found = {each["about"]: each["what"] for each in json.loads(checked.stdout)["findings"]}
    assert found["endpoint default"] == f"cannot be reached: {denied}"
    assert f"failed    {denied}" in pinged.stdout
    assert (checked.returncode, pinged.returncode) == (1, 1)
    assert receipts == []


async def test_ping_sends_a_signed_sample_and_shows_the_answer(tmp_path, receiver):
    opened, receipts = receiver
    a_file(tmp_path, "mongodb://127.0.0.1:1/x", opened.url)

    done = await run("ping", "default", "--event", "user.login", folder=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "status    200" in done.stdout
    assert (receipts[0].event, receipts[0].signature_ok) == ("user.login", True)
    assert receipts[0].id in done.stdout


async def test_two_pings_are_two_events(tmp_path, receiver):
    opened, receipts = receiver
    a_file(tmp_path, "mongodb://127.0.0.1:1/x", opened.url)

    for _ in range(2):
        await run("ping", folder=tmp_path)

    assert receipts[0].id != receipts[1].id


def test_a_ping_that_fails_says_why_and_exits_1(tmp_path):
    a_file(tmp_path, "mongodb://127.0.0.1:1/x", "http://127.0.0.1:1/")

    done = command("ping", folder=tmp_path)

    assert done.returncode == 1
    assert "refused" in done.stdout


async def test_ping_sends_in_the_form_and_to_the_address_of_the_endpoint(tmp_path, receiver):
    opened, receipts = receiver
    file = a_file(tmp_path, "mongodb://127.0.0.1:1/x", opened.url + "{{ data.userId }}")
    settings = yaml.safe_load(file.read_text())
    settings["webhooks"] |= {"transform": {"who": "{{ userId }}"}, "headers": {"X-Event": "{{ event }}"}}
    file.write_text(yaml.safe_dump(settings))

    done = await run("ping", "default", "--event", "user.login", folder=tmp_path)

    assert done.returncode == 0, done.stderr
    assert json.loads(receipts[0].body) == {"who": "6b044d4773a41b0b86a68795"}
    assert receipts[0].headers["X-Event"] == "user.login"
    assert receipts[0].signature_ok


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"transform": "{{ data.titel }}"}, "transform: data.titel is undefined (event message.created)"),
        (
            {"headers": {"X": "{{ data.titel }}"}},
            "headers.X: data.titel is undefined (event message.created)",
        ),
    ],
)
def test_a_ping_of_which_nothing_can_be_made_says_why_and_exits_1(tmp_path, keys, why):
    file = a_file(tmp_path, "mongodb://127.0.0.1:1/x", "http://127.0.0.1:1/")
    settings = yaml.safe_load(file.read_text())
    settings["webhooks"] |= keys
    file.write_text(yaml.safe_dump(settings))

    done = command("ping", folder=tmp_path)

    assert done.returncode == 1
    assert why in done.stderr


def test_a_ping_to_nobody_names_who_there_is(tmp_path):
    a_file(tmp_path, "mongodb://127.0.0.1:1/x", "http://127.0.0.1:1/")

    done = command("ping", "defualt", folder=tmp_path)

    assert done.returncode == 2
    assert "Did you mean default?" in done.stderr


async def test_check_is_good_when_all_is_there(tmp_path, mongodb_uri, database, receiver):
    opened, receipts = receiver
    a_file(tmp_path, f"{mongodb_uri}{database}", opened.url)
    await run("prepare", folder=tmp_path)

    done = await run("check", "--json", folder=tmp_path)

    assert done.returncode == 0, done.stdout
    findings = {each["about"]: each for each in json.loads(done.stdout)["findings"]}
    assert {name: each["level"] for name, each in findings.items() if name != "oplog"} == {
        "settings": "ok",
        "state": "ok",
        "MongoDB": "ok",
        "rights": "ok",
        "pre-images": "ok",
        "clock": "ok",
        "endpoint default": "ok",
    }
    assert receipts == [], "check sends nothing"


async def test_check_tells_what_is_wrong_each_with_its_cure(tmp_path, mongodb_uri, database):
    a_file(tmp_path, f"{mongodb_uri}{database}", "http://127.0.0.1:1/")

    done = await run("check", "--json", folder=tmp_path)

    findings = {each["about"]: each for each in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    assert findings["pre-images"]["level"] == "warning"
    assert "librechat-watcher prepare" in findings["pre-images"]["cure"]
    assert findings["endpoint default"]["level"] == "problem"
    assert "refused" in findings["endpoint default"]["what"]


async def test_check_warns_of_what_templates_ask_for_in_vain(tmp_path, mongodb_uri, database, receiver):
    opened, receipts = receiver
    file = a_file(tmp_path, f"{mongodb_uri}{database}", opened.url)
    settings = yaml.safe_load(file.read_text())
    settings["webhooks"] |= {"events": ["conversation.created"], "transform": {"a": "{{ data.titel }}"}}
    file.write_text(yaml.safe_dump(settings))

    done = await run("check", "--json", folder=tmp_path)

    warnings = [each for each in json.loads(done.stdout)["findings"] if each["about"] == "endpoint default"][
        1:
    ]
    assert done.returncode == 1, "it would not be told of anything"
    assert [each["level"] for each in warnings] == ["warning", "problem"]
    assert warnings[0]["what"] == "a template reads data.titel, which no event that it gets has"
    assert warnings[0]["cure"] == "Did you mean data.title?"
    assert warnings[1]["what"] == (
        "cannot be told of conversation.created: transform.a: data.titel is undefined"
    )
    assert receipts == []


async def test_check_warns_of_filters_that_cannot_be_meant(tmp_path, mongodb_uri, database, receiver):
    opened, _ = receiver
    file = a_file(tmp_path, f"{mongodb_uri}{database}", opened.url)
    settings = yaml.safe_load(file.read_text())
    settings["webhooks"] |= {
        "filters": [{"event": "message.created", "condition": {"isCreatedByUser": "false"}}],
        "transform": {"n": "{{ data.files }}"},
        "events": ["message.created"],
    }
    file.write_text(yaml.safe_dump(settings))

    done = await run("check", "--json", folder=tmp_path)

    found = [each for each in json.loads(done.stdout)["findings"] if each["about"] == "endpoint default"][1:]
    assert done.returncode == 0, "a warning keeps nothing from running"
    assert [(each["level"], each["cure"]) for each in found] == [
        ("warning", "Write false without quotes."),
        ("warning", "Write `data.files | default(…)`."),
    ]


async def test_check_compares_the_stored_position_with_the_oplog(tmp_path, mongodb_uri, database, receiver):
    opened, _ = receiver
    a_file(tmp_path, f"{mongodb_uri}{database}", opened.url)
    async with SqliteOutbox.open(tmp_path / "state.db") as outbox:
        old = NOON.replace(year=2020)
        await outbox.append([], checkpoint=a_checkpoint("82AA", at=old), through=old)

    done = await run("check", folder=tmp_path)

    assert done.returncode == 1
    assert "it is lost" in done.stdout
    assert "onPositionLost" in done.stdout


async def test_check_says_when_the_stored_position_will_be_lost(tmp_path, mongodb_uri, database, receiver):
    opened, _ = receiver
    a_file(tmp_path, f"{mongodb_uri}{database}", opened.url)
    async with SqliteOutbox.open(tmp_path / "state.db") as outbox:
        now = datetime.now(UTC)
        await outbox.append([], checkpoint=a_checkpoint("82AA", at=now), through=now)

    done = await run("check", folder=tmp_path)

    assert done.returncode == 0
    assert re.search(
        r"the stored position is 0:00:\d\d old, and unless `run` reads on it is lost in about \d:\d\d:\d\d",
        done.stdout,
    )


def test_check_with_bad_settings_exits_2(tmp_path):
    done = command("check", folder=tmp_path)

    assert done.returncode == 2
    assert "MONGO_URI" in done.stderr
    assert "WEBHOOK_URL" in done.stderr


async def test_prepare_turns_a_single_server_into_a_set_with_pre_images_and_may_run_twice(tmp_path):
    async with PrivateMongo() as mongo:
        host = f"127.0.0.1:{mongo.ports[0]}"
        both = [
            await run(
                "prepare", "--init-replica-set", host, folder=tmp_path, MONGO_URI=f"{mongo.uri}LibreChat"
            )
            for _ in range(2)
        ]

    assert [done.returncode for done in both] == [0, 0], both[0].stderr
    assert "LibreChat.messages: pre-images created with them" in both[0].stdout
    assert "was initiated before" in both[1].stdout
    assert "LibreChat.messages: pre-images was on" in both[1].stdout


def test_the_demo_tells_all_sixteen_and_leaves_nothing_behind(tmp_path):
    done = command("demo", folder=tmp_path, TMPDIR=str(tmp_path))

    assert done.returncode == 0, done.stdout + done.stderr
    for event in DOCUMENTED:
        assert f"✓ {event}" in done.stdout
    assert "0 missing, 0 too many; 1 kill -9" in done.stdout
    assert "p50" in done.stdout
    assert list(tmp_path.iterdir()) == []
