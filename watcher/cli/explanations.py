"""Explanations in words, and as data: each rule's verdict, and each endpoint's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, assert_never

import click

from watcher.cli.fates import fate_lines, fate_record
from watcher.cli.terminal import indented, printable
from watcher.core.encoding import close_body, timestamp
from watcher.core.events import EventId
from watcher.core.explaining import (
    Aim,
    Alike,
    Broken,
    Fires,
    Judged,
    OtherOperation,
    Sifted,
    Spoken,
    Unknown,
    Unmet,
    Untouched,
)
from watcher.core.mapping import Rule
from watcher.core.shortfalls import Shortfall, in_lines
from watcher.inquiry import Answer, Explained, PassedOver

LONGEST_TEXT = 200
"""Characters of one text of the data on a terminal; `--json` has them all."""

PASSED_OVER = {
    "no row": "it is about no row, and passed over",
    "credentials": "this collection holds credentials, and is never watched",
    "no mapping": "no mapping file speaks of this collection, so it is not watched",
}
CROSSES = {
    "yes": "",
    "noise": "MongoDB drops it: nothing was written but what is noise to every rule.",
    "nobody listens": "Nobody listens to this collection: it is not watched.",
}
LIFTS = {"cancelled": "cancels", "pending": "lets go"}


# ---------------------------------------------------------------------- in words


def in_words(number: int, answer: Answer) -> Iterator[str]:
    """Line by line."""
    if isinstance(answer, PassedOver):
        what = printable(f"{answer.operation} in {answer.collection or 'the database'}")
        yield f"{_title(number, what)}  ({answer.place}): {PASSED_OVER[answer.why]}"
        return
    change, explanation = answer.change, answer.explanation
    what = f"{change.operation} in {change.collection}"
    row = printable(change.document_id)
    yield f"{_title(number, what)}, _id {row}, {timestamp(change.at)}  ({answer.place})"
    if change.operation != "insert":
        known = "known" if change.before is not None else "not known (no pre-image)"
        yield f"   the row before it is {known}"
    if explanation.written:
        noise = f"; noise: {', '.join(explanation.noise)}" if explanation.noise else ""
        yield f"   written: {printable(', '.join(explanation.written) + noise)}"
    if CROSSES[answer.crosses]:
        yield f"   {CROSSES[answer.crosses]}"

    others = [each.rule for each in explanation.judged if isinstance(each.verdict, OtherOperation)]
    for judged in explanation.judged:
        if not isinstance(judged.verdict, OtherOperation):
            yield ""
            yield from _rule(judged)
    if events := [f"{rule.event} ({rule.place})" for rule in others if rule.event]:
        yield ""
        yield f"   about other operations: {', '.join(events)}"
    if answer.ended:
        yield ""
        yield "   held before, and no longer:"
        yield from (f"     {line}" for fate in answer.ended for line in fate_lines(fate))


def _title(number: int, text: str) -> str:
    return click.style(f"{number}. {text}", bold=True)


def _rule(judged: Judged) -> Iterator[str]:
    rule, verdict = judged.rule, judged.verdict
    fires = isinstance(verdict, Fires)
    sign = click.style("fires", fg="green", bold=True) if fires else "no" if judged.asked else "not asked"
    yield f"   {rule.event or _deed(rule)}  ({rule.place}): {sign}{_tail(judged)}"
    match verdict:
        case Fires():
            yield from (f"     {line}" for line in _consequences(rule, verdict))
        case Unmet():
            yield from (f"     {line}" for line in chain.from_iterable(map(_shortfall, verdict.shortfalls)))
        case _:
            pass


def _deed(rule: Rule) -> str:
    """What a rule without an event is there for."""
    return "an arrival" if rule.arrives else "a departure" if rule.removes else "the end of a hold"


def _tail(judged: Judged) -> str:
    """The verdict's words behind its sign."""
    nobody = "" if judged.asked else ", as nobody listens to it"
    why = _why(judged.rule, judged.verdict)
    return nobody + (f": {why}" if why else "")


