"""An API of the real program, with deliveries in every state, to be fuzzed (`make fuzz`).

    python -m tests.fuzz.serve FOLDER -- COMMAND…

COMMAND runs with `{url}` and `{openapi}` replaced, once all is there; its exit code is ours."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import httpx
from pymongo import AsyncMongoClient

from tests.end_to_end.harness import SECRET, Watcher
from watcher.core.endpoints import Secret
from watcher.demo.mongod import PrivateMongo
from watcher.receiver import Receipt, Receiver

TOKEN = "fuzzed"


def _forget(_: Receipt) -> None:
    pass


async def main(folder: Path, command: list[str]) -> int:
    secrets = [Secret(key=SECRET.encode())]
    async with (
        PrivateMongo() as mongo,
        Receiver(secrets, on_receipt=_forget) as good,
        Receiver(secrets, on_receipt=_forget, fail=1.0, status=500) as bad,
    ):
        bad_one = {"name": "bad", "url": bad.url, "retries": 0}
        watcher = Watcher(
            folder,
            {
                "webhooks": {"url": good.url, "secret": SECRET, "endpoints": [bad_one]},
                "watcher": {
                    "mongoUri": mongo.uri_of("LibreChat"),
                    "http": {"token": TOKEN},
                    "secretKey": "fuzzed" * 6,
                },
            },
        )
        await watcher.start()
        async with AsyncMongoClient[dict[str, object]](mongo.uri) as client:
            await client.LibreChat.messages.insert_many(
                [{"messageId": f"m{n}", "conversationId": f"c{n % 3}", "user": "u1"} for n in range(30)]
            )
        await asyncio.sleep(3)
        base = f"http://127.0.0.1:{watcher.port}"
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as api:
            made = {"name": "made", "url": good.url, "events": ["message.created"]}
            (await api.post(f"{base}/api/endpoints", json={"definition": made})).raise_for_status()
            described = (await api.get(f"{base}/api/openapi.json")).json()
        described["servers"] = [{"url": base}]
        openapi = folder / "openapi.json"
        openapi.write_text(json.dumps(described))
        words = [word.format(url=base, openapi=openapi) for word in command]
        done = await asyncio.to_thread(subprocess.run, words, check=False)
        await watcher.stop()
        return done.returncode


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]).absolute(), sys.argv[3:])))
