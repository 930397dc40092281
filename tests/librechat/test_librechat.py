"""LibreChat's own models do everything its users do; each action must give exactly its events.

actions.yaml is the table of it, actions.js does it. Four runs: with pre-images, without, with the watcher
down meanwhile, and with LibreChat's search plugin on. Each is the real program and a real receiver.
`make test-librechat` installs LibreChat's packages first."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient

from tests.end_to_end.harness import SECRET, Inbox, Watcher
from tests.librechat.table import ABSENT, FOLDER, Action, Expected, actions
from watcher.adapters.mongo.prepare import PRE_IMAGES
from watcher.core.endpoints import Secret
from watcher.demo.mongod import PrivateMongo
from watcher.receiver import Receipt, Receiver

pytestmark = pytest.mark.librechat

COLLECTIONS = ("conversations", "messages", "users", "sessions", "agents", "files")
OURS = ("user.deleted", "user.verified", "user.session.expired")
HOLD = 1.0
"""Seconds for which an unfinished answer is waited for: short, because one action outwaits it."""
ACTIONS = actions()
MARK = "never-leaves"
"""What every planted secret begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Under which conditions the actions are done."""

    pre_images: bool = True
    search: bool = False
    down: bool = False

    @property
    def knows_all(self) -> bool:
        """Of a row that changed and went before anybody looked, without pre-images the new values are known,
        and what the memory keeps; not all the rest."""
        return self.pre_images or not self.down


WAYS = {
    "with pre-images": Way(),
    "without pre-images": Way(pre_images=False),
    "while the watcher is down": Way(down=True),
    "with the search plugin": Way(search=True),
    "blind and down": Way(pre_images=False, down=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What came of one run."""

    way: Way
    windows: Mapping[str, tuple[str, str]]
    """Per action the cluster times before its first and after its last write."""
    names: Mapping[str, str]
    secrets: Sequence[str]
    receipts: Sequence[Receipt]
    traces: Mapping[str, bytes] = field(repr=False)
    """Log, metrics and state: everywhere a secret might have got to."""
    written: bytes = field(repr=False)
    """The oplog: all that LibreChat's models wrote."""

    def sent_by(self, action: Action) -> list[dict[str, Any]]:
        """The bodies of the action's events, in order of arrival: a webhookId begins with cluster time."""
        after, until = self.windows[action.name]
        bodies = [json.loads(receipt.body) for receipt in self.receipts]
        return [body for body in bodies if after < body["webhookId"].removeprefix("webhook_")[:16] <= until]


@pytest.fixture(scope="module")
def mongo() -> Iterator[PrivateMongo]:
    """Not the one of all tests: its TTL monitor comes by each second."""
    if not shutil.which("node"):
        pytest.skip("no node on PATH: LibreChat's models need it")
    if not (FOLDER / "node_modules").exists():
        pytest.skip("LibreChat's packages are not installed: `make test-librechat` does it (npm)")
    mongo = PrivateMongo(parameters={"ttlMonitorSleepSecs": "1"})
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        try:
            runner.run(mongo.start())
            yield mongo
        finally:
            mongo.close()


