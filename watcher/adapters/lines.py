"""Lines on a stream: an event, its values, its level and the time, as JSON or for a terminal.

One for each attempt: what makes them costs more than a library's ease is worth (docs/DECISIONS.md)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import orjson

Level = Literal["debug", "info", "warning", "error"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")

Values = dict[str, Any]
Render = Callable[[Values], str]

# To the last @: an unescaped @, / or space must not save the rest of a password, and those are the URIs that
# end up in messages. Taking a few words too many costs nothing.
_PASSWORD = re.compile(r"(mongodb(?:\+srv)?://).*@", re.IGNORECASE | re.DOTALL)


AS_WRITTEN = orjson.OPT_INDENT_2 | orjson.OPT_PASSTHROUGH_DATACLASS
"""Indented, as it has blanks where people expect them: they search for `"event": "stream.lost"`. And of our
own values their `repr`, which leaves secrets out: orjson by itself would write each field."""


class Lines:
    """Writes lines of a level and above. Those of one turn of the event loop are written together."""

    def __init__(self, stream: TextIO, render: Render, least: Level) -> None:
        self._stream = stream
        self._render = render
        self._levels = frozenset(LEVELS[LEVELS.index(least) :])
        self._waiting: list[str] = []
        self._failure: Exception | None = None

    def debug(self, event: str, **values: object) -> None:
        self.write(event, [("debug", values)])

    def info(self, event: str, **values: object) -> None:
        self.write(event, [("info", values)])

    def warning(self, event: str, **values: object) -> None:
        self.write(event, [("warning", values)])

    def error(self, event: str, **values: object) -> None:
        self.write(event, [("error", values)])

    def write(self, event: str, told: Iterable[tuple[Level, Mapping[str, object]]]) -> None:
        """One line for each of these values, all of this moment.

        Raises what one of them met, or an earlier line that could not be written; the others are kept."""
        now = datetime.now(UTC).isoformat().removesuffix("+00:00") + "Z"
        lines = []
        for level, values in told:
            if level in self._levels:
                try:
                    lines.append(self._render({**values, "event": event, "level": level, "timestamp": now}))
                except Exception as error:
                    self._failure = error
        self._waiting += lines
        if lines and len(self._waiting) == len(lines):
            try:
                asyncio.get_running_loop().call_soon(self._flush)
            except RuntimeError:  # nothing runs yet, or any more
                self._flush()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _flush(self) -> None:
        lines, self._waiting = self._waiting, []
        try:
            self._stream.write("\n".join(lines) + "\n")
            self._stream.flush()
        except (OSError, ValueError) as error:  # nobody reads, a full disk, or it is closed
            self._failure = error


def as_json(values: Values) -> str:
    text = _written(values)
    return _written(_without_passwords(values)) if "@" in text else text


def _written(values: Values) -> str:
    try:
        text = orjson.dumps(values, default=repr, option=AS_WRITTEN)
    except TypeError:  # a number beyond 64 bits, half of a surrogate pair
        return json.dumps(values, default=repr)
    return text.replace(b"\n  ", b" ").replace(b"\n", b" ").decode()


def for_terminal(*, colors: bool) -> Render:
    from structlog.dev import ConsoleRenderer  # only people at a terminal need it

    renderer = ConsoleRenderer(colors=colors)
    return lambda values: str(renderer(None, values["level"], _without_passwords(values)))


def _without_passwords(values: Values) -> Values:
    """A second wall: messages are made without passwords; should one slip in, it ends here."""
    return {key: _without_password(value) for key, value in values.items()}


def _without_password(value: Any) -> Any:
    match value:
        case str():
            return _PASSWORD.sub(r"\1…@", value) if "@" in value else value
        case None | bool() | int() | float():
            return value
        case dict():
            return {key: _without_password(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_without_password(inner) for inner in value]
        case _:
            return _PASSWORD.sub(r"\1…@", repr(value))  # as the renderers would write it
