r"""Patterns: `$regex` over texts that anybody may have written.

MongoDB has PCRE2, we have Python's `re`. They agree on what a filter needs. They differ in `\d \w \s \b` (of
all scripts here, of ASCII there) and `\Z` (here the very end); `\p{L}`, `[[:alpha:]]`, `\h`, `\z` and
recursion are refused here.

The law: no text holds up the stream through a pattern that looks harmless. `re` cannot be interrupted, so a
pattern sees the first 10,000 characters of a text, and what could take minutes over so many is refused:

    (a+)+   (a|ab)*   (a+){5}   a repeat round something that varies: each character may double the time
    a.*b.*c   \w+a\w+b          a second repeat that may end anywhere (after `^`: a third): time grows cubic

Repeats that end where they must are free, as in `\w+@\w+[.]com`, and so is `.*` as the last thing. What is
left takes about a second at worst, unless it is made to take more: nobody writes `a?a?a?a?…` by accident."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

SEEN_CHARACTERS = 10_000
"""More than a long answer has. Time may grow with its square: 0.3 s at 10,000, half a minute at 100,000."""

OPTIONS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}


class BadPattern(Exception):
    """No regular expression, or one that could stall: what is wrong, and the cure."""

    def __init__(self, what: str, cure: str) -> None:
        self.what, self.cure = what, cure
        super().__init__(what)


def compile_pattern(pattern: str, options: str) -> Callable[[str], bool]:
    """Is the pattern found in a text? Options are letters of `imsx`. Raises BadPattern."""
    if _POSIX_CLASS.search(pattern):  # `re` reads it, as something else
        raise BadPattern("is no regular expression: [:…:] is not known here", "write [a-z] or the like")
    flags = re.NOFLAG
    for letter in options:
        flags |= OPTIONS[letter]
    try:
        compiled = re.compile(pattern, flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadPattern(
            f"is no regular expression: {error}", r"a plain \ . + * ? ( ) [ ] { } ^ $ | needs a \ before it"
        ) from error
    anchored = pattern.startswith(("^", r"\A")) and not compiled.flags & re.MULTILINE
    _refuse_stalling(pattern, compiled.flags, anchored=anchored)
    return lambda text: compiled.search(text, 0, SEEN_CHARACTERS) is not None


_POSIX_CLASS = re.compile(r"\[:\^?[a-z]+:\]")

_TOKEN = re.compile(
    r"""
    (?P<repeat> (?: [*+?] | \{\d+(?:,\d*)?\} | \{,\d+\} ) [?+]? )
  | (?P<set>    \\\w | \. | [$^] | \[\^?\]?(?:\\.|[^\]\\])*\] )
  | (?P<begin>  \(\?? )
  | (?P<end>    \) )
  | (?P<either> \| )
  | (?P<plain>  \\?. )
    """,
    re.VERBOSE | re.DOTALL,
)

_ENDLESS_REPEAT = re.compile(r"[*+]|\{\d*,(?:\d{2,})?\}")  # from ten on, it costs as much

# How much a part of a pattern may match: always the same length in one way; a few; as much as the text gives.
_FIXED, _VARYING, _ENDLESS = 0, 1, 2


def _refuse_stalling(pattern: str, flags: int, *, anchored: bool) -> None:
    tokens = list(_TOKEN.finditer(pattern))
    groups, inner, loose = [_FIXED], _FIXED, 0
    for index, token in enumerate(tokens):
        text = token[0]
        match token.lastgroup:
            case "repeat":
                endless = _ENDLESS_REPEAT.match(text) is not None
                if (endless and inner) or (inner == _ENDLESS and text[0] != "?"):
                    raise BadPattern(
                        "repeats something that varies, as (a+)+ does: one text can stall it for ever",
                        "write it without a repeat or | inside the repeated group",
                    )
                varying = text[0] == "?" or "," in text
                groups[-1] = max(groups[-1], _ENDLESS if endless else _VARYING if varying else _FIXED)
                if endless:
                    ending = _ending(tokens[index - 1], tokens[index + 1 :], flags)
                    # After a loose one, even a repeat with a sure end is gone through again and again.
                    loose += ending == "loose" or (ending == "sure" and loose > 0)
            case "begin":
                groups.append(_FIXED)
            case "either":
                groups[-1], anchored = max(groups[-1], _VARYING), False
        inner = _FIXED
        if token.lastgroup == "end" and len(groups) > 1:
            inner = groups.pop()
            groups[-1] = max(groups[-1], inner)
    if loose > 1 + anchored:
        raise BadPattern(
            "has so many .* (or the like) that one long text can stall it for minutes",
            "search for each part by itself: $and: [{field: {$regex: …}}, {field: {$regex: …}}]; "
            "in front and at the end .* is not needed",
        )


def _ending(
    repeated: re.Match[str], rest: list[re.Match[str]], flags: int
) -> Literal["sure", "loose", "free"]:
    """Where may a repeat end: at one place only, at many, or (as the last thing) wherever it likes?"""
    rest = [token for token in rest if token.lastgroup != "end"]
    if not rest:
        return "free"
    optional = len(rest) > 1 and rest[1].lastgroup == "repeat"
    if repeated.lastgroup == "end" or rest[0].lastgroup != "plain" or optional or flags & re.VERBOSE:
        return "loose"
    return "loose" if re.fullmatch(repeated[0], rest[0][0][-1], flags) else "sure"
