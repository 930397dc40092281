"""The private MongoDB comes when called, keeps its data over a power cut, and never outlives its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from pymongo import AsyncMongoClient

from watcher.demo.binary import find_mongod
from watcher.demo.mongod import PrivateMongo
from watcher.errors import DemoError

OWNER = """
import asyncio, sys
from watcher.demo.mongod import PrivateMongo

async def main():
    async with PrivateMongo() as mongo:
        print(mongo._processes[0].pid, mongo._folder, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_power_cut_keeps_what_was_written() -> None:
    async with PrivateMongo() as mongo:
        async with AsyncMongoClient[dict[str, Any]](mongo.uri) as client:
            await client.db.rows.insert_one({"_id": 1})

        mongo.kill9()
        await mongo.start()

        async with AsyncMongoClient[dict[str, Any]](mongo.uri) as client:
            assert await client.db.rows.find_one() == {"_id": 1}


async def test_a_closed_mongo_leaves_no_process_and_no_file() -> None:
    async with PrivateMongo(replica_set=False) as mongo:
        process, folder = mongo._processes[0], mongo._folder
        assert folder.exists()

    assert process.poll() is not None
    assert not folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a child's life to its parent's")
def test_a_mongo_dies_with_an_owner_that_is_killed() -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid, folder = owner.stdout.readline().split()
    mongod = psutil.Process(int(pid))

    owner.send_signal(signal.SIGKILL)
    owner.wait()

    gone, _ = psutil.wait_procs([mongod], timeout=10)
    subprocess.run(["rm", "-r", folder], check=True)  # what only a kill -9 can leave behind
    assert gone == [mongod]
    owner.stdout.close()


async def test_a_set_of_three_finds_another_primary() -> None:
    async with PrivateMongo(members=3) as mongo:
        killed = await mongo.primary()

        mongo.kill9(killed)

        assert await mongo.primary() != killed


def test_a_mongod_that_cannot_be_run_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WATCHER_TEST_MONGODB", str(tmp_path / "mongod"))

    with pytest.raises(DemoError, match=f"WATCHER_TEST_MONGODB: {tmp_path}/mongod is no program"):
        find_mongod()


async def test_a_mongod_that_ends_at_once_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\necho 'libcurl.so.4: cannot open shared object file' >&2\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("WATCHER_TEST_MONGODB", str(broken))

    with pytest.raises(DemoError, match=r"ended with status 127: libcurl\.so\.4: cannot open"):
        async with PrivateMongo():
            pass


def test_the_operators_own_mongod_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = tmp_path / "mongod"
    own.touch(mode=0o755)
    monkeypatch.delenv("WATCHER_TEST_MONGODB", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    assert find_mongod() == own