@pytest.fixture(scope="module", params=WAYS)
def run(mongo: PrivateMongo, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    name = re.sub(r"\W", "_", request.param)
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(act(WAYS[request.param], mongo.uri_of(name), tmp_path_factory.mktemp(name)))


async def act(way: Way, uri: str, folder: Path) -> Run:
    """One run: the watcher, the receiver, LibreChat's models; ends when the last event has come."""
    await create_collections(way, uri)
    inbox = Inbox()
    async with Receiver([Secret(key=SECRET.encode())], on_receipt=inbox.take) as receiver:
        webhooks = {"url": receiver.url, "secret": SECRET, "events": ["*", *OURS]}
        watcher = Watcher(
            folder, {"webhooks": webhooks, "watcher": {"mongoUri": uri, "unfinishedHold": HOLD}}
        )
        try:
            await watcher.start()
            if way.down:
                assert await watcher.stop() == 0

            done = await drive(way, uri, folder)

            if way.down:
                await watcher.start()
            await until_all_sent(watcher, inbox, done["names"]["last"])
            metrics = await read_metrics(watcher)
            assert await watcher.stop() == 0
        finally:
            if watcher.process and watcher.process.poll() is None:
                watcher.kill9()
    return Run(
        way=way,
        windows={each["name"]: (each["from"], each["to"]) for each in done["actions"]},
        names=done["names"],
        secrets=done["secrets"],
        receipts=inbox.accepted,
        traces={"metrics": metrics.encode(), **files_of(folder, "log", "state.db*")},
        written=await oplog(uri),
    )


async def create_collections(way: Way, uri: str) -> None:
    images: dict[str, Any] = PRE_IMAGES if way.pre_images else {}
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        for name in COLLECTIONS:
            await client.get_default_database().command("create", name, **images)


async def drive(way: Way, uri: str, folder: Path) -> dict[str, Any]:
    """Let LibreChat's models do all actions."""
    report = folder / "actions.json"
    driver = await asyncio.create_subprocess_exec(
        *("node", str(FOLDER / "driver.js"), "--uri", uri, "--hold", str(int(HOLD * 1000))),
        *("--report", str(report)),
        *(("--search",) if way.search else ()),
        cwd=folder,  # LibreChat keeps logs where it is started
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(60):
            output, _ = await driver.communicate()
    finally:
        if driver.returncode is None:
            driver.kill()
    assert driver.returncode == 0, output.decode()
    done: dict[str, Any] = json.loads(report.read_text())
    return done


async def until_all_sent(watcher: Watcher, inbox: Inbox, last: str) -> None:
    """The last action ends all holds; when its event has come, and nothing waits, that was all."""
    await inbox.until(lambda receipts: any(last.encode() in receipt.body for receipt in receipts), seconds=40)
    for _ in range(400):
        waiting = re.findall(
            r'^watcher_outbox_deliveries\{.*state="(?:held|pending)".*\} (.+)$',
            await read_metrics(watcher),
            re.MULTILINE,
        )
        if not any(float(number) for number in waiting):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"something is never sent: {watcher.log[-2000:]}")


async def oplog(uri: str) -> bytes:
    """Everything that was written to MongoDB."""
    async with AsyncMongoClient[RawBSONDocument](uri, document_class=RawBSONDocument) as client:
        return b"".join([entry.raw async for entry in client["local"]["oplog.rs"].find()])


def files_of(folder: Path, *patterns: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for pattern in patterns for path in folder.glob(pattern)}


async def read_metrics(watcher: Watcher) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://127.0.0.1:{watcher.port}/metrics")).text


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_an_action_sends_exactly_its_events(run: Run, action: Action):
    expected = [each.resolved(run.names) for each in action.sends]

    sent = run.sent_by(action)

    pairs = pair(expected, sent)
    wrong = [f"not sent: {each}" for number, each in enumerate(action.sends) if number not in pairs]
    wrong += [f"sent: {told(body)}" for index, body in enumerate(sent) if index not in pairs.values()]
    assert not wrong, "\n".join(wrong)
    for number, index in pairs.items():
        fields, got = expected[number].fields, shown(expected[number], sent[index])
        if not run.way.knows_all:
            fields = {key: value for key, value in fields.items() if got[key] != ABSENT or value == ABSENT}
            got = {key: got[key] for key in fields}
        assert got == fields
    if not action.any_order:
        for line in lines_of(sent):
            arrived = [number for index in line for number, paired in pairs.items() if paired == index]
            assert arrived == sorted(arrived), [told(sent[index]) for index in line]


def test_the_table_and_the_driver_know_the_same_actions(run: Run):
    assert list(run.windows) == [action.name for action in ACTIONS]


def test_nothing_is_sent_that_no_action_accounts_for(run: Run):
    accounted = sum(len(run.sent_by(action)) for action in ACTIONS)

    assert len(run.receipts) == accounted


def test_every_body_says_whose_it_is_and_verifies(run: Run):
    for receipt in run.receipts:
        body = json.loads(receipt.body)
        assert receipt.signature_ok
        assert list(body) == ["event", "timestamp", "data", "userId", "webhookId"]
        assert body["userId"] == body["data"].get("userId")


def test_no_secret_leaves_mongodb(run: Run):
    bodies = {f"{receipt.event} {receipt.id}": receipt.body for receipt in run.receipts}
    places = {**run.traces, **bodies}

    found = [
        (secret, place)
        for secret in {MARK, *run.secrets}
        for place, content in places.items()
        if secret.encode() in content
    ]

    assert found == []
    assert sum(not secret.startswith(MARK) for secret in run.secrets) > 5, (
        "hashes and tokens are looked for too"
    )


def pair(expected: Sequence[Expected], sent: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Which event of the table is which that was sent, by name and ids."""
    pairs: dict[int, int] = {}
    for number, each in enumerate(expected):
        for index, body in enumerate(sent):
            known = {key: body["data"].get(key) for key in each.ids}
            if index not in pairs.values() and body["event"] == each.event and known == each.ids:
                pairs[number] = index
                break
    return pairs


def shown(expected: Expected, body: Mapping[str, Any]) -> dict[str, Any]:
    """The event's data, as far as the table speaks of them."""
    return {key: body["data"].get(key, ABSENT) for key in expected.fields}


def lines_of(sent: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """The events of one action by the thing they are about: each must arrive in order."""
    lines: dict[tuple[str, str], list[int]] = {}
    for index, body in enumerate(sent):
        kind = {"message": "conversation"}.get(kind := body["event"].split(".")[0], kind)
        lines.setdefault((kind, body["data"].get(f"{kind}Id", "")), []).append(index)
    return list(lines.values())


def told(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"event": body["event"], **body["data"]}
