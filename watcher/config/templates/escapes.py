"""Escapes: users' text, such that a chat or a URL has it as it is, and nobody is called by it; and the way
back, from markup to text."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from urllib.parse import quote

PRINTABLE_ASCII = "".join(map(chr, range(0x20, 0x7F)))

LONGEST_PERCENT = 12
"""Letters that one may become: four bytes of three letters each."""

_SLACK = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""Links and mentions (`<!channel>`, `<@U1>`) begin with `<`. Slack has no other escapes than these."""


def _backslashed(marks: str) -> Mapping[int, str]:
    return {ord(mark): f"\\{mark}" for mark in marks}


_DISCORD = _backslashed("\\*_~`|<>#[]()@")
_DISCORD_PLACES = re.compile(
    r"(?:^|(?<=\r))[ \t]*(?=[-+])|(?:^|(?<=\r))[ \t]*\d+(?=\.)|(?=://)", re.MULTILINE
)
"""Where lines of lists begin, and what makes links of addresses. Elsewhere these marks mean nothing."""
_MARKDOWN = _backslashed("\\`*_{}[]()#+-.!|<>~&")


def slack(text: str) -> str:
    """
    >>> slack("<!channel> a & b")
    '&lt;!channel&gt; a &amp; b'
    """
    return text.translate(_SLACK)


def discord(text: str) -> str:
    r"""
    >>> discord("@everyone **now**"), discord("- one https://a.example")
    ('\\@everyone \\*\\*now\\*\\*', '\\- one https\\://a.example')
    """
    return _DISCORD_PLACES.sub(r"\g<0>\\", text.translate(_DISCORD))


def markdown(text: str) -> str:
    r"""Of CommonMark, in which a backslash takes the meaning of any mark. Teams' cards read a part of it.

    >>> markdown("[a](b)")
    '\\[a\\]\\(b\\)'
    """
    return text.translate(_MARKDOWN)


def percent(text: str, *, safe: str = "") -> str:
    r"""Percent-encoded UTF-8. Halves of surrogate pairs are joined, or become U+FFFD, as in a body.

    >>> percent("a b/ü"), percent("\ud83e\uddf5"), percent("\ud83e")
    ('a%20b%2F%C3%BC', '%F0%9F%A7%B5', '%EF%BF%BD')
    """
    return quote(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"), safe=safe)


def untagged(text: str) -> str:
    """Without tags and comments, spaces as one, and entities as what they stand for.

    >>> untagged("<b>1</b>  &lt; 2 <!-- > -->and <more")
    '1 < 2 and <more'
    """
    parts, place = [], 0
    while (start := text.find("<", place)) != -1:
        open_, close = ("<!--", "-->") if text.startswith("<!--", start) else ("<", ">")
        end = text.find(close, start + len(open_))
        if end == -1:
            break
        parts.append(text[place:start])
        place = end + len(close)
    return html.unescape(" ".join("".join([*parts, text[place:]]).split()))
