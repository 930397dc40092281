"""Asks a running sidecar's `/livez`, as the container engine does: `python -m watcher.admin.healthcheck`.

The law: it reads no settings' file and imports nothing but the standard library. A probe comes twice a minute
for ever, and a file that an operator is just editing must not make a healthy program look sick."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException

USUAL = "127.0.0.1:8686"
"""Where `run` listens unless told otherwise (`default.yaml`)."""

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (compared, not bound)
"""Listening on all addresses includes this machine's own."""

TIMEOUT_SECONDS = 3.0
"""Below the engine's own time limit, so that the reason is told and not only that it took too long."""


def main(arguments: Sequence[str], env: Mapping[str, str]) -> int:
    """0 when `/livez` answers 200, else 1 and a line why. HOST:PORT: the argument, else WATCHER_HTTP."""
    listen = arguments[0] if arguments else env.get("WATCHER_HTTP") or USUAL
    trouble = _trouble(listen)
    if trouble:
        sys.stderr.write(f"{trouble}\n")
    return 1 if trouble else 0


def _trouble(listen: str) -> str | None:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if not port.isdecimal():
        return f"{listen}: not HOST:PORT; give the address of `run --http` or WATCHER_HTTP"
    connection = HTTPConnection(ANYWHERE.get(host, host), int(port), timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/livez")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return f"{connection.host}:{port}/livez: no answer ({error or type(error).__name__})"
    finally:
        connection.close()
    return None if status == 200 else f"{connection.host}:{port}/livez: answers {status}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
