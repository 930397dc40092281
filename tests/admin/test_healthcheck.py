"""The health check answers for the running program: 0 when it lives, else 1 and the reason."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import yaml

from watcher.admin import healthcheck
from watcher.admin.readiness import Readiness
from watcher.admin.server import serving
from watcher.config.loading import DEFAULTS


@pytest.mark.parametrize("listen", ["0.0.0.0:{}", "127.0.0.1:{}", "[::]:{}", "[::1]:{}", "localhost:{}"])
async def test_the_health_check_finds_the_server_wherever_it_listens(listen: str) -> None:
    port = _free_port()
    listen = listen.format(port)
    host = listen.rpartition(":")[0].strip("[]")

    async with serving(host, port, readiness=lambda: Readiness(parts={}), metrics=_no_metrics):
        answer = await asyncio.to_thread(healthcheck.main, [], {"WATCHER_HTTP": listen})
        named = await asyncio.to_thread(healthcheck.main, [listen], {"WATCHER_HTTP": "127.0.0.1:1"})

    assert (answer, named) == (0, 0)


def test_the_health_check_tells_why_it_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healthcheck, "TIMEOUT_SECONDS", 0.2)
    closed = f"0.0.0.0:{_free_port()}"

    with _answering(503) as sick, _silent() as silent:
        answers = [healthcheck.main([each], {}) for each in (sick, closed, silent, "nonsense")]

    assert answers == [1, 1, 1, 1]
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"{sick}/livez: answers 503"
    assert said[1].startswith(f"{closed.replace('0.0.0.0', '127.0.0.1')}/livez: no answer (")
    assert said[2] == f"{silent}/livez: no answer (timed out)"
    assert said[3] == "nonsense: not HOST:PORT; give the address of `run --http` or WATCHER_HTTP"


def test_the_health_check_asks_where_run_listens_by_default() -> None:
    defaults = yaml.safe_load(DEFAULTS.read_text())

    assert defaults["watcher"]["http"]["listen"] == healthcheck.USUAL


def test_the_health_check_loads_none_of_our_libraries() -> None:
    code = "import sys, watcher.admin.healthcheck; print({'aiohttp', 'yaml', 'pymongo'} & sys.modules.keys())"

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout == "set()\n"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _no_metrics() -> tuple[bytes, str]:
    return b"", "text/plain"


@contextmanager
def _answering(status: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def _silent() -> Iterator[str]:
    """A server that takes connections, as far as the backlog goes, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"
