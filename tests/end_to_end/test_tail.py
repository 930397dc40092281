"""`tail` as an operator runs it: a process beside a real MongoDB, and beside a `run` or without one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pymongo import AsyncMongoClient

from tests.end_to_end.harness import SECRET
from watcher.demo.mongod import PrivateMongo

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 20.0


class Tail:
    """`librechat-watcher tail`, its two streams in files."""

    def __init__(
        self, folder: Path, uri: str, *arguments: str, settings: dict[str, Any] | None = None
    ) -> None:
        self.folder = folder
        if settings is not None:
            folder.joinpath("webhooks.yaml").write_text(yaml.safe_dump(settings))
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        environment = {**kept, "HOME": str(folder), "PYTHONPATH": str(ROOT), "MONGO_URI": uri}
        with folder.joinpath("out").open("wb") as out, folder.joinpath("err").open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "watcher", "tail", *arguments],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def lines(self) -> list[bytes]:
        return self.folder.joinpath("out").read_bytes().splitlines()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    @property
    def events(self) -> list[str]:
        return [body["event"] for body in self.bodies]

    @property
    def said(self) -> str:
        return self.folder.joinpath("err").read_text()

    async def until(self, done: Callable[[Tail], bool]) -> None:
        for _ in range(int(PATIENCE_SECONDS / 0.05)):
            if done(self):
                return
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.said}"
            await asyncio.sleep(0.05)
        raise AssertionError(f"waited {PATIENCE_SECONDS} s; out: {self.lines[-9:]}; said: {self.said}")

    async def reading(self) -> Tail:
        await self.until(lambda tail: "Reading" in tail.said)
        return self

    async def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, 30)


@pytest.fixture
def tails(tmp_path: Path) -> Iterator[Callable[..., Tail]]:
    made: list[Tail] = []

    def make(*arguments: Any, **settings: Any) -> Tail:
        folder = tmp_path / f"tail{len(made)}"
        folder.mkdir()
        made.append(Tail(folder, *arguments, **settings))
        return made[-1]

    yield make
    for tail in made:
        if tail.process.poll() is None:
            tail.process.kill()
            tail.process.wait()


async def test_each_event_is_a_body_on_a_line_and_nothing_is_left_behind(librechat, uri, tails):
    tail = await tails(uri).reading()

    await librechat.messages.insert_one(a_message(1, text="é🧵\u2028"))
    await librechat.users.insert_one(a_user(password="never-leaves"))
    await librechat.users.update_one({"email": "a@b.c"}, {"$set": {"emailVerified": True}})
    await librechat.messages.delete_one({"messageId": "m1"})
    await tail.until(lambda tail: len(tail.lines) >= 4)
    code = await tail.stop()

    assert sorted(tail.events) == ["message.created", "message.deleted", "user.registered", "user.verified"]
    assert list(tail.bodies[0]) == ["event", "timestamp", "data", "userId", "webhookId"]
    assert tail.bodies[0]["data"]["text"] == "é🧵\u2028"
    deleted = next(body for body in tail.bodies if body["event"] == "message.deleted")
    assert deleted["data"] == {"messageId": "m1", "conversationId": "c1", "userId": "u1", "reason": "user"}
    assert b"never-leaves" not in b"".join(tail.lines)
    assert code == 0
    assert "No endpoint is configured" in tail.said
    assert tail.said.splitlines()[-1] == "4 events shown"
    assert sorted(file.name for file in tail.folder.iterdir()) == ["err", "out"], "no state"


async def test_the_lines_are_what_run_would_send_byte_for_byte(librechat, uri, receivers, watchers, tails):
    inbox = await receivers()
    endpoint = {"url": inbox.url, "secret": SECRET}
    watcher = watchers({"webhooks": endpoint, "watcher": {"mongoUri": uri}})
    await watcher.start()
    settings = {"webhooks": {"url": "${NOT_SET}", "secret": "${NOT_SET}", "headers": {"X-Key": "${NOT_SET}"}}}
    tail = await tails(uri, settings=settings).reading()

    await librechat.messages.insert_many([a_message(number) for number in range(20)])
    await inbox.until_accepted(20)
    await tail.until(lambda tail: len(tail.lines) >= 20)

    assert tail.lines == [receipt.body for receipt in inbox.receipts]
    assert await tail.stop(signal.SIGTERM) == 0


async def test_holds_marks_and_filters_judge_as_in_run(librechat, uri, tails):
    filters = [{"event": "message.created", "condition": {"isCreatedByUser": False}}]
    settings = {
        "webhooks": {
            "endpoints": [
                {"name": "crm", "events": ["message.created", "user.*"], "filters": filters},
                {"name": "audit", "events": ["message.*", "user.*"]},
                {"name": "agents", "events": ["agent.*"]},
            ]
        }
    }
    tail = await tails(uri, settings=settings).reading()

    # An answer in two halves is one event, when it is finished; what nobody finishes is held.
    await librechat.messages.insert_many(
        [
            a_message(1, isCreatedByUser=False, unfinished=True, createdAt=datetime.now(UTC)),
            a_message(2, isCreatedByUser=False, unfinished=True, createdAt=datetime.now(UTC)),
        ]
    )
    finish = {"unfinished": False, "text": "whole"}
    await librechat.messages.update_one({"messageId": "m1"}, {"$set": finish})
    # A session in another's place is no login and no logout.
    await librechat.sessions.insert_one(a_session("s0"))
    await tail.until(lambda tail: "user.login" in tail.events)
    await librechat.sessions.update_one({"_id": "s1", "user": "u1"}, {"$set": ends()}, upsert=True)
    await librechat.sessions.delete_one({"_id": "s0"})
    # What tells that the moment of the rotation is over: a login after it.
    await librechat.sessions.insert_one(a_session("s2", user="u2"))
    await librechat.conversations.insert_one({"conversationId": "c9", "user": "u1"})  # nobody's
    await tail.until(lambda tail: len(tail.lines) >= 3)
    await tail.stop()

    assert tail.events == ["message.created", "user.login", "user.login"]
    created, *logins = tail.bodies
    assert (created["data"]["messageId"], created["data"]["text"]) == ("m1", "whole")
    assert [login["data"]["sessionId"] for login in logins] == ["s0", "s2"]
    assert tail.said.splitlines()[-1] == "3 events shown"


async def test_since_begins_in_the_past(librechat, uri, tails):
    await librechat.messages.insert_one(a_message(1))
    await asyncio.sleep(1.1)  # `--since` counts whole seconds
    since = datetime.now(UTC)
    await librechat.messages.insert_one(a_message(2))

    tail = tails(uri, "--since", since.isoformat())
    await tail.until(lambda tail: len(tail.lines) >= 1)
    await tail.stop()

    assert [body["data"]["messageId"] for body in tail.bodies] == ["m2"]


@pytest.mark.parametrize(
    ("since", "code", "words"),
    [
        (
            (datetime.now(UTC) + timedelta(days=1)).isoformat(),
            1,
            ["--since", "is yet to come", "inside the oplog"],
        ),
        ("yesterday", 2, ["--since", "neither `now` nor an ISO 8601 time", "2026-11-24T08:00:00Z"]),
    ],
    ids=["the future", "no time"],
)
async def test_a_time_that_cannot_be_begun_with_is_refused_with_the_cure(
    librechat, uri, tails, since, code, words
):
    tail = tails(uri, "--since", since)

    assert await asyncio.to_thread(tail.process.wait, 30) == code
    assert [word for word in words if word not in tail.said] == []
    assert tail.lines == []


async def test_a_time_before_the_oplog_is_refused_with_the_cure(tails):
    async with PrivateMongo() as mongo:
        since = datetime.now(UTC)
        async with AsyncMongoClient[dict[str, Any]](mongo.uri) as client:
            await client.LibreChat.messages.insert_many([a_message(1), a_message(2)])
        await mongo.cut_oplog()

        tail = tails(f"{mongo.uri}LibreChat", "--since", since.isoformat())

        assert await asyncio.to_thread(tail.process.wait, 30) == 1
        assert "--since" in tail.said
        assert "is before the oplog" in tail.said
        assert "Choose a time inside the oplog" in tail.said


async def test_an_outage_is_waited_out_and_reading_goes_on_where_it_stopped(tails):
    async with PrivateMongo() as mongo:
        tail = await tails(f"{mongo.uri}LibreChat").reading()
        async with AsyncMongoClient[dict[str, Any]](mongo.uri) as client:
            await client.LibreChat.messages.insert_one(a_message(1))
            await tail.until(lambda tail: len(tail.lines) >= 1)

            mongo.kill9()
            await tail.until(lambda tail: "Trying again" in tail.said)
            await mongo.start()
            await client.LibreChat.messages.insert_one(a_message(2))
        await tail.until(lambda tail: len(tail.lines) >= 2)

        assert [body["data"]["messageId"] for body in tail.bodies] == ["m1", "m2"]
        assert await tail.stop() == 0


async def test_without_pre_images_that_is_said_once_and_what_could_not_be_told_is_counted(
    librechat_without_images, uri, tails
):
    database = librechat_without_images
    await database.messages.insert_many([a_message(1), a_message(2)])
    tail = await tails(uri).reading()

    await database.messages.delete_many({})
    await database.messages.insert_one(a_message(3))
    await database.messages.delete_one({"messageId": "m3"})
    await tail.until(lambda tail: len(tail.lines) >= 2)
    await tail.stop()

    assert tail.events == ["message.created", "message.deleted"]
    assert tail.bodies[1]["data"]["messageId"] == "m3"
    assert tail.said.count("No pre-images are kept of") == 1
    assert "2 could not be told: message.deleted: no pre-image" in tail.said


async def test_who_has_seen_enough_ends_it_without_an_error(librechat, uri, tmp_path):
    command = f"{sys.executable} -m watcher tail 2>{tmp_path}/err | head -n 1; echo ${{PIPESTATUS[0]}}"
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        command,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "MONGO_URI": uri},
        stdout=subprocess.PIPE,
    )
    ended = asyncio.create_task(process.communicate())
    number = 0
    while not ended.done():
        number += 1
        await librechat.messages.insert_one(a_message(number))
        await asyncio.sleep(0.05)

    line, code = (await ended)[0].splitlines()
    assert json.loads(line)["event"] == "message.created"
    assert code == b"0"
    assert "Traceback" not in (tmp_path / "err").read_text()


# ---------------------------------------------------------------------- helpers


def a_message(number: int, **fields: Any) -> dict[str, Any]:
    row = {"messageId": f"m{number}", "conversationId": "c1", "user": "u1", "text": "hi", "unfinished": False}
    return {**row, "isCreatedByUser": True, **fields}


def a_user(**fields: Any) -> dict[str, Any]:
    return {"email": "a@b.c", "name": "A", "provider": "local", "emailVerified": False, **fields}


def a_session(identity: str, user: str = "u1") -> dict[str, Any]:
    return {"_id": identity, **ends(), "user": user, "refreshTokenHash": "h"}


def ends() -> dict[str, Any]:
    return {"expiration": datetime.now(UTC) + timedelta(days=7)}
