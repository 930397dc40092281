"""Room: may the store take more, or must what it holds leave first?

ample ──▶ tight ──▶ full         tight: what is settled goes before its retention
  ◀──────────◀────────           full: capture pauses, until it is ample again
"""

from __future__ import annotations

from typing import Literal

Room = Literal["ample", "tight", "full"]

AMPLE = 0.95
"""Of the limit. Below it a pause ends: at the limit itself it would begin again with the next batch."""


def room(used_bytes: int, *, limit_bytes: int, was_full: bool) -> Room:
    """What there is, and what there was when it was judged last."""
    if used_bytes >= limit_bytes:
        return "full"
    if used_bytes <= limit_bytes * AMPLE:
        return "ample"
    return "full" if was_full else "tight"
