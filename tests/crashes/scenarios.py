"""Short stories in which everything happens that a crash could spoil, each with receivers of its own kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tests.builders import NOON, an_endpoint
from tests.crashes.ledger import Ledger, Script
from tests.crashes.receivers import Answer, Answers
from tests.crashes.world import Setup
from watcher.core.endpoints import Endpoint, RateLimit

HOLD = timedelta(seconds=20)
EVENTS = ("*", "user.deleted")
RETRIES = (timedelta(seconds=5), timedelta(seconds=10), timedelta(seconds=15))
CRM = an_endpoint(name="crm", events=EVENTS, retry_delays=RETRIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    name: str
    setup: Setup
    answers: Answers

    def __str__(self) -> str:
        return self.name


def _answers_finished_stopped_and_deleted(ledger: Ledger) -> None:
    conversation = ledger.open("u")
    ledger.watched()
    ledger.say(conversation)
    finished, stopped = ledger.begin(conversation), ledger.begin(conversation)
    ledger.begin(conversation)
    ledger.pause(3)
    ledger.go_on(finished)
    ledger.turn(conversation)
    ledger.finish(finished)
    ledger.pause(8)
    deleted = ledger.begin(conversation)
    ledger.go_on(stopped)
    ledger.edit(finished)
    ledger.pause(2)
    ledger.erase(deleted)
    ledger.pause(30)
    ledger.finish(stopped)
    ledger.rate(stopped)


def _sessions(ledger: Ledger) -> None:
    user = ledger.register()
    ledger.pause(60)
    ledger.watched()
    session = ledger.login(user)
    ledger.pause(0.5)
    session = ledger.rotate(session)
    session = ledger.rotate(session)
    ledger.pause(1)
    ledger.logout(ledger.login(user))
    ledger.pause(5)
    ledger.refresh(session)
    ledger.logout(session)
    ledger.login(ledger.register())
    ledger.roll_back(ledger.register())
    ledger.pause(6)
    ledger.login(user)


def _endings(ledger: Ledger) -> None:
    user = ledger.register()
    first, second = ledger.open(user), ledger.open(user)
    old = [ledger.say(conversation) for conversation in (first, second, first)]
    ledger.rate(old[0])
    ledger.login(user)
    ledger.upload(user)
    ledger.pause(60)
    ledger.watched()
    ledger.pause(5)
    ledger.begin(first)
    ledger.say(first)
    ledger.rate_again(old[0])
    ledger.edit(old[1])
    ledger.pause(1)
    ledger.remove(first, messages_after=4)
    ledger.drop(ledger.upload(user))
    ledger.pause(5)
    ledger.close_account(user)


def _outage(ledger: Ledger) -> None:
    """What must be remembered for hours, should nobody read meanwhile."""
    user = ledger.register()
    conversation = ledger.open(user)
    ledger.say(conversation)
    session = ledger.login(user)
    ledger.pause(60)
    ledger.watched()
    answer = ledger.begin(conversation)
    ledger.pause(1)
    ledger.rotate(session, seconds=1)
    ledger.remove(conversation, messages_after=60)
    ledger.finish(ledger.begin(ledger.open(user)))
    assert ("messages", answer) not in ledger.rows


def _a_lost_position(ledger: Ledger) -> None:
    """Each thing is changed once while nobody reads: what happened to it more often cannot be told."""
    user = ledger.register()
    edited, erased, renamed, removed = (ledger.open(user) for _ in range(4))
    words = {conversation: ledger.say(conversation) for conversation in (edited, erased, removed)}
    ledger.pause(60)
    ledger.watched()
    ledger.pause(5)
    ledger.say(edited)
    ledger.pause(30)
    with ledger.falling():
        ledger.say(ledger.open(user))
        ledger.edit(words[edited])
        ledger.erase(words[erased])
        ledger.rename(renamed)
        ledger.remove(removed)
    ledger.pause(30)
    ledger.say(renamed)


def _a_busy_conversation(ledger: Ledger) -> None:
    conversation, other = ledger.open("u"), ledger.open("u")
    ledger.watched()
    ledger.say(conversation)
    ledger.say(other)
    ledger.say(conversation)
    ledger.pause(1)
    ledger.rename(conversation)
    ledger.say(conversation)
    ledger.pause(1)
    ledger.say(conversation)
    ledger.archive(conversation)


def _many_conversations(ledger: Ledger) -> None:
    conversations = [ledger.open("u") for _ in range(12)]
    ledger.watched()
    for conversation in conversations:
        ledger.say(conversation)
    ledger.pause(2)
    for conversation in conversations[:3]:
        ledger.say(conversation)


def _rules(*kinds: Answer) -> Answers:
    """The receivers answer in turn, but for `audit`, which takes everything at once."""
    return lambda endpoint, number, _: "ok" if endpoint == "audit" else kinds[number % len(kinds)]


def _half(endpoint: str, number: int, again: int) -> Answer:
    """Every other event can never be taken."""
    return "ok" if endpoint == "audit" or (again == 0 and number % 2 == 0) else "silent"


def _not_for_long(endpoint: str, number: int, again: int) -> Answer:
    """It is down for its first requests."""
    return "ok" if endpoint == "audit" or number >= 17 else "refused"


def _scenario(
    name: str,
    story: Callable[[Ledger], object],
    answers: Answers,
    *,
    endpoints: Sequence[Endpoint] = (CRM,),
    images: bool = True,
    recover: bool = False,
) -> Scenario:
    steady = frozenset(endpoint.name for endpoint in endpoints if endpoint.name == "audit")
    setup = Setup(
        script=_script(story),
        endpoints=endpoints,
        steady=steady,
        images=images,
        on_position_lost="recover" if recover else "fail",
        unfinished_hold=HOLD,
    )
    return Scenario(name=name, setup=setup, answers=answers)


def _script(story: Callable[[Ledger], object]) -> Script:
    ledger = Ledger(now=NOON, hold=HOLD)
    story(ledger)
    return ledger.script()


AUDIT = an_endpoint(name="audit", events=EVENTS)
BATCHING = an_endpoint(
    name="crm", events=EVENTS, retry_delays=RETRIES, rate=RateLimit(max_per_second=1, batch_size=3)
)
IMPATIENT = an_endpoint(name="crm", events=EVENTS, retry_delays=(timedelta(seconds=5),))
UNORDERED = an_endpoint(name="crm", events=EVENTS, retry_delays=RETRIES, ordered=False)

SCENARIOS = [
    _scenario("answers", _answers_finished_stopped_and_deleted, _rules("ok", "lost")),
    _scenario("answers, from memory", _answers_finished_stopped_and_deleted, _rules("ok"), images=False),
    _scenario("sessions", _sessions, _rules("ok", "error")),
    _scenario("sessions, from memory", _sessions, _rules("ok"), images=False),
    _scenario("endings", _endings, _rules("ok")),
    _scenario("endings, from memory", _endings, _rules("ok", "ok", "lost"), images=False),
    _scenario("outage", _outage, _rules("ok")),
    _scenario("a lost position", _a_lost_position, _rules("ok", "lost"), images=False, recover=True),
    _scenario(
        "every kind of answer",
        _a_busy_conversation,
        _rules("error", "later", "slow", "lost", "silent", "refused", "ok"),
        endpoints=(CRM, AUDIT),
    ),
    _scenario("batches", _a_busy_conversation, _rules("lost", "error", "ok"), endpoints=(BATCHING,)),
    _scenario("deaths", _a_busy_conversation, _half, endpoints=(IMPATIENT, AUDIT)),
    _scenario("down", _many_conversations, _not_for_long, endpoints=(IMPATIENT, AUDIT)),
    _scenario("without order", _a_busy_conversation, _rules("ok", "lost", "error"), endpoints=(UNORDERED,)),
]
