"""Settings that change under a running `run`: no restart, no event lost, no request that does not verify."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.end_to_end.harness import SECRET, Inbox, Watcher
from tests.end_to_end.test_main_line import a_message, settings
from watcher.core.endpoints import Secret
from watcher.receiver import Receiver

ROTATED = "rotated"


@asynccontextmanager
async def knowing(*secrets: str) -> AsyncIterator[Inbox]:
    """A receiver that verifies with these secrets."""
    inbox = Inbox()
    async with Receiver([Secret(key=each.encode()) for each in secrets], on_receipt=inbox.take) as receiver:
        inbox.url = receiver.url
        yield inbox


@asynccontextmanager
async def people_writing(database: Any) -> AsyncIterator[list[str]]:
    """They write all the time; the ids of what they wrote."""
    written: list[str] = []
    enough = asyncio.Event()

    async def write() -> None:
        while not enough.is_set():
            number = len(written)
            await database.messages.insert_one(a_message(number, f"c{number % 7}"))
            written.append(f"m{number}")
            await asyncio.sleep(0.005)

    writing = asyncio.create_task(write())
    try:
        yield written
    finally:
        enough.set()  # cut off, it would not tell of a last one that is written all the same
        await writing


def replaced(watcher: Watcher, **webhooks: Any) -> None:
    """The settings' file, changed at one stroke."""
    text = json.loads(json.dumps(watcher.settings))
    text["webhooks"] |= webhooks
    other = watcher.config.with_name("new")
    watcher.settings = text
    other.write_text(json.dumps(text))
    other.rename(watcher.config)


async def reloads(watcher: Watcher, times: int) -> None:
    async with asyncio.timeout(20):
        while watcher.log.count('"settings.reloaded"') < times:  # noqa: ASYNC110 (another process writes it)
            await asyncio.sleep(0.02)


def messages(inbox: Inbox) -> list[str]:
    return [json.loads(receipt.body)["data"]["messageId"] for receipt in inbox.accepted]


async def test_secrets_rotate_under_load_and_every_request_can_be_verified(librechat, uri, watchers):
    async with knowing(ROTATED, SECRET) as inbox:
        watcher = watchers(settings(uri, inbox.url, signing="both"))
        await watcher.start()
        async with people_writing(librechat) as written:
            await inbox.until_accepted(50)
            replaced(watcher, secret=[ROTATED, SECRET])
            await reloads(watcher, 1)
            replaced(watcher, secret=ROTATED)
            await reloads(watcher, 2)
            await inbox.until_accepted(len(inbox.accepted) + 50)
        await inbox.until_accepted(len(written))

    assert len({receipt.id for receipt in inbox.receipts}) == len(inbox.receipts) == len(written)
    assert all(receipt.signature_ok for receipt in inbox.receipts)
    by_old = [receipt.why is not None for receipt in inbox.receipts]
    assert by_old[0]
    assert not by_old[-1]
    for conversation in range(7):
        mine = [each for each in messages(inbox) if int(each[1:]) % 7 == conversation]
        assert mine == sorted(mine, key=lambda each: int(each[1:]))


async def test_a_mounted_secret_is_followed_through_its_symbolic_links(
    librechat, uri, watchers, tmp_path: Path, monkeypatch
):
    for name, secret in (("1", SECRET), ("2", ROTATED)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "secret").write_text(secret + "\n")
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "secret").symlink_to("..data/secret")
    monkeypatch.setenv("WEBHOOK_SECRET_FILE", str(tmp_path / "secret"))
    async with knowing(ROTATED, SECRET) as inbox:
        own = settings(uri, inbox.url)
        del own["webhooks"]["secret"]
        watcher = watchers(own)
        await watcher.start()
        await librechat.messages.insert_one(a_message(1, "c1"))
        await inbox.until_accepted(1)

        (tmp_path / "..new").symlink_to("2")
        (tmp_path / "..new").rename(tmp_path / "..data")
        await reloads(watcher, 1)
        await librechat.messages.insert_one(a_message(2, "c1"))
        await inbox.until_accepted(2)

    assert [receipt.why for receipt in inbox.receipts] == ["signed with an older secret", None]


async def test_wrong_settings_leave_the_old_ones_in_force_and_say_so(librechat, uri, receivers, watchers):
    inbox = await receivers()
    watcher = watchers(settings(uri, inbox.url))
    await watcher.start()

    right = watcher.config.read_text()
    watcher.config.write_text(right + "  retrys: 3\n")
    assert watcher.process
    watcher.process.send_signal(signal.SIGHUP)
    await watcher.until_logged('"settings.refused"')
    await librechat.messages.insert_one(a_message(1, "c1"))
    await inbox.until_accepted(1)
    ready = (await watcher.get("/readyz")).text
    refused = await watcher.metric("watcher_settings_refused")
    watcher.config.write_text(right)
    await reloads(watcher, 1)

    assert "older ones are in force" in ready
    assert "retrys" in watcher.log
    assert (refused, await watcher.metric("watcher_settings_refused")) == (1, 0)


async def test_endpoints_come_change_and_go_without_a_restart(librechat, uri, receivers, watchers):
    first, second = await receivers(), await receivers()
    watcher = watchers(settings(uri, first.url))
    await watcher.start()
    await librechat.messages.insert_one(a_message(1, "c1"))
    await first.until_accepted(1)

    replaced(watcher, endpoints=[{"name": "second", "url": second.url, "events": ["message.created"]}])
    await reloads(watcher, 1)
    await librechat.messages.insert_one(a_message(2, "c1"))
    await second.until_accepted(1)

    filters = [{"event": "message.created", "condition": {"conversationId": "c2"}}]
    replaced(
        watcher,
        events=["user.login"],
        endpoints=[{**watcher.settings["webhooks"]["endpoints"][0], "filters": filters}],
    )
    await reloads(watcher, 2)
    await librechat.messages.insert_many([a_message(3, "c1"), a_message(4, "c2")])
    await second.until_accepted(2)

    replaced(watcher, events=["message.created"], endpoints=[])
    await reloads(watcher, 3)
    await librechat.messages.insert_one(a_message(5, "c2"))
    await first.until_accepted(3)

    assert (messages(first), messages(second)) == (["m1", "m2", "m5"], ["m2", "m4"])
    assert watcher.process is not None
    assert watcher.process.poll() is None


async def test_what_needs_a_restart_is_named(librechat, uri, receivers, watchers, tmp_path: Path):
    inbox = await receivers()
    watcher = watchers(settings(uri, inbox.url))
    await watcher.start()

    watcher.settings["watcher"]["maxStore"] = "1GB"
    replaced(watcher)
    await reloads(watcher, 1)

    (line,) = [json.loads(each) for each in watcher.log.splitlines() if '"settings.reloaded"' in each]
    assert line["needs_restart"] == ["watcher.maxStore"]


async def test_the_log_s_level_is_taken_up(librechat, uri, receivers, watchers):
    inbox = await receivers()
    watcher = watchers(settings(uri, inbox.url))
    watcher.settings["watcher"]["logLevel"] = "warning"
    watcher.configure(watcher.settings)
    await watcher.start()
    await librechat.messages.insert_one(a_message(1, "c1"))
    await inbox.until_accepted(1)
    silent = watcher.log

    watcher.settings["watcher"]["logLevel"] = "info"
    replaced(watcher)
    await watcher.until_logged('"log.level"')
    await librechat.messages.insert_one(a_message(2, "c1"))
    await watcher.until_logged('"delivery.attempted"')

    assert silent == ""
    assert '"needs_restart": []' in watcher.log
