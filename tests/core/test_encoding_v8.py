"""Bodies as V8 sees them: a real Node parses each, writes it again and verifies its signature over that."""

from __future__ import annotations

import base64
import math
import random
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from watcher.config.templates.trees import read_transform
from watcher.core.bodies import Bodies
from watcher.core.changes import ChangeId
from watcher.core.cloudevents import cloud_batch
from watcher.core.encoding import MAX_BODY_BYTES, MAX_DEPTH, batch_body, close_body, open_body
from watcher.core.endpoints import Endpoint, Secret
from watcher.core.events import Entity, Event, EventId, EventType, event_id
from watcher.core.forms import CloudEvents
from watcher.core.privacy import Privacy
from watcher.core.signing import signature

ROUNDTRIP = Path(__file__).parents[1] / "node" / "roundtrip.js"
SECRET = "your-webhook-secret"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="needs `node` on PATH: V8 is what is asked here")


def refused_by_v8(bodies: Iterable[bytes]) -> tuple[int, list[str]]:
    """How many bodies one Node process has judged, and what it found wrong."""
    secret = Secret(key=SECRET.encode())
    lines = b"".join(
        base64.b64encode(body) + b" " + signature(body, secret).encode() + b"\n" for body in bodies
    )
    node = subprocess.run([str(NODE), ROUNDTRIP, SECRET], input=lines, capture_output=True, check=True)
    answers = node.stdout.decode().splitlines()
    return len(answers), [answer for answer in answers if answer != "ok"]


def a_body(data: dict[str, Any], *, user_id: str | None = "65f0a1b2c3d4e5f6a7b8c9d0") -> bytes:
    change = ChangeId("82" + "0" * 60)
    event = Event(
        type=EventType("message.created"),
        change=change,
        at=datetime(2026, 11, 24, 7, 0, 0, 123_456, UTC),
        entity=Entity("conversation:c1"),
        user_id=user_id,
        data=data,
    )
    return close_body(open_body(event), event_id(change, event.type, "crm"))


# ---------------------------------------------------------------- laws


def test_v8_refuses_what_is_not_its_own_form() -> None:
    checked, refused = refused_by_v8(
        [b'{"a":1}', b'{"a":1.0}', b'{"a":-0}', b'{"b":1,"7":2}', b'{"a":"\\u00fc"}', b'{"a": 1}', b'{"a":']
    )

    assert checked == 7
    assert len(refused) == 6


def test_v8_writes_every_body_back_as_it_was_and_its_signature_verifies() -> None:
    dice = random.Random(20_261_124)
    documents = [_document(dice) for _ in range(20_000)]

    checked, refused = refused_by_v8(map(a_body, documents))

    assert refused == []
    assert checked == 20_000


@pytest.mark.parametrize("name", ["floats", "doubles", "integers", "keys", "texts", "code_points", "moments"])
def test_v8_agrees_on_every_member_of_a_class(name: str) -> None:
    members = list(CLASSES[name](random.Random(7)))

    bodies = [a_body({"value": value, name: [value]}, user_id=None) for value in members]
    bodies.append(a_body({"all": members}))
    checked, refused = refused_by_v8(bodies)

    assert refused == []
    assert checked == len(members) + 1 > 50


def test_v8_agrees_on_deep_bodies() -> None:
    bodies = []
    for levels in [1, 10, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 1_000, 100_000]:
        objects: Any = 1.0
        arrays: Any = "leaf\ud800"
        for _ in range(levels):
            objects, arrays = {"1": objects, "0": levels}, [arrays]
        bodies.append(a_body({"objects": objects, "arrays": arrays}))

    checked, refused = refused_by_v8([*bodies, batch_body(bodies, at=datetime.now(UTC), batch=EventId("b"))])

    assert refused == []
    assert checked == 8


