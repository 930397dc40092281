"""The referee sees what is wrong, and nothing where all is well."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from tests.chaos.ledger import Ledger
from tests.chaos.receiver import Arrival
from tests.chaos.referee import Doubt, Referee, Ruling

WRONGS = ("lost", "invented", "id_changes", "byte_changes", "inversions", "unsigned")


def a_ledger() -> Ledger:
    ledger = Ledger()
    for number in range(3):
        ledger.note("conversation:c", "message.created", f"m{number}")
    return ledger


def an_arrival(number: int, *, at: float = 0, text: str = "hi", **fields: Any) -> Arrival:
    identity = fields.pop("id", f"webhook_{number}")
    data = {"messageId": f"m{number}", "text": text}
    body = json.dumps({"event": "message.created", "data": data, "webhookId": identity}).encode()
    whole = {"endpoint": "crm", "signed": True, "accepted": True, "heard": True, **fields}
    return Arrival(id=identity, body=body, at=at, **whole)


def ruling_on(arrivals: Sequence[Arrival], doubts: Sequence[Doubt] = ()) -> Ruling:
    referee = Referee(["crm"])
    for arrival in arrivals:
        referee.take(arrival)
    return referee.rule(a_ledger(), doubts)


IN_ORDER = [an_arrival(0, at=0), an_arrival(1, at=1), an_arrival(2, at=2)]


def test_all_in_order_is_clean():
    ruling = ruling_on(IN_ORDER)

    assert ruling.clean
    assert (ruling.events, ruling.deliveries, ruling.requests, ruling.repeats) == (3, 3, 3, Counter())


@pytest.mark.parametrize(
    ("wrong", "arrivals"),
    [
        ("lost", IN_ORDER[:2]),
        ("lost", [*IN_ORDER[:2], an_arrival(2, accepted=False)]),
        ("invented", [*IN_ORDER, an_arrival(3)]),
        ("id_changes", [*IN_ORDER, an_arrival(2, id="webhook_other")]),
        ("byte_changes", [an_arrival(0, text="ho", accepted=False), *IN_ORDER]),
        ("inversions", [IN_ORDER[0], IN_ORDER[2], IN_ORDER[1]]),
        ("unsigned", [an_arrival(0, signed=False), *IN_ORDER[1:]]),
    ],
)
def test_each_wrong_is_seen_and_called_by_its_name(wrong, arrivals):
    ruling = ruling_on(arrivals)

    assert not ruling.clean
    assert [name for name in WRONGS if getattr(ruling, name)] == [wrong]


def test_order_is_that_of_first_acceptance():
    refused = an_arrival(2, accepted=False)

    assert ruling_on([refused, *IN_ORDER]).clean
    assert ruling_on([*IN_ORDER, an_arrival(0, at=9)]).inversions == 0


@pytest.mark.parametrize(
    ("first", "again", "cause"),
    [
        (an_arrival(2, at=10), an_arrival(2, at=12), "kill"),
        (an_arrival(2, at=7), an_arrival(2, at=9), "a time-out"),
        (an_arrival(2, at=12), an_arrival(2, at=14), "a time-out"),
        (an_arrival(2, at=0, heard=False), an_arrival(2, at=2), "an answer too late"),
    ],
)
def test_a_repeat_is_explained_by_what_kept_the_answer_from_the_store(first, again, cause):
    kill = Doubt(cause="kill", began=9.5, ended=11, endpoint="crm")

    ruling = ruling_on([*IN_ORDER[:2], first, again], [kill])

    assert ruling.clean
    assert ruling.repeats == Counter({cause: 1})
