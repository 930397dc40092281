"""Health and metrics over a real socket."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx
import pytest

from watcher.admin.readiness import Part, Readiness
from watcher.admin.server import serving
from watcher.errors import ConfigError, OutboxError


def a_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def served():
    state: dict[str, Any] = {"ready": True, "fails": None}
    port = a_port()

    def readiness() -> Readiness:
        return Readiness(parts={"stream": Part(ready=state["ready"], says="open")})

    async def metrics() -> tuple[bytes, str]:
        if state["fails"]:
            raise state["fails"]
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


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [("/livez", {}, 200), ("/metrics", {}, 200), ("/nowhere", {}, 404), ("/livez", {"Expect": "tea"}, 417)],
)
async def test_no_answer_is_cached_or_names_the_server_s_software(served, path, asked, status):
    client, _ = served

    answer = await client.get(path, headers=asked)

    assert answer.status_code == status
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["server"] == "librechat-watcher"


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (
            OutboxError("the state cannot be read: disk I/O error"),
            503,
            "the state cannot be read: disk I/O error",
        ),
        (KeyError("a document's text"), 500, "internal: KeyError"),
    ],
)
async def test_a_scrape_that_fails_says_why_and_the_rest_goes_on(served, caplog, error, status, says):
    client, state = served
    state["fails"] = error

    answer = await client.get("/metrics")

    assert (answer.status_code, answer.json()) == (status, {"error": says})
    assert (await client.get("/livez")).status_code == 200
    assert caplog.records == []


async def test_what_a_client_sends_amiss_is_not_repeated_in_the_log(served, caplog):
    client, _ = served
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)

    writer.write(b"GET /livez HTTP/1.1\r\nHost: h\r\nAuthorization: " + b"s3cr3t" * 2_000 + b"\r\n\r\n")
    answer = await reader.read(12)
    writer.close()

    assert answer == b"HTTP/1.1 400"
    assert caplog.records == []


async def test_a_port_in_use_is_told_with_the_cure():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(ConfigError, match=r"watcher\.http\.listen: cannot listen on") as refused:
            async with serving("127.0.0.1", port, readiness=lambda: Readiness(parts={}), metrics=None):  # type: ignore[arg-type]
                pass

    assert "WATCHER_HTTP" in str(refused.value)
