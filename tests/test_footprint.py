"""What `run` carries: nothing that it does not use. A sidecar of sixty megabytes has none to give away."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.admin.test_server import a_port

UNUSED = (
    "aiohttp",  # `listen` and `demo`
    "cryptography",  # seals managed endpoints
    "jinja2",  # templates
    "pymongo.pyopenssl_context",
    "rich",  # tables and bars of commands
    "structlog",  # lines for a terminal
    "watcher.adapters.mongo.state",  # a state in MongoDB
    "watcher.adapters.traces",
    "watcher.admin.api",  # the page and the API, with a token
    "watcher.demo",
    "watcher.testing",
    "watcher.trying",  # endpoints on trial
)

START = """
import asyncio, json, sys
from functools import partial
from pathlib import Path
from watcher import app
from watcher.config.loading import load

async def run():
    stopping = asyncio.Event()
    running = asyncio.create_task(
        app.run(partial(load, file=Path(sys.argv[1]), env={}), stopping=stopping, asked=asyncio.Event())
    )
    await asyncio.sleep(0)
    while not running.done():
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
            break
        except OSError:
            await asyncio.sleep(0.02)
    writer.write(b"GET /metrics HTTP/1.0\\r\\n\\r\\n")
    assert b" 200 " in await reader.readline()
    stopping.set()
    await running

asyncio.run(run())
print(json.dumps([name for name, module in sys.modules.items() if module is not None]))
"""


def test_a_usual_run_loads_nothing_that_only_others_need(tmp_path: Path, mongodb_uri: str) -> None:
    port, settings = a_port(), tmp_path / "webhooks.yaml"
    told = {
        "webhooks": {"url": "http://127.0.0.1:9/", "secret": "s3cr3t"},
        "watcher": {
            "mongoUri": f"{mongodb_uri}LibreChat",
            "state": f"sqlite://{tmp_path / 'state.db'}",
            "http": {"listen": f"127.0.0.1:{port}"},
        },
    }
    settings.write_text(json.dumps(told))

    done = subprocess.run(
        [sys.executable, "-c", START, str(settings), str(port)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert [name for name in UNUSED if name in loaded] == []
