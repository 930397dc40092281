"""What people do, by chance: actions of the ledger, each on a row that is there."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable
from datetime import timedelta

from tests.builders import NOON
from tests.crashes.ledger import Ledger, Script

Action = tuple[str, str]
"""Of which collection a row is taken, and what is done with it."""

ACTIONS: list[Action] = [
    ("users", "open"),
    ("users", "login"),
    ("users", "upload"),
    ("users", "close_account"),
    ("users", "roll_back"),
    *[("conversations", "say")] * 3,
    *[("conversations", "begin")] * 3,
    ("conversations", "rename"),
    ("conversations", "archive"),
    ("conversations", "turn"),
    ("conversations", "remove"),
    *[("messages", "finish")] * 2,
    *[("messages", "go_on")] * 2,
    ("messages", "edit"),
    ("messages", "rate"),
    ("messages", "rate_again"),
    ("messages", "count"),
    ("messages", "erase"),
    ("sessions", "logout"),
    *[("sessions", "rotate")] * 2,
    ("sessions", "refresh"),
    ("files", "drop"),
]

PAUSES = [0.0, 0.3, 1.0, 3.0, 12.0, 19.5, 40.0, 700.0, 7_200.0]
"""From a moment to an outage."""


def act(ledger: Ledger, action: Action, number: int, *, but: Collection[str] = ()) -> None:
    """The action on one of the youngest rows of its collection; where there is none, somebody begins anew."""
    collection, verb = action
    rows = [row for row in ledger.of(collection) if row not in but]
    if rows:
        getattr(ledger, verb)(rows[-1 - number % len(rows)])
    else:
        ledger.open(ledger.register())


def acted(actions: Iterable[tuple[Action, int, float]], *, hold: timedelta) -> Script:
    """The script of actions, each followed by a pause."""
    ledger = Ledger(now=NOON, hold=hold)
    ledger.watched()
    ledger.open(ledger.register())
    for action, number, pause in actions:
        act(ledger, action, number)
        if pause:
            ledger.pause(pause)
    return ledger.script()


def by_chance(dice: random.Random, count: int, *, hold: timedelta) -> Script:
    return acted(
        [(dice.choice(ACTIONS), dice.randrange(6), dice.choice(PAUSES)) for _ in range(count)], hold=hold
    )