def _why(rule: Rule, verdict: object) -> str:
    match verdict:
        case Untouched() if isinstance(rule.changed, frozenset):
            return f"none of {_names(sorted(rule.changed))} was written"
        case Untouched():
            exempt = f", or is excepted ({', '.join(sorted(rule.exempt))})" if rule.exempt else ""
            return f"all that was written is noise{exempt}"
        case Alike(names=names):
            return f"{_names(names)} is what it was, in the parts that count"
        case Unmet():
            return "its condition does not hold"
        case Unknown():
            return "it may be, but what the row was is not known (no pre-image)"
        case Spoken(by=by):
            return f"the rule at {by.place} has spoken for it"
        case Broken(error=error):
            return f"it failed on this document ({error}); a dead delivery stands for it"
        case _:
            return ""


def _consequences(rule: Rule, fires: Fires) -> Iterator[str]:
    if fires.opened is not None:
        body = json.loads(close_body(fires.opened, EventId("")))
        yield f"timestamp {body['timestamp']}, userId {json.dumps(body['userId'])}, data:"
        yield from indented(_shortened(body["data"]), by=0).splitlines()
    if fires.hold is not None:
        yield f"held until {timestamp(fires.hold.until)}, unless a change of the row decides sooner"
    if rule.lifts is not None:
        whose = "the row that came in its place" if rule.of == "newcomer" else "the row"
        yield f"{LIFTS[rule.lifts]} what is held of {whose}"
    if rule.removes:
        yield "what is deleted of the same after this went with it (cascade)"
    if rule.arrives:
        yield "for a moment it is remembered that this row came"
    for aim in fires.aims:
        yield from _aim(aim)


def _aim(aim: Aim) -> Iterator[str]:
    if aim.subscription is None:
        yield f"→ {aim.endpoint}: not subscribed"
    elif aim.delivery is not None and aim.delivery.refused is not None:
        cannot = click.style("cannot be told", fg="red")
        yield f"→ {aim.endpoint}: {cannot}: {printable(aim.delivery.refused)}"
        yield f"    {aim.delivery.id} is stored dead, and can be looked at"
    elif aim.delivery is not None and aim.unaddressed is not None:
        cannot = click.style("cannot be sent it", fg="red")
        yield f"→ {aim.endpoint}: {cannot}: {printable(aim.unaddressed)}"
        yield f"    {aim.delivery.id} is stored, and is dead at its first attempt if that stays so"
    elif aim.delivery is not None:
        gets = click.style("gets it", fg="green")
        passed = "".join(f", passes its filter on {each.filter.pattern}" for each in aim.filters)
        yield f"→ {aim.endpoint}: {gets}, subscribed by {aim.subscription}{passed}"
        yield f"    {aim.delivery.id}, {len(aim.delivery.body)} bytes"
        if not aim.documented:
            yield from indented(_shortened(json.loads(aim.delivery.body)), by=4).splitlines()
    else:
        yield f"→ {aim.endpoint}: does not get it: subscribed by {aim.subscription}, but a filter refuses it"
        for each in aim.filters:
            yield f"    filter on {each.filter.pattern}: {'refuses' if each.shortfalls else 'passes'}"
            for line in chain.from_iterable(map(_shortfall, each.shortfalls)):
                yield f"      {line}"


def _shortfall(shortfall: Shortfall) -> Iterator[str]:
    return map(printable, in_lines(shortfall))


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _shortened(value: Any) -> Any:
    match value:
        case str() if len(value) > LONGEST_TEXT:
            return f"{value[:LONGEST_TEXT]}… ({len(value)} characters)"
        case dict():
            return {name: _shortened(each) for name, each in value.items()}
        case list():
            return [_shortened(each) for each in value]
        case _:
            return value


