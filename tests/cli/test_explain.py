"""`explain` as a person calls it: words and data; what it must not show, and what it refuses."""

from __future__ import annotations

import json
import os
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from tests.test_samples import SAMPLES, recorded_actions
from watcher.cli import commands

SECRET = "PL4NTED-S3CRET"

ENDPOINTS = {
    "webhooks": {
        "endpoints": [
            {
                "name": "crm",
                "url": "https://crm.example/PL4NTED-S3CRET",
                "secret": SECRET,
                "headers": {"X-Key": SECRET},
                "events": ["message.*", "user.login"],
                "filters": [{"event": "message.created", "condition": {"isCreatedByUser": False}}],
            },
            {"name": "audit", "url": "${NOT_SET}", "secret": "${NOT_SET}", "events": ["*"]},
            {"name": "agents", "events": ["agent.*"]},
        ]
    },
    "watcher": {"mongoUri": "${NOT_SET}"},
}


def explain(*arguments: str, folder: Path, given: str = "", settings: Any = None) -> Result:
    if settings is not None:
        folder.joinpath("webhooks.yaml").write_text(yaml.safe_dump(settings))
    # Nothing of our own environment.
    environment = {**dict.fromkeys(os.environ), "HOME": str(folder)}
    with chdir(folder):
        return CliRunner(env=environment).invoke(commands, ["explain", *arguments], input=given)


def an_event(operation: str = "insert", collection: str = "messages", **fields: Any) -> dict[str, Any]:
    return {
        "_id": {"_data": "826B044D47000000142B022C0100296E5A1004"},
        "operationType": operation,
        "wallTime": {"$date": "2026-11-24T12:00:00Z"},
        "ns": {"db": "LibreChat", "coll": collection},
        "documentKey": {"_id": {"$oid": "6b044d4773a41b0b86a68795"}},
        **fields,
    }


A_MESSAGE = {
    "_id": {"$oid": "6b044d4773a41b0b86a68795"},
    "messageId": "m1",
    "conversationId": "c1",
    "user": "u1",
    "text": "hello",
    "isCreatedByUser": True,
    "metadata": {"x": SECRET},
    "thinking": SECRET,
}


def test_an_event_is_explained_rule_by_rule_and_endpoint_by_endpoint(tmp_path: Path) -> None:
    done = explain(
        "-", folder=tmp_path, given=json.dumps(an_event(fullDocument=A_MESSAGE)), settings=ENDPOINTS
    )

    assert (done.exit_code, done.stderr) == (0, "")
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[0].startswith(
        "1. insert in messages, _id 6b044d4773a41b0b86a68795, 2026-11-24T12:00:00.000Z"
    )
    (fires,) = [line for line in lines if line.endswith(": fires")]
    assert fires.startswith("message.created  (messages.yaml:")
    assert '"text": "hello",' in lines
    assert "→ crm: does not get it: subscribed by message.*, but a filter refuses it" in lines
    assert "✗ isCreatedByUser: false   (it is true or false)" in lines
    assert "→ audit: gets it, subscribed by *" in lines
    assert "→ agents: not subscribed" in lines
    assert sum("has spoken for it" in line for line in lines) == 1
    (about,) = [line for line in lines if line.startswith("about other operations: ")]
    assert "message.feedback" in about
    assert list(tmp_path.iterdir()) == [tmp_path / "webhooks.yaml"], "nothing is stored"


def test_with_json_it_is_the_same_as_data(tmp_path: Path) -> None:
    given = json.dumps(an_event(fullDocument=A_MESSAGE))

    done = explain("-", "--json", folder=tmp_path, given=given, settings=ENDPOINTS)

    document = json.loads(done.stdout)
    (change,) = document["changes"]
    assert document["held"] == []
    assert (change["change"]["operation"], change["crosses"]) == ("insert", "yes")
    (fires,) = [rule for rule in change["rules"] if rule["verdict"] == "fires"]
    assert fires["data"]["text"] == "hello"
    crm, audit, agents = fires["endpoints"]
    (refusing,) = crm["filters"]
    assert (crm["sent"], refusing["passes"]) == (False, False)
    (shortfall,) = refusing["shortfalls"]
    assert shortfall == {
        "condition": {"isCreatedByUser": False},
        "found": "true or false",
        "alternatives": [],
    }
    assert (audit["sent"], audit["subscription"]) == (True, "*")
    assert audit["webhookId"].startswith("webhook_6b044d4700000014")
    assert audit["bytes"] > 100
    assert (agents["sent"], agents["subscription"]) == (False, None)


