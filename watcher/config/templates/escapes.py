"""Escapes: users' text, such that a chat shows it as it is and nobody is called by it."""

from __future__ import annotations

from collections.abc import Mapping

_SLACK = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""Links and mentions (`<!channel>`, `<@U1>`) begin with `<`. Slack has no other escapes than these."""


def _backslashed(marks: str) -> Mapping[int, str]:
    return {ord(mark): f"\\{mark}" for mark in marks}


_DISCORD = _backslashed("\\*_~`|<>#[]()@")
_MARKDOWN = _backslashed("\\`*_{}[]()#+-.!|<>~&")


def slack(text: str) -> str:
    """
    >>> slack("<!channel> a & b")
    '&lt;!channel&gt; a &amp; b'
    """
    return text.translate(_SLACK)


def discord(text: str) -> str:
    r"""
    >>> discord("@everyone **now**")
    '\\@everyone \\*\\*now\\*\\*'
    """
    return text.translate(_DISCORD)


def markdown(text: str) -> str:
    r"""Of CommonMark, in which a backslash takes the meaning of any mark. Teams' cards read a part of it.

    >>> markdown("[a](b)")
    '\\[a\\]\\(b\\)'
    """
    return text.translate(_MARKDOWN)
