"""Lines on a stream."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import datetime

import pytest

from tests.builders import an_endpoint
from watcher.adapters.lines import Lines, as_json, for_terminal
from watcher.core.endpoints import Secret


class Stream(io.StringIO):
    """Notes each write, and fails while it is full."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []
        self.full = False

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        self.writes.append(text)
        return len(text)


def told(stream: Stream) -> list[str]:
    return [json.loads(line)["event"] for line in "".join(stream.writes).splitlines()]


def test_a_line_is_json_with_its_level_and_the_time() -> None:
    stream = Stream()

    Lines(stream, as_json, "info").warning("stream.lost", reason="“gone”", retry_in_ms=1.5, by={"crm": 1})

    line = json.loads(stream.writes[0])
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is not None
    assert line == {
        "reason": "“gone”", "retry_in_ms": 1.5, "by": {"crm": 1}, "event": "stream.lost", "level": "warning"
    }  # fmt: skip
    assert '"event": "stream.lost"' in stream.writes[0], "what operators search for"


def test_what_is_below_the_level_is_left_out() -> None:
    stream = Stream()
    lines = Lines(stream, as_json, "warning")

    lines.debug("one")
    lines.info("two")
    lines.error("three")

    assert told(stream) == ["three"]


async def test_lines_of_one_turn_of_the_loop_are_written_together() -> None:
    stream = Stream()
    lines = Lines(stream, as_json, "info")

    lines.info("one")
    lines.info("two")
    assert stream.writes == []
    await asyncio.sleep(0)

    assert len(stream.writes) == 1
    assert told(stream) == ["one", "two"]


async def test_a_line_that_cannot_be_written_is_told_by_the_next_one_and_keeps_none_from_being_written() -> (
    None
):
    stream = Stream()
    lines = Lines(stream, as_json, "info")
    stream.full = True
    lines.info("lost")
    await asyncio.sleep(0)
    stream.full = False

    with pytest.raises(OSError, match="No space left"):
        lines.info("two")
    lines.info("three")
    await asyncio.sleep(0)

    assert told(stream) == ["two", "three"]


async def test_lines_of_one_moment_are_each_of_its_level_and_none_is_lost_by_an_earlier_one() -> None:
    stream = Stream()
    lines = Lines(stream, as_json, "info")
    stream.full = True
    lines.info("lost")
    await asyncio.sleep(0)
    stream.full = False

    with pytest.raises(OSError, match="No space left"):
        lines.write("tried", [("info", {"id": 1}), ("debug", {"id": 2}), ("error", {"id": 3})])
    await asyncio.sleep(0)

    one, three = (json.loads(line) for line in stream.writes[0].splitlines())
    assert (one["id"], one["level"], three["id"], three["level"]) == (1, "info", 3, "error")
    assert one["timestamp"] == three["timestamp"]


async def test_a_line_that_cannot_be_made_keeps_none_of_its_moment_from_being_written() -> None:
    def render(values: dict[str, object]) -> str:
        if values["id"] == 2:
            raise ValueError("odd")
        return as_json(values)

    stream = Stream()
    lines = Lines(stream, render, "info")

    with pytest.raises(ValueError, match="odd"):
        lines.write("tried", [("info", {"id": 1}), ("info", {"id": 2}), ("info", {"id": 3})])
    await asyncio.sleep(0)

    assert [json.loads(line)["id"] for line in stream.writes[0].splitlines()] == [1, 3]


@pytest.mark.parametrize("render", [as_json, for_terminal(colors=False)])
def test_a_password_is_not_written_however_deep_it_lies(render) -> None:
    stream = Stream()
    uri = "mongodb://robot:pass@word/x@db.example/chat"

    Lines(stream, render, "info").info("odd", reason=uri, more={"deep": [uri]}, strange=ValueError(uri))

    assert "word" not in stream.writes[0]
    assert "mongodb://…@db.example/chat" in stream.writes[0]


@pytest.mark.parametrize("render", [as_json, for_terminal(colors=False)])
def test_of_our_own_values_no_secret_is_written(render) -> None:
    stream = Stream()

    Lines(stream, render, "info").info("odd", secret=Secret(key=b"hunter2!"), deep=[an_endpoint()])

    assert "hunter2!" not in stream.writes[0]
    assert "Secret()" in stream.writes[0]


@pytest.mark.parametrize("odd", [2**70, "half a pair \ud800", '","reason":":"', {1, 2}])
def test_whatever_the_values_are_the_line_is_json(odd) -> None:
    stream = Stream()

    Lines(stream, as_json, "info").info("odd", value=odd, deep=[{"value": odd}])

    told = json.loads(stream.writes[0])
    assert told["value"] == told["deep"][0]["value"] == (repr(odd) if isinstance(odd, set) else odd)
