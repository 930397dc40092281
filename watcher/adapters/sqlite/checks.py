"""Checksums. SQLite keeps none: without ours, what a disk or a hand has changed would be sent as it is."""

from __future__ import annotations

import zlib

from watcher.errors import OutboxBroken

CURE = (
    "Put a good copy in its place; or move it away: the next start then begins anew"
    " (watcher.startFrom), without knowing what was sent."
)


def crc(*values: object, body: bytes = b"") -> int:
    """Of values that are stored together."""
    return zlib.crc32(body, zlib.crc32("\n".join(map(str, values)).encode("utf-8", "surrogatepass")))


def demand(intact: bool, what: str) -> None:
    """Raises OutboxBroken unless it is so."""
    if not intact:
        raise OutboxBroken(f"The state is damaged: {what} is not as it was stored.\n  {CURE}")
