"""Health and metrics over a real socket."""

from __future__ import annotations

import socket

import httpx
import pytest

from watcher.admin.readiness import Part, Readiness
from watcher.admin.server import serving
from watcher.errors import ConfigError


def a_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def served():
    state = {"ready": True}
    port = a_port()

    def readiness() -> Readiness:
        return Readiness(parts={"stream": Part(ready=state["ready"], says="open")})

    async def metrics() -> tuple[bytes, str]:
        return b"watcher_stream_open 1\n", "text/plain; version=0.0.4; charset=utf-8"

    async with (
        serving("127.0.0.1", port, readiness=readiness, metrics=metrics),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        yield client, state


async def test_it_lives_and_tells_its_metrics(served):
    client, _ = served

    alive, metrics = await client.get("/livez"), await client.get("/metrics")

    assert (alive.status_code, alive.text) == (200, "ok\n")
    assert metrics.text == "watcher_stream_open 1\n"
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")


async def test_readiness_is_503_with_each_part_s_words_until_all_is_well(served):
    client, state = served
    assert (await client.get("/readyz")).status_code == 200

    state["ready"] = False
    answer = await client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "parts": {"stream": {"ready": False, "says": "open"}}}


@pytest.mark.parametrize("path", ["/", "/api/deliveries", "/..%2fetc", "/readyz/x"])
async def test_everything_else_is_unknown(served, path):
    client, _ = served

    answer = await client.get(path)

    assert (answer.status_code, answer.json()) == (404, {"error": "not found"})


async def test_answers_are_not_cached_and_name_no_server(served):
    client, _ = served

    headers = (await client.get("/livez")).headers

    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "aiohttp" not in headers["server"].lower()


async def test_a_port_in_use_is_told_with_the_cure():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(ConfigError, match=r"watcher\.http\.listen: cannot listen on") as refused:
            async with serving("127.0.0.1", port, readiness=lambda: Readiness(parts={}), metrics=None):  # type: ignore[arg-type]
                pass

    assert "WATCHER_HTTP" in str(refused.value)
