"""The veil: what of a delivery may be shown to who runs the watcher, as long as texts of people are not.

Law: what is not known to be harmless is blotted out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

BLOT = "…"

HARMLESS = frozenset(
    {
        "event",
        "timestamp",
        "webhookId",
        "userId",
        "messageId",
        "conversationId",
        "parentMessageId",
        "agentId",
        "fileId",
        "sessionId",
        "tenantId",
        "endpoint",
        "model",
        "provider",
        "role",
        "category",
        "type",
        "context",
        "source",
        "reason",
        "rating",
        "tag",
        "changed",
        "truncated",
        "from",
        "to",
        "specversion",
        "id",
        "time",
        "datacontenttype",
    }
)
"""Keys whose texts are ids, times and words of LibreChat's own."""

WINDOW = 20
"""An answer that repeats so many characters of a text in a row repeats the text."""

SHORTEST = 4
"""A text that is shorter may stand in any answer by chance."""


def shape_of(body: bytes) -> str:
    """The body as JSON, with every text that may be somebody's blotted out."""
    try:
        return orjson.dumps(_veiled(orjson.loads(body))).decode()
    except orjson.JSONDecodeError:
        return BLOT


def repeats(answer: str, body: bytes) -> bool:
    """Does an answer repeat a text of the body?"""
    try:
        texts = list(_texts(orjson.loads(body)))
    except orjson.JSONDecodeError:
        return True
    if any(SHORTEST <= len(text) <= WINDOW and text in answer for text in texts):
        return True
    windows = {answer[start : start + WINDOW] for start in range(len(answer) - WINDOW + 1)}
    return any(window in text for text in texts if len(text) > WINDOW for window in windows)


def _veiled(value: Any, *, harmless: bool = False) -> Any:
    match value:
        case dict():
            return {key: _veiled(each, harmless=key in HARMLESS) for key, each in value.items()}
        case list():
            return [_veiled(each, harmless=harmless) for each in value]
        case str() if not harmless:
            return BLOT
        case _:
            return value


def _texts(value: Any, *, harmless: bool = False) -> Iterator[str]:
    """Those that are blotted out."""
    match value:
        case dict():
            for key, each in value.items():
                yield from _texts(each, harmless=key in HARMLESS)
        case list():
            for each in value:
                yield from _texts(each, harmless=harmless)
        case str() if not harmless:
            yield value