def test_the_whole_recording_is_explained_without_any_settings(tmp_path: Path) -> None:
    words = explain(str(SAMPLES), folder=tmp_path)
    data = explain(str(SAMPLES), "--json", folder=tmp_path)

    assert (words.exit_code, words.stderr, data.exit_code) == (0, "", 0)
    changes = json.loads(data.stdout)["changes"]
    assert len(changes) == sum(len(action["changes"]) for action in recorded_actions())
    fired = [rule for change in changes for rule in change.get("rules", ()) if rule["verdict"] == "fires"]
    assert len([rule for rule in fired if rule["event"]]) == words.stdout.count(", data:\n")
    assert {rule["verdict"] for change in changes for rule in change.get("rules", ())} == {
        *("fires", "other operation", "untouched", "unmet", "spoken")
    }


@pytest.mark.parametrize("arguments", [[], ["--json"]], ids=["words", "json"])
def test_no_secret_and_nothing_of_a_row_beyond_the_data_is_shown(
    tmp_path: Path, arguments: list[str]
) -> None:
    user = {
        "_id": "u1",
        "email": "a@b.c",
        "name": "A",
        "password": SECRET,
        "googleId": SECRET,
        "favourite": SECRET,
    }
    update = {
        "updatedFields": {"password": SECRET, "favourite": SECRET, "x.y": SECRET},
        "removedFields": ["z"],
    }
    events = [
        an_event(fullDocument={**A_MESSAGE, "unfinished": SECRET, "feedback": {"rating": SECRET}}),
        an_event("insert", "users", fullDocument=user),
        an_event("update", "users", fullDocumentBeforeChange=user, updateDescription=update),
        an_event("delete", "users", fullDocumentBeforeChange=user),
        an_event("insert", "tokens", fullDocument={"_id": "t", "token": SECRET}),
        an_event("insert", "sessions", fullDocument={"_id": "s", "user": "u1", "refreshTokenHash": SECRET}),
    ]

    done = explain("-", *arguments, folder=tmp_path, given=json.dumps(events), settings=ENDPOINTS)

    assert done.exit_code == 0
    assert done.stdout.count("user.registered") >= 1
    # The one field of data that holds it is there: an allow-listed name is told, whatever stands under it.
    assert done.stdout.count(SECRET) == 1
    assert f'"unfinished": "{SECRET}"' in done.stdout


def test_what_people_wrote_cannot_steer_the_terminal(tmp_path: Path) -> None:
    odd = "\x1b[2J\x9b2J\u202e\ud800"
    event = an_event(
        "update",
        documentKey={"_id": odd},
        fullDocumentBeforeChange={**A_MESSAGE, "_id": odd},
        updateDescription={"updatedFields": {odd: 1, "text": odd}},
    )

    for arguments in ([], ["--json"]):
        done = explain("-", *arguments, folder=tmp_path, given=json.dumps([event, an_event("drop", odd)]))

        assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout)["changes"][0]["change"]["written"]
    words = explain("-", folder=tmp_path, given=json.dumps([event, an_event("drop", odd)])).stdout
    assert all(line.isprintable() for line in words.split("\n"))


@pytest.mark.parametrize(
    ("file", "given", "words"),
    [
        ("missing.json", "", ["missing.json: cannot be read", "correct the path"]),
        ("-", "", ["standard input: there is no event in it", "EJSON.stringify"]),
        ("-", "{'a': 1}", ["standard input:1:2: is no JSON"]),
        ("-", '{"a": 1}', ["standard input:1: is no change event"]),
        (".", "", [".: cannot be read"]),
    ],
)
def test_what_cannot_be_understood_is_refused_with_the_cure(
    tmp_path: Path, file: str, given: str, words: list[str]
) -> None:
    done = explain(file, folder=tmp_path, given=given)

    assert done.exit_code == 2
    assert [word for word in words if word not in done.stderr] == []
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("arguments", [[], ["-", "--document", "messages", "m1"]], ids=["neither", "both"])
def test_one_of_both_forms_is_asked_for(tmp_path: Path, arguments: list[str]) -> None:
    done = explain(*arguments, folder=tmp_path)

    assert done.exit_code == 2
    assert "one of FILE and --document COLLECTION ID" in done.stderr


