"""What an operator sees of the oplog: how much is left of it, or that he did not let us look."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.end_to_end.harness import SECRET, Watcher
from watcher.demo.mongod import PrivateMongo

ROLES: list[Any] = [{"role": "read", "db": "LibreChat"}]


@pytest.mark.parametrize("sees_local", [True, False], ids=["read on local", "without it"])
async def test_the_headroom_is_a_metric_where_the_oplog_may_be_read(receivers, watchers, sees_local):
    inbox = await receivers()
    roles = [*ROLES, {"role": "read", "db": "local"}] if sees_local else ROLES
    async with PrivateMongo(auth=True) as mongo:
        await mongo.add_user("watcher", "w", roles)
        watcher = watchers(
            {
                "webhooks": {"url": inbox.url, "secret": SECRET},
                "watcher": {"mongoUri": mongo.uri_of("LibreChat", user="watcher", password="w")},
            }
        )
        await watcher.start()

        await until(watcher, "not known yet", there=False)
        metrics, ready = await watcher.get("/metrics"), await watcher.get("/readyz")

    assert ready.status_code == 200
    if sees_local:
        assert "the position is " in ready.json()["parts"]["oplog"]["says"]
        assert "watcher_oplog_window_seconds " in metrics.text
        assert "watcher_oplog_headroom_seconds " in metrics.text
        assert "watcher_oplog_left_seconds +Inf" in metrics.text
        assert "oplog.unknown" not in watcher.log
    else:
        assert "`read` on the database local" in ready.json()["parts"]["oplog"]["says"]
        assert "watcher_oplog" not in metrics.text
        assert watcher.log.count('"oplog.unknown"') == 1


async def until(watcher: Watcher, words: str, *, there: bool) -> None:
    """Readiness says these words, or no more."""
    for _ in range(400):
        if (words in (await watcher.get("/readyz")).text) is there:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(watcher.log)
