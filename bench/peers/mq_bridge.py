"""mq-bridge: a route from a MongoDB capture to HTTP; reading and posting are Rust, Python only starts it.

Batches of 512 (its default) with 64 requests in flight; its cursor goes where its documents put it, into the
source database."""

from __future__ import annotations

import sys

from mq_bridge import Route


def main(uri: str, database: str, url: str) -> None:
    source = {"url": uri, "database": database, "collection": "messages", "consume": "capture_new"}
    sink = {"url": url, "batch_concurrency": 64}
    Route.from_config(
        {
            "input": {"mongodb": {**source, "cursor_id": "bench"}},
            "output": {"http": sink},
            "batch_size": 512,
        }
    ).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
