"""Encoding: the bytes of a body, such that whoever parses them and writes them again gets the same bytes.

The receiver that LibreChat's documentation publishes verifies a signature over
`JSON.stringify(JSON.parse(body))`. The law: every body equals that, byte for byte, in V8; it is never over
1 MB; and no value, however odd, can keep an event from being sent."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from types import NoneType
from typing import Any, NamedTuple, NewType

import orjson

from watcher.core.events import Event, EventId

MAX_BODY_BYTES = 1_048_576
"""1 MiB. Of what is bigger, the longest texts are cut and `data.truncated` says which."""

MAX_DEPTH = 96
"""Levels of `data`, its own included; what lies deeper becomes null. MongoDB stores 100 at most, and Ruby's
JSON refuses more than 100, of which a batch takes four."""

CLOSING_BYTES = 128
"""Kept free for what `close_body` adds: twice an id's length, and a bit."""

WHOLE_TEXT_BYTES = 64
"""No text is cut shorter than this: ids and names stay whole, as half an id is a wrong id."""

OpenedBody = NewType("OpenedBody", bytes)
"""A body up to its `webhookId`: everything that does not depend on the endpoint."""


def open_body(event: Event) -> OpenedBody:
    """Encode an event once, however many endpoints want it."""
    head = b'{"event":%b,"timestamp":"%b","data":' % (encode(event.type), timestamp(event.at).encode())
    tail = b',"userId":%b,"webhookId":' % encode(event.user_id)
    room = MAX_BODY_BYTES - CLOSING_BYTES - len(head) - len(tail)

    return OpenedBody(head + encode_data(event.data, room) + tail)


def close_body(opened: OpenedBody, webhook_id: EventId) -> bytes:
    """The whole body for one endpoint."""
    return b'%b"%b"}' % (opened, webhook_id.encode())  # of ours: nothing in it needs escaping


def is_documented(body: bytes, webhook_id: EventId) -> bool:
    """Was this made by the two above? By its first key and its last, which tells its own id."""
    return body.startswith(b'{"event":') and body.endswith(b',"webhookId":"%b"}' % webhook_id.encode())


def batch_body(bodies: Sequence[bytes], *, at: datetime, batch: EventId) -> bytes:
    """One body that carries others verbatim. As each of them survives V8, so does the whole."""
    return b'{"event":"batch","timestamp":"%b","data":{"events":[%b]},"userId":null,"webhookId":%b}' % (
        timestamp(at).encode(),
        b",".join(bodies),
        encode(batch),
    )


def encode(value: object) -> bytes:
    """The JSON of any value, as V8 would write it after reading it. Never raises, whatever its size."""
    try:
        return orjson.dumps(value) if type(value) in _AS_IT_IS else _written(value)
    except TypeError:
        return _written(_mended(value, MAX_DEPTH, []))


def encode_data(data: Mapping[str, Any], room: int) -> bytes:
    """The JSON of `data` in at most `room` bytes; what had to go is listed in `truncated`."""
    try:
        written = _written(data)
    except TypeError:
        pass
    else:
        if len(written) <= room:
            return written

    fields, deep = _mended_fields(data)
    written = _written({**fields, "truncated": deep} if deep else fields)
    return written if len(written) <= room else _fitted(fields, deep, room)


def timestamp(at: datetime) -> str:
    """The form of JavaScript's `Date.toISOString`; milliseconds, the rest cut off.

    >>> timestamp(datetime(2026, 11, 24, 7, 0, 0, 999_999, UTC))
    '2026-11-24T07:00:00.999Z'
    """
    if at.tzinfo is not UTC:
        # A naive time is taken as UTC: `astimezone` would take it as the machine's own zone.
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.isoformat(timespec="milliseconds")[:-6] + "Z"


# ---------------------------------------------------------------- values as V8 writes them

_AS_IT_IS = frozenset({str, bool, NoneType})
_MAX_SAFE_INTEGER = 2**53 - 1
_MAX_INDEX = 2**32 - 2
_INDEX = re.compile("0|[1-9][0-9]{0,9}")


def _written(value: object) -> bytes:
    """The JSON of a plain value. TypeError for all else: odd types and keys, lone surrogates, too deep."""
    return orjson.dumps(_stable(value, MAX_DEPTH))


def _stable(value: Any, levels: int) -> Any:
    """The value with everything replaced that orjson would write in another way than V8."""
    kind = type(value)
    if kind is dict:
        if not levels:
            raise TypeError("nested too deeply")
        # Names that begin with a digit are rare; one comparison in C rules them out.
        if value and min(value) < ":":
            value = _indices_first(value)
        return {
            name: item if type(item) in _AS_IT_IS else _stable(item, levels - 1)
            for name, item in value.items()
        }
    if kind is list or kind is tuple:
        if not levels:
            raise TypeError("nested too deeply")
        return [item if type(item) in _AS_IT_IS else _stable(item, levels - 1) for item in value]
    if kind is int:
        return value if -_MAX_SAFE_INTEGER <= value <= _MAX_SAFE_INTEGER else _text(value)
    if kind is float:
        return _number(value)
    if kind is datetime:
        return _moment(value)
    if kind in _AS_IT_IS:
        return value
    raise TypeError(f"not a plain value: {kind.__name__}")


def _indices_first(value: dict[str, Any]) -> dict[str, Any]:
    """An object's names in V8's order: array indices ascending, then the others as they came."""
    indices = sorted((name for name in value if _is_index(name)), key=int)
    return {name: value[name] for name in [*indices, *value]}


