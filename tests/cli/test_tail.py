"""What `tail` shows on a terminal, and what it says beside the events."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.builders import NOON, a_delivery
from watcher.cli.tail import Teller
from watcher.core.events import EventId, EventType
from watcher.core.facts import PositionRestarted, Refused, StreamLost, StreamOpened, Unreadable
from watcher.showing import NothingRemembered, Shown


def shown(*endpoints: str, **data: object) -> Shown:
    body = {"event": "message.created", "timestamp": "2026-11-24T12:00:00.000Z", "data": data, "userId": "u1"}
    return Shown(endpoints=endpoints, delivery=a_delivery(body=json.dumps(body, ensure_ascii=False).encode()))


def test_on_a_terminal_an_event_is_a_line_and_its_data(capsys: pytest.CaptureFixture[str]) -> None:
    Teller(bodies=False).show(shown("crm", "audit", messageId="m1", text="é🧵"))

    head, *data = capsys.readouterr().out.splitlines()
    assert head == "2026-11-24T12:00:00.000Z  message.created         → crm, audit"
    assert json.loads("\n".join(data)) == {"messageId": "m1", "text": "é🧵"}
    assert all(line.startswith("  ") for line in data)


def test_a_body_of_another_form_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    for body in ({"text": "é"}, "é", [{"event": 1}]):
        written = json.dumps(body, ensure_ascii=False).encode()
        Teller(bodies=False).show(Shown(endpoints=("slack",), delivery=a_delivery(body=written)))

        head, *told = capsys.readouterr().out.splitlines()
        assert head == "2026-11-24T12:00:00.000Z  message.created         → slack"
        assert json.loads("\n".join(told)) == body


def test_what_people_wrote_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Teller(bodies=False).show(shown("crm", text="\x1b[2J\x9b2J\u202e\r"))

    out = capsys.readouterr().out
    assert all(line.isprintable() for line in out.split("\n"))


def test_elsewhere_an_event_is_its_body_and_nothing_else(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    event = shown("crm", text="\x9b\u2028é")

    Teller(bodies=True).show(event)

    captured = capsysbinary.readouterr()
    assert captured.out == event.delivery.body + b"\n"
    assert captured.err == b""


def test_what_there_is_to_say_goes_beside_the_events(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller(bodies=True)

    teller.observe(StreamOpened(resumed=False))
    teller.observe(StreamLost(reason="MongoDB at a:1 is electing\x1b", retry_in=timedelta(seconds=1)))
    teller.observe(StreamOpened(resumed=True))
    teller.observe(PositionRestarted(since=NOON, until=NOON, reason="it fell off"))
    for _ in range(2):
        teller.observe(NothingRemembered(collections=("files",)))
        teller.observe(Unreadable(collection="files", event=EventType("file.deleted"), reason="no pre-image"))
        teller.observe(
            Refused(endpoint="slack", id=EventId("w"), event=EventType("user.login"), reason="transform: x")
        )
    teller.say(teller.summary)

    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0] == "Reading (Ctrl-C ends)."
    assert lines[1:4] == ["MongoDB at a:1 is electing�", "Trying again.", "Reading again."]
    assert captured.err.count("No pre-images") == 1
    assert lines[-3:] == [
        "0 events shown",
        "2 could not be told: file.deleted: no pre-image",
        "2 could not be told: user.login for slack: transform: x",
    ]