# ---------------------------------------------------------------------- as data


def as_record(answer: Answer) -> dict[str, Any]:
    """The same as data."""
    if isinstance(answer, PassedOver):
        change = {"operation": answer.operation, "collection": answer.collection}
        return {"place": answer.place, "change": change, "passedOver": PASSED_OVER[answer.why]}
    return _explained(answer)


def _explained(answer: Explained) -> dict[str, Any]:
    change, explanation = answer.change, answer.explanation
    return {
        "place": answer.place,
        "change": {
            "id": change.id,
            "collection": change.collection,
            "operation": change.operation,
            "documentId": change.document_id,
            "timestamp": timestamp(change.at),
            "preImage": change.before is not None,
            "written": explanation.written,
            "noise": explanation.noise,
        },
        "crosses": answer.crosses,
        "rules": [_rule_record(judged) for judged in explanation.judged],
        "ended": [fate_record(fate) for fate in answer.ended],
    }


def _rule_record(judged: Judged) -> dict[str, Any]:
    rule = judged.rule
    record = {"event": rule.event, "place": rule.place, "summary": rule.summary, "asked": judged.asked}
    return record | _verdict_record(judged)


def _verdict_record(judged: Judged) -> dict[str, Any]:
    rule, verdict = judged.rule, judged.verdict
    match verdict:
        case Fires():
            return {"verdict": "fires"} | _fires_record(rule, verdict)
        case OtherOperation():
            return {"verdict": "other operation", "operations": sorted(rule.operations)}
        case Untouched():
            changed = sorted(rule.changed) if isinstance(rule.changed, frozenset) else rule.changed
            return {"verdict": "untouched", "changed": changed, "except": sorted(rule.exempt)}
        case Alike():
            return {"verdict": "alike", "differs": verdict.names}
        case Unmet():
            return {
                "verdict": "unmet",
                "shortfalls": [_shortfall_record(each) for each in verdict.shortfalls],
            }
        case Unknown():
            return {"verdict": "unknown"}
        case Spoken():
            return {"verdict": "spoken", "by": verdict.by.place}
        case Broken():
            return {"verdict": "broken", "error": verdict.error}
        case _:
            assert_never(verdict)


def _fires_record(rule: Rule, fires: Fires) -> dict[str, Any]:
    body = None if fires.opened is None else json.loads(close_body(fires.opened, EventId("")))
    told = {} if body is None else {name: body[name] for name in ("timestamp", "userId", "data")}
    return told | {
        "heldUntil": None if fires.hold is None else timestamp(fires.hold.until),
        "lifts": rule.lifts,
        "of": rule.of,
        "removes": rule.removes,
        "arrives": rule.arrives,
        "endpoints": [_aim_record(aim) for aim in fires.aims],
    }


def _aim_record(aim: Aim) -> dict[str, Any]:
    delivery = aim.delivery
    return {
        "endpoint": aim.endpoint,
        "sent": delivery is not None and delivery.refused is None and aim.unaddressed is None,
        "subscription": aim.subscription,
        "filters": [_filter_record(each) for each in aim.filters],
        "webhookId": None if delivery is None else delivery.id,
        "bytes": None if delivery is None else len(delivery.body),
        "refused": None if delivery is None else delivery.refused or aim.unaddressed,
        "body": None if delivery is None or aim.documented else json.loads(delivery.body),
    }


def _filter_record(sifted: Sifted) -> dict[str, Any]:
    return {
        "event": sifted.filter.pattern,
        "passes": not sifted.shortfalls,
        "shortfalls": [_shortfall_record(each) for each in sifted.shortfalls],
    }


def _shortfall_record(shortfall: Shortfall) -> dict[str, Any]:
    return {
        "condition": dict(shortfall.part),
        "found": shortfall.found,
        "alternatives": [list(map(_shortfall_record, each)) for each in shortfall.alternatives],
    }
