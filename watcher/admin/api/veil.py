"""The veil: what of a delivery may be shown to who runs the watcher, as long as texts of people are not.

Law: what is not known to be harmless is blotted out."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import unquote_plus

import orjson

from watcher.core.bodies import form_of
from watcher.core.events import EventId

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
"""Keys whose texts are ids, times and words of LibreChat's own, in our forms; in others, who knows."""

WINDOW = 20
"""An answer that repeats so many characters of a text in a row repeats the text."""

SHORTEST, SHORTEST_WIDE = 4, 2
"""A text that is shorter may stand in any answer by chance. Of other letters than ASCII two are a name."""

ESCAPES = re.compile(r"""(?:\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt]))+""")


Headers = tuple[tuple[str, str], ...]


class Veil:
    """Over one delivery."""

    def __init__(self, body: bytes, identity: EventId) -> None:
        self._trusted = form_of(body, identity) != "own"
        try:
            self._body: Any = orjson.loads(body)
            texts = set(_texts(self._body, trusted=self._trusted))
            self._unknown = False
        except orjson.JSONDecodeError:
            self._body, texts, self._unknown = None, set(), True
        self._short = {text for text in texts if len(text) <= WINDOW and _is_telling(text)}
        self._long = "\0".join(text for text in texts if len(text) > WINDOW)

    @property
    def shape(self) -> str:
        """The body as JSON, with every text that may be somebody's blotted out."""
        if self._unknown:
            return BLOT
        return orjson.dumps(_veiled(self._body, trusted=self._trusted)).decode()

    def hides(self, answer: str) -> bool:
        """Does an answer repeat a text of the body, however it writes it?"""
        if not answer:
            return False
        readings = _readings(answer)
        return (
            self._unknown
            or any(text in reading for reading in readings for text in self._short)
            or any(window in self._long for window in _windows(readings))
        )

    def over(self, headers: Headers) -> Headers:
        """What may be shown of an answer's headers."""
        return tuple((name, BLOT if self.hides(value) else value) for name, value in headers)


def _is_telling(text: str) -> bool:
    return len(text) >= (SHORTEST if text.isascii() else SHORTEST_WIDE)


def _windows(readings: Collection[str]) -> set[str]:
    return {text[start : start + WINDOW] for text in readings for start in range(len(text) - WINDOW + 1)}


def _readings(answer: str) -> Collection[str]:
    """An answer, and what it says where it is JSON, JSON in JSON, HTML or a form."""
    unescaped = _unescaped(answer)
    return {answer, unescaped, _unescaped(unescaped), html.unescape(answer), unquote_plus(answer)}


def _unescaped(text: str) -> str:
    return ESCAPES.sub(lambda found: str(json.loads(f'"{found[0]}"')), text)


def _veiled(value: Any, *, trusted: bool, harmless: bool = False) -> Any:
    match value:
        case dict():
            return {
                key: _veiled(each, trusted=trusted, harmless=trusted and key in HARMLESS)
                for key, each in value.items()
            }
        case list():
            return [_veiled(each, trusted=trusted, harmless=harmless) for each in value]
        case str() if not harmless:
            return BLOT
        case _:
            return value


def _texts(value: Any, *, trusted: bool, harmless: bool = False) -> Iterator[str]:
    """Those that are blotted out."""
    match value:
        case dict():
            for key, each in value.items():
                yield from _texts(each, trusted=trusted, harmless=trusted and key in HARMLESS)
        case list():
            for each in value:
                yield from _texts(each, trusted=trusted, harmless=harmless)
        case str() if not harmless:
            yield value
