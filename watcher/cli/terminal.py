"""The terminal: what strangers wrote is shown on it, and must not steer it."""

from __future__ import annotations

import json
from typing import Any


def printable(text: str) -> str:
    """Without control characters, which could steer the terminal, and without undecodable bytes."""
    return "".join(character if character.isprintable() else "�" for character in text)


def indented(value: Any, *, by: int) -> str:
    """A JSON value over several lines, each so far from the margin."""
    lines = json.dumps(value, indent=2, ensure_ascii=False).splitlines()
    return "\n".join(" " * by + printable(line) for line in lines)
