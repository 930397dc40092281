"""Hiding: what an endpoint's settings keep secret, blotted out of what its receiver says.

The law: a secret is found in whatever form receivers write it, also where the text was cut in its middle."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote, unquote

from watcher.core.endpoints import Endpoint, Secret

BLOT = "•••"

BETWEEN = "\n\0\n"
"""In no header, and in no secret that somebody typed."""

SHORTEST = 6
"""A configured value that is shorter is no secret, and blotting it out would make answers unreadable."""

SIGNATURE = re.compile(r"sha256=[0-9a-fA-F]{6,}|v1,[0-9A-Za-z+/=\\]{6,}")
"""Of ours: who has one, and the body, can send it again."""

HOLE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")
"""What is filled in for each event."""

WORDS = re.compile(r"[a-z]{1,15}([-_.][a-z]{1,15})*|v\d+")
"""Parts of a path that name something, as `/webhooks/librechat`: tokens have digits, capitals or length."""


class Hiding:
    """What one endpoint's settings keep secret."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._hidden = _hidden(endpoint.secrets, endpoint.headers, endpoint.url)

    def blotted(self, text: str) -> str:
        """The text without the endpoint's secrets. It may have been cut at its end."""
        return _without_cut_end(_without(self._hidden, text), self._hidden) if text else text

    def all_blotted(self, texts: Sequence[str]) -> Sequence[str]:
        """The same of several that are whole: together, as there are a dozen of them in each answer."""
        told = _without(self._hidden, BETWEEN.join(texts)).split(BETWEEN)
        return told if len(told) == len(texts) else [_without(self._hidden, text) for text in texts]


def _without(hidden: Sequence[str], text: str) -> str:
    for each in hidden:
        text = text.replace(each, BLOT)
    return SIGNATURE.sub(BLOT, text)


def _hidden(secrets: Sequence[Secret], headers: Sequence[tuple[str, str]], url: str) -> Sequence[str]:
    """The longest first."""
    texts = [
        *(form for secret in secrets for form in _key_forms(secret.key)),
        *(text for _, value in headers for text in (value, *value.split())),
        *_of_url(url),
    ]
    found = {form for text in texts if len(text) >= SHORTEST for form in _forms(text)}
    return sorted(found, key=len, reverse=True)


def _key_forms(key: bytes) -> Iterator[str]:
    yield key.decode("utf-8", "replace")
    yield key.hex()
    for written in (base64.b64encode(key), base64.urlsafe_b64encode(key)):
        yield written.decode().rstrip("=")


def _of_url(url: str) -> Iterator[str]:
    """Its user and password, and whatever in its path and query is no plain word."""
    authority, _, beyond = HOLE.sub("/", url).partition("://")[2].partition("/")
    user, _, host = authority.rpartition("@")
    yield from re.split(":", user)
    # A query may begin without a path.
    for part in re.split(r"[/?#&=;]", "/".join((*re.split(r"[?#]", host)[1:], beyond))):
        if not WORDS.fullmatch(part):
            yield part


def _forms(text: str) -> Iterable[str]:
    """As it stands in JSON, HTML and URLs."""
    for plain in (text, unquote(text)):
        for ascii_only in (False, True):
            escaped = json.dumps(plain, ensure_ascii=ascii_only)[1:-1]
            yield from (escaped, escaped.replace("/", "\\/"))
        yield from (plain, html.escape(plain), quote(plain), quote(plain, safe=""))


def _without_cut_end(text: str, hidden: Sequence[str]) -> str:
    """Of an answer only the beginning is kept: what a secret begins with may be its end."""
    whole = text.rstrip("\N{REPLACEMENT CHARACTER}")  # of a character that was cut, too
    for each in hidden:
        start = whole.find(each[:SHORTEST], max(0, len(whole) - len(each)))
        if start >= 0 and each.startswith(whole[start:]):
            return whole[:start] + BLOT
    return text