def test_v8_agrees_on_bodies_near_and_over_the_limit() -> None:
    bodies = [
        a_body({"messageId": "m1", "text": "x" * (MAX_BODY_BYTES - 300 + n)}) for n in (0, 50, 100, 300)
    ]
    for text in ["ü", "日本", "a😀", "\x01", "\u2028", '"\\', "\ud83d", "a\ud800\udc00"]:
        bodies.append(
            a_body({"messageId": "m1", "text": text * (2_000_000 // len(text)), "tokenCount": 1e21})
        )
    bodies.append(a_body({"numbers": [1e-7, -0.0, 2**60] * 60_000, "7": 1, "text": "😀" * 100_000}))
    bodies.append(a_body({"parts": [{"10": "日" * 900, "9": 5.0} for _ in range(1_000)], "0": "x" * 900_000}))
    bodies.append(a_body({f"{n}": float(n) for n in range(120_000, 0, -1)}))

    checked, refused = refused_by_v8(bodies)

    assert refused == []
    assert checked == 15
    assert all(len(body) <= MAX_BODY_BYTES for body in bodies)


def test_v8_agrees_on_batches() -> None:
    dice = random.Random(11)

    def batches() -> Iterator[bytes]:
        for size in [1, 2, 3, 10, 100, 500]:
            bodies = [a_body(_document(dice)) for _ in range(size)]
            yield batch_body(bodies, at=datetime.now(UTC), batch=EventId("webhook_batch"))

    checked, refused = refused_by_v8(batches())

    assert refused == []
    assert checked == 6


def test_v8_agrees_on_every_form_of_every_body() -> None:
    """Transformed, hidden in part, as CloudEvents, and as batches of them."""
    dice = random.Random(12)
    faults: list[Any] = []
    copying = {"all": "{{ data }}", "10": "{{ data.text }}", "9": "say {{ data.text }} {{ data }}", "n": 1.0}
    transform = read_transform(copying, faults)
    assert not faults
    privacy = Privacy(hash=("text",), omit=("tokenCount",), text_length=True, key=b"k")
    forms: list[dict[str, Any]] = [
        {"form": CloudEvents()},
        {"form": transform},
        {"privacy": privacy},
        {"form": CloudEvents(), "privacy": privacy},
    ]
    endpoints = [Endpoint(name="crm", url="", secrets=(), events=("*",), **form) for form in forms]

    def bodies() -> Iterator[bytes]:
        for number in range(2_000):
            event = Event(
                type=EventType("message.created"),
                change=ChangeId("82" + "0" * 60),
                at=datetime(2026, 11, 24, 7, tzinfo=UTC),
                entity=Entity(f"conversation:{dice.choice(_KEYS)}"),
                user_id=dice.choice(_KEYS),
                data=_document(dice),
            )
            made = [Bodies(event).of(each, EventId("webhook_1")).content for each in endpoints]
            yield from made
            if number % 100 == 0:
                yield cloud_batch(made, at=event.at, batch=EventId("webhook_batch"))

    checked, refused = refused_by_v8(bodies())

    assert refused == []
    assert checked == 2_000 * 4 + 20


# ---------------------------------------------------------------- adversarial values


def _floats(_: random.Random) -> Iterator[float]:
    """Both sides of every border at which a number changes its form, and every power of ten and two."""
    borders = [10.0**n for n in range(-323, 309)] + [2.0**n for n in range(-1074, 1024)]
    borders += [1.0, 1.5, 0.1, 123456.789, 999999999999999.9, 2.0**53 - 1, math.pi * 1e20, 5e-324]
    for border in borders:
        for value in (border, math.nextafter(border, 0.0), math.nextafter(border, math.inf)):
            yield value
            yield -value
    yield from (0.0, -0.0, math.nan, math.inf, -math.inf)


def _doubles(dice: random.Random) -> Iterator[float]:
    """Any 64 bits; any size; and decimal fractions as people write them."""
    for _ in range(3_000):
        yield struct.unpack("<d", dice.randbytes(8))[0]
        yield dice.uniform(-1, 1) * 10.0 ** dice.randint(-9, 23)
        yield round(dice.uniform(-1e6, 1e6), dice.randint(0, 6))


def _integers(dice: random.Random) -> Iterator[int]:
    for power in (7, 8, 15, 16, 31, 32, 52, 53, 54, 62, 63, 64, 100, 1_000):
        for step in (-2, -1, 0, 1, 2):
            yield 2**power + step
            yield -(2**power) + step
    for _ in range(200):
        yield dice.getrandbits(64) - 2**63


_KEYS = [
    "0", "00", "01", "1", "2", "9", "10", "100", "-1", "-0", "+1", "1.0", "1.5", "1e3", "0x1", " 1", "1 ",
    "2147483647", "2147483648", "4294967293", "4294967294", "4294967295", "4294967296", "9999999999",
    "10000000000", "9007199254740991", "9007199254740992", "18446744073709551615", "٣", "１",
    "NaN", "Infinity", "-Infinity", "null", "true", "length", "hasOwnProperty", "toString", "valueOf",
    "__proto__", "constructor", "prototype", "toJSON", "", "$set", "#", "a.b", '"', "\\", "ü", "😀",
    "\x00", "\x1f", "\x7f", "\u2028", "\ud800", "\udc00", "\ufffd", "\ufeff",
]  # fmt: skip


def _keys(dice: random.Random) -> Iterator[dict[Any, Any]]:
    for key in _KEYS:
        yield {"before": 1, key: {"toJSON": 1, key: 2.0}, "after": 3}
    for _ in range(300):
        yield {key: dice.random() for key in dice.sample(_KEYS, dice.randint(2, len(_KEYS)))}
        yield {str(dice.getrandbits(dice.randint(1, 36))): 1.0 for _ in range(20)}
        yield {dice.randint(-5, 50): None for _ in range(20)}


def _texts(dice: random.Random) -> Iterator[str]:
    alphabet = 'ab "\\/\b\f\n\r\t\v\x00\x1f\x7f\x80üß\u2028\u2029\ufeff\ufffd\uffff日😀\U0010ffff'
    alphabet += "\ud800\udbff\udc00\udfff"
    for char in alphabet:
        yield char
        yield f"a{char}b"
    for _ in range(500):
        yield "".join(dice.choices(alphabet, k=dice.randint(0, 40)))


def _code_points(_: random.Random) -> Iterator[str]:
    """Each there is, lone surrogates too."""
    for start in range(0, 0x110000, 0x1000):
        yield "|".join(map(chr, range(start, start + 0x1000)))


def _moments(dice: random.Random) -> Iterator[datetime]:
    for _ in range(100):
        yield datetime(1, 1, 1, tzinfo=UTC) + timedelta(seconds=dice.uniform(0, 3.1e11))


CLASSES: dict[str, Callable[[random.Random], Iterator[Any]]] = {
    "floats": _floats,
    "doubles": _doubles,
    "integers": _integers,
    "keys": _keys,
    "texts": _texts,
    "code_points": _code_points,
    "moments": _moments,
}


@cache
def _pools() -> list[list[Any]]:
    odd = [None, True, False, b"bytes", {1}, object, (1.0, 2.0), orjson.Fragment(b"1.0"), 1j]
    return [
        odd,
        *(list(make(random.Random(3))) for name, make in CLASSES.items() if name != "code_points"),
    ]


def _document(dice: random.Random) -> dict[str, Any]:
    """Like a message, with anything at all in its fields."""
    names = dice.sample(_KEYS, dice.randint(0, 4))
    return {
        "messageId": f"{dice.getrandbits(128):032x}",
        "text": _value(dice, levels=0),
        "tokenCount": float(dice.randint(0, 5_000)),
        **{name: _value(dice, levels=3) for name in names},
    }


def _value(dice: random.Random, *, levels: int) -> Any:
    kind = dice.random()
    if levels and kind < 0.25:
        return [_value(dice, levels=levels - 1) for _ in range(dice.randint(0, 4))]
    if levels and kind < 0.5:
        return {dice.choice(_KEYS): _value(dice, levels=levels - 1) for _ in range(dice.randint(0, 5))}
    return dice.choice(dice.choice(_pools()))
