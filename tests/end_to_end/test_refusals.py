"""What an operator gets wrong, and what the program then says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from watcher.demo.mongod import PrivateMongo


def settings(uri: str):
    return {
        "webhooks": {"url": "http://127.0.0.1:9/", "secret": "s"},
        "watcher": {"mongoUri": uri},
    }


async def ended(watcher) -> int:
    return await asyncio.to_thread(watcher.launch().wait, 30)


async def test_a_standalone_server_is_told_apart_with_the_cure(watchers):
    async with PrivateMongo(replica_set=False) as mongo:
        watcher = watchers(settings(f"{mongo.uri}LibreChat"))

        code = await ended(watcher)

    assert code == 1
    assert "replica set" in watcher.log
    assert "--replSet" in watcher.log
    assert "prepare --init-replica-set" in watcher.log


async def test_missing_rights_and_a_wrong_password_each_have_their_message(watchers):
    async with PrivateMongo(auth=True) as mongo:
        await mongo.add_user("elsewhere", "pw-of-elsewhere", [{"role": "read", "db": "other"}])
        without = watchers(settings(mongo.uri_of("LibreChat", user="elsewhere", password="pw-of-elsewhere")))
        wrong = watchers(settings(mongo.uri_of("LibreChat", user="elsewhere", password="mistyped-password")))

        codes = await asyncio.gather(ended(without), ended(wrong))

    assert set(codes) == {1}
    assert '"read"' in without.log.replace("'", '"')
    assert "password" in wrong.log.lower()
    assert "pw-of-elsewhere" not in without.log
    assert "mistyped-password" not in wrong.log


async def test_least_rights_are_enough(watchers, receivers):
    inbox = await receivers()
    async with PrivateMongo(auth=True) as mongo:
        await mongo.add_user("watcher", "w", [{"role": "read", "db": "LibreChat"}])
        chosen = settings(mongo.uri_of("LibreChat", user="watcher", password="w"))
        chosen["webhooks"] = {"url": inbox.url, "secret": "end-to-end"}
        watcher = watchers(chosen)
        await watcher.start()

        async with AsyncMongoClient[dict[str, Any]](mongo.uri) as client:
            await client.LibreChat.messages.insert_one(
                {"messageId": "m1", "conversationId": "c1", "user": "u1"}
            )
            await inbox.until_accepted(1)


async def test_bad_settings_start_nothing_and_exit_2(watchers):
    watcher = watchers(
        {"webhooks": {"url": "ftp://x", "secret": "", "retrys": 3}, "watcher": {"mongoUri": "x"}}
    )

    code = await ended(watcher)

    assert code == 2
    for word in ("webhooks.url", "webhooks.secret", "retrys", "retries", "watcher.mongoUri"):
        assert word in watcher.log


async def test_a_second_run_on_the_same_state_refuses(uri, librechat, watchers):
    first = watchers(settings(uri))
    await first.start()
    chosen = settings(uri)
    chosen["watcher"]["state"] = f"sqlite:///{str(first.folder / 'state.db').lstrip('/')}"
    second = watchers(chosen)

    code = await ended(second)

    assert code == 1
    assert "state.db" in second.log


@pytest.mark.parametrize("uri_given", ["mongodb://127.0.0.1:1/LibreChat"])
async def test_a_mongodb_that_is_not_there_yet_is_waited_for(uri_given, watchers):
    watcher = watchers(settings(uri_given))
    process = watcher.launch()

    for _ in range(200):
        if "stream.lost" in watcher.log:
            break
        await asyncio.sleep(0.1)

    assert process.poll() is None
    assert "127.0.0.1:1" in watcher.log