def test_a_collection_that_nobody_knows_is_refused_with_the_one_that_was_meant(tmp_path: Path) -> None:
    done = explain("--document", "mesages", "m1", folder=tmp_path)

    assert done.exit_code == 2
    assert "did you mean messages?" in done.stderr


def test_a_state_that_cannot_be_read_is_told_with_the_cure(tmp_path: Path) -> None:
    state = tmp_path / ".local" / "state" / "librechat-watcher" / "state.db"
    state.parent.mkdir(parents=True)
    state.write_bytes(b"no database at all" * 100)

    done = explain("--document", "messages", "m1", folder=tmp_path)

    assert done.exit_code == 1
    assert "not a database" in done.stderr


def test_each_body_is_shown_in_its_form_and_what_cannot_be_made_says_why(tmp_path: Path) -> None:
    endpoints = [
        {"name": "plain", "events": ["message.created"]},
        {"name": "private", "events": ["message.created"], "omit": ["text"], "hash": ["userId"]},
        {"name": "cloud", "events": ["message.created"], "format": "cloudevents"},
        {"name": "own", "events": ["message.created"], "transform": {"said": "{{ data.text }}\x1b!"}},
        {"name": "bad", "events": ["message.created"], "transform": "{{ data.titel }}"},
    ]
    settings = {"webhooks": {"endpoints": endpoints, "secret": SECRET, "hashKey": SECRET}}
    given = json.dumps(an_event(fullDocument=A_MESSAGE))

    words = explain("-", folder=tmp_path, given=given, settings=settings)
    data = explain("-", "--json", folder=tmp_path, given=given)

    assert (words.exit_code, words.stderr, data.exit_code) == (0, "", 0)
    reason = "transform: data.titel is undefined (event message.created)"
    assert f"→ bad: cannot be told: {reason}" in words.stdout
    assert '"said": "hello\\u001b!"' in words.stdout
    assert '"specversion": "1.0"' in words.stdout
    (fires,) = [rule for rule in json.loads(data.stdout)["changes"][0]["rules"] if rule["verdict"] == "fires"]
    plain, private, cloud, own, bad = fires["endpoints"]
    assert (plain["sent"], plain["body"], plain["refused"]) == (True, None, None)
    assert "text" not in private["body"]["data"]
    assert len(private["body"]["userId"]) == 64
    assert (cloud["body"]["type"], own["body"]) == ("message.created", {"said": "hello\x1b!"})
    assert (bad["sent"], bad["refused"]) == (False, reason)
    assert SECRET not in words.stdout + data.stdout


def test_an_endpoint_whose_address_cannot_be_filled_does_not_get_it(tmp_path: Path) -> None:
    template = "${BASE}/{{ data.titel }}"
    names: dict[str, dict[str, Any]] = {
        "url": {"url": template},
        "header": {"url": "https://a.example", "headers": {"X-A": "${KEY} {{ data.titel }}", "X-B": SECRET}},
        "good": {"url": "https://a.example/{{ data.messageId }}?key=${KEY}"},
    }
    endpoints = [{"name": name, "secret": SECRET, "events": ["*"], **keys} for name, keys in names.items()]
    given, settings = json.dumps(an_event(fullDocument=A_MESSAGE)), {"webhooks": {"endpoints": endpoints}}

    words = explain("-", folder=tmp_path, given=given, settings=settings)
    data = explain("-", "--json", folder=tmp_path, given=given, settings=settings)

    assert "→ url: cannot be sent it: url: data.titel is undefined" in words.stdout
    assert "→ header: cannot be sent it: headers.X-A: data.titel is undefined" in words.stdout
    assert "→ good: gets it" in words.stdout
    assert "dead at its first attempt" in words.stdout
    assert SECRET not in words.stdout + data.stdout
    (change,) = json.loads(data.stdout)["changes"]
    (fires,) = [rule for rule in change["rules"] if rule["verdict"] == "fires"]
    assert [(each["endpoint"], each["sent"]) for each in fires["endpoints"]] == [
        ("url", False),
        ("header", False),
        ("good", True),
    ]