def _is_index(name: str) -> bool:
    return _INDEX.fullmatch(name) is not None and int(name) <= _MAX_INDEX


def _number(value: float) -> int | float | orjson.Fragment | None:
    if value.is_integer() and -_MAX_SAFE_INTEGER <= value <= _MAX_SAFE_INTEGER:
        return int(value)  # also makes 0 of -0.0, as JavaScript does
    size = abs(value)
    if 1e-3 <= size < 1e15:
        return value  # every writer agrees on these
    if not math.isfinite(value):
        return None
    # ECMAScript, Number::toString: Python finds the same digits, and puts the exponent's limits elsewhere.
    digits = repr(value)
    if size < 1e-6 or size >= 1e21:
        return orjson.Fragment(digits.replace("e-0", "e-"))
    return orjson.Fragment(format(Decimal(digits), "f").removesuffix(".0"))


def _moment(value: datetime) -> str:
    try:
        return timestamp(value)
    except (OverflowError, ValueError):
        return str(value)  # within hours of the year 1 or 9999, in another zone


# ---------------------------------------------------------------- odd values


def _mended(value: Any, levels: int, lost: list[object]) -> Any:
    """A copy in plain types that can be written; what lay too deep becomes null and is noted in `lost`."""
    if isinstance(value, Mapping | list | tuple) and not levels:
        lost.append(value)
        return None
    if isinstance(value, Mapping):
        return {_text(name): _mended(item, levels - 1, lost) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mended(item, levels - 1, lost) for item in value]
    if value is None or isinstance(value, bool):
        return value
    # Subclasses (an IntEnum, a numpy float) count as what they are underneath.
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, datetime):
        return _moment(value)
    return _text(value)


def _text(value: object) -> str:
    """Any value as text that UTF-8 can carry: surrogate pairs are joined, lone ones become U+FFFD."""
    try:
        text = str.__str__(value) if isinstance(value, str) else str(value)
    except Exception:
        text = type(value).__name__
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


# ---------------------------------------------------------------- what does not fit


class _LongText(NamedTuple):
    """A text in `data` that may be cut."""

    size: int
    """Bytes between its quotes."""
    path: str
    listing: int
    """Bytes that its path takes in `data.truncated`."""
    holder: Any
    key: Any

    @property
    def saving(self) -> int:
        """The most that cutting it can save."""
        return self.size - WHOLE_TEXT_BYTES - self.listing


def _mended_fields(data: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The mended fields of `data`, and the sorted names of those in which something lay too deep."""
    fields: dict[str, Any] = {}
    deep = set()
    for name, value in data.items():
        lost: list[object] = []
        fields[_text(name)] = _mended(value, MAX_DEPTH - 1, lost)
        if lost:
            deep.add(_text(name))
    return fields, sorted(deep)


def _fitted(fields: dict[str, Any], deep: Sequence[str], room: int) -> bytes:
    """The longest texts cut to a common length; before that, whole fields dropped if it would not do."""
    fields.pop("truncated", None)
    excess = len(_written({**fields, "truncated": deep})) - room
    texts = {name: list(_long_texts(fields, name, name)) for name in fields}
    savings = {name: sum(text.saving for text in texts[name]) for name in fields}
    truncated = set(deep)

    # Naming a dropped field in `truncated` takes what its name took: its value and a colon are gained.
    gains = {name: len(_written(value)) + 1 for name, value in fields.items()}
    hopeless = excess - sum(savings.values())
    for name in sorted(fields, key=lambda name: gains[name] - savings[name], reverse=True):
        if hopeless <= 0:
            break
        hopeless -= gains[name] - savings[name]
        excess -= gains[name]
        truncated.add(name)
        del fields[name], texts[name]
    if hopeless > 0:
        return b'{"truncated":["*"]}'  # the names alone are too much

    longest = sorted((text for some in texts.values() for text in some), key=lambda text: -text.size)
    level = _level(longest, excess)
    for text in longest:
        if text.size > level:
            text.holder[text.key] = _beginning(text.holder[text.key], level)
            truncated.add(text.path)
    return _written({**fields, "truncated": sorted(truncated)})


def _long_texts(holder: Any, key: Any, path: str) -> Iterator[_LongText]:
    """The texts below `holder[key]` that are worth cutting."""
    value = holder[key]
    if isinstance(value, str):
        text = _LongText(len(_written(value)) - 2, path, len(_written(path)) + 1, holder, key)
        if text.saving > 0:
            yield text
    elif isinstance(value, dict):
        for name in value:
            yield from _long_texts(value, name, f"{path}.{name}")
    elif isinstance(value, list):
        for index in range(len(value)):
            yield from _long_texts(value, index, f"{path}.{index}")


def _level(longest: Sequence[_LongText], excess: int) -> int:
    """The greatest length to which the longest texts must be cut to save `excess` bytes in all."""
    if excess <= 0 or not longest:
        return MAX_BODY_BYTES
    left = -excess
    for count, text in enumerate(longest, start=1):
        left += text.size - text.listing
        level = left // count
        if count == len(longest) or level >= longest[count].size:
            break
    return level


def _beginning(text: str, size: int) -> str:
    """As many whole characters of the text as take at most `size` bytes in JSON."""
    lengths = range(min(len(text), size) + 1)
    return text[: bisect_right(lengths, size, key=lambda length: len(_written(text[:length])) - 2) - 1]
