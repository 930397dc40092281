"""`deliveries`, as a process on a state file: looked at, sent again, taken back."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.builders import NOON, a_checkpoint, a_delivery, a_settlement
from watcher.adapters.sqlite.outbox import SqliteOutbox
from watcher.core.deliveries import Delivery
from watcher.core.events import Entity, EventId, EventType
from watcher.core.outcomes import Answered
from watcher.core.verdicts import Dead
from watcher.ports import Counts

WORDS = "What I would never want anybody to read"
BODY = json.dumps(
    {
        "event": "message.created",
        "data": {"messageId": "m1", "text": WORDS},
        "webhookId": f"webhook_{int(NOON.timestamp()) + 2:08x}{0:08x}{2:024x}",
    },
    separators=(",", ":"),
).encode()
"""Of the second."""


def command(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "watcher", "deliveries", *words, "--config", str(folder / "webhooks.yaml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def numbered(number: int, **fields: Any) -> Delivery:
    identity = EventId(f"webhook_{int(NOON.timestamp()) + number:08x}{0:08x}{number:024x}")
    return a_delivery(id=identity, entity=Entity(f"conversation:c{number}"), **fields)


@pytest.fixture
async def state(tmp_path: Path) -> list[Delivery]:
    """Five deliveries: the first delivered, the second and third dead, the others waiting."""
    path = tmp_path / "state.db"
    (tmp_path / "webhooks.yaml").write_text(
        f"webhooks: {{url: http://127.0.0.1:9/, secret: s}}\nwatcher: {{state: 'sqlite:///{path}'}}\n"
    )
    rows = [
        numbered(1, user="ann"),
        numbered(2, user="ann", conversation="c2", body=BODY),
        numbered(3, user="bob", event=EventType("user.login")),
        numbered(4),
        numbered(5, endpoint="audit"),
    ]
    async with SqliteOutbox.open(path) as outbox:
        await outbox.append(rows, checkpoint=a_checkpoint(), through=NOON)
        stored = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
        answer = Answered(status=500, headers=(("X-Id", "7"),), answer=f'{{"error":"cannot take {WORDS}"}}')
        settlements = [a_settlement(stored[0])]
        settlements += [a_settlement(row, Dead(reason="status 500"), answer) for row in stored[1:3]]
        await outbox.settle(settlements)
    return rows


async def counts(folder: Path) -> Counts:
    async with SqliteOutbox.open(folder / "state.db") as outbox:
        return (await outbox.counts())["crm"]


def listed(*words: str, folder: Path) -> list[str]:
    done = command("list", "--json", *words, folder=folder)
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["webhookId"] for line in done.stdout.splitlines()]


def test_a_list_is_the_newest_first_and_filtered(tmp_path, state):
    ids = [row.id for row in state]

    assert listed(folder=tmp_path) == ids[::-1]
    assert listed("--limit", "2", folder=tmp_path) == [ids[4], ids[3]]
    assert listed("--state", "dead", folder=tmp_path) == [ids[2], ids[1]]
    assert listed("--user", "ann", "--state", "dead", folder=tmp_path) == [ids[1]]
    assert listed("--conversation", "c2", folder=tmp_path) == [ids[1]]
    assert listed("--event", "user.login", folder=tmp_path) == [ids[2]]
    assert listed("--endpoint", "audit", folder=tmp_path) == [ids[4]]
    since = (NOON + timedelta(seconds=4)).isoformat()
    assert listed("--since", since, folder=tmp_path) == [ids[4], ids[3]]
    assert listed("--until", since, "--state", "delivered", folder=tmp_path) == [ids[0]]
    in_words = command("list", "--state", "dead", folder=tmp_path)
    assert "status 500" in in_words.stdout
    assert "2 of 2" in in_words.stderr


def test_one_is_shown_with_its_attempts_and_without_what_people_wrote(tmp_path, state):
    shown = command("show", state[1].id, folder=tmp_path)
    whole = command("show", state[1].id, "--body", "--json", folder=tmp_path)

    assert shown.returncode == 0, shown.stderr
    assert WORDS not in shown.stdout
    for told in ("dead", "status 500", "X-Id: 7", "conversation:c2", "ann", '"messageId":"m1"'):
        assert told in shown.stdout
    record = json.loads(whole.stdout)
    assert record["body"] == BODY.decode()
    assert [(each["status"], WORDS in each["answer"]) for each in record["attempts"]] == [(500, True)]
    assert command("show", "webhook_nobody", folder=tmp_path).returncode == 1


async def test_dead_ones_are_sent_again_when_it_was_confirmed(tmp_path, state):
    asked = command("replay", "--endpoint", "crm", folder=tmp_path)
    assert "Replay 2 deliveries?" in asked.stderr
    assert asked.returncode == 1, "nobody said yes"
    assert await counts(tmp_path) == Counts(delivered=1, dead=2, pending=1)

    done = command("replay", "--endpoint", "crm", "--yes", folder=tmp_path)

    assert (done.returncode, done.stdout) == (0, "2 deliveries wait to be sent again.\n")
    assert await counts(tmp_path) == Counts(delivered=1, pending=3)


async def test_what_has_arrived_is_sent_again_when_it_is_named(tmp_path, state):
    done = command("replay", state[0].id, "--yes", folder=tmp_path)

    assert done.returncode == 0, done.stderr
    assert await counts(tmp_path) == Counts(dead=2, pending=2)


async def test_what_waits_is_cancelled(tmp_path, state):
    done = command("cancel", "--endpoint", "crm", "--yes", folder=tmp_path)

    assert (done.returncode, done.stdout) == (0, "1 deliveries are cancelled.\n")
    assert await counts(tmp_path) == Counts(delivered=1, dead=2, cancelled=1)
    again = command("cancel", "--endpoint", "crm", "--yes", folder=tmp_path)
    assert again.stdout == "Nothing to cancel.\n"


async def test_it_works_beside_a_run_that_holds_the_state(tmp_path, state):
    async with SqliteOutbox.open(tmp_path / "state.db") as outbox:
        done = command("replay", "--state", "dead", "--yes", folder=tmp_path)

        assert done.returncode == 0, done.stderr
        rows = await outbox.pending("crm", after=0, limit=9, max_bytes=10**9)
        assert [row.delivery.id for row in rows] == [state[number].id for number in (3, 1, 2)]


def test_to_change_everything_takes_a_choice(tmp_path, state):
    for act in ("replay", "cancel"):
        done = command(act, "--yes", folder=tmp_path)

        assert done.returncode == 2
        assert "choose" in done.stderr
