"""Explaining: what a plan makes of one change, rule by rule and endpoint by endpoint, and why.

The law: nothing is judged here. The plan, its rules, conditions and filters are asked, and what is sent is
what `Plan.entries` gives. Of a row no more is told than what data may carry, names, and kinds of values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from watcher.core.changes import Change
from watcher.core.deliveries import Delivery, Hold
from watcher.core.encoding import OpenedBody, open_body
from watcher.core.endpoints import Endpoint, Filter, subject_of
from watcher.core.events import Event, EventType
from watcher.core.forms import Documented, Failed
from watcher.core.mapping import CollectionMapping, Rule
from watcher.core.marks import Marks
from watcher.core.planning import Plan, Planned, event_of
from watcher.core.requests import address_of
from watcher.core.shortfalls import Shortfall, shortfalls
from watcher.core.views import Seen, see


@dataclass(frozen=True, slots=True, kw_only=True)
class Sifted:
    """A filter of an endpoint that an event meets."""

    filter: Filter
    shortfalls: tuple[Shortfall, ...]
    """Empty: it lets the event pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """One endpoint, seen from one event."""

    endpoint: str
    subscription: str | None
    """The pattern that asks for the event; None: not subscribed."""
    filters: tuple[Sifted, ...]
    delivery: Delivery | None
    """What it would get."""
    unaddressed: str | None
    """Why its URL or headers cannot be filled of the event, so that its first attempt is its death."""
    documented: bool
    """It gets the documented body, with nothing hidden: what the event itself shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fires:
    """It does what it says."""

    event: Event | None
    """None: a rule that only ends holds or leaves a mark."""
    opened: OpenedBody | None
    """The event as it is sent, up to its id."""
    hold: Hold | None
    aims: tuple[Aim, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherOperation:
    """It is about other operations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Untouched:
    """None of the names that it counts was written or removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """These must differ from what they were, and do not."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """These parts of its condition do not hold."""

    shortfalls: tuple[Shortfall, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """It may be this event, but what is left of the row does not tell: there is no pre-image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """It is not asked: another rule has spoken for its event. Of several that fire the first does."""

    by: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """It failed on this document. A dead delivery stands for the event wherever it would have gone."""

    error: str
    """The kind of error: its text may quote the document."""


Verdict = Fires | OtherOperation | Untouched | Alike | Unmet | Unknown | Spoken | Broken


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A rule, and what it makes of the change."""

    rule: Rule
    verdict: Verdict
    asked: bool
    """False: nobody listens to it, so `run` does not ask it at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What becomes of one change of a row that has a mapping."""

    written: tuple[str, ...]
    """Top-level names that an update wrote or removed."""
    noise: tuple[str, ...]
    """Those of them that mean nothing, unless a rule asks for one by its name."""
    judged: tuple[Judged, ...]
    planned: Planned


def explain(
    change: Change, mapping: CollectionMapping, plan: Plan, endpoints: Sequence[Endpoint], marks: Marks
) -> Explanation:
    """Why the plan, made for these endpoints, makes of the change what it makes of it."""
    planned = plan.entries([change], marks)
    asked = plan.asks(change.collection)
    written: tuple[str, ...] = ()
    noise: tuple[str, ...] = ()
    verdicts: Iterable[Verdict]
    try:
        seen = see(change, mapping.viewpoint, marks.taking(), hold=plan.unfinished_hold)
    except Exception as error:
        broken = Broken(error=type(error).__name__)
        verdicts = (
            broken if change.operation in rule.operations else OtherOperation() for rule in mapping.rules
        )
    else:
        verdicts = _verdicts(change, seen, mapping.rules, plan, endpoints, _by_event(planned))
        written = tuple(seen.view.get("touched", ()))
        noise = tuple(name for name in written if name not in seen.view["changed"])
    return Explanation(
        written=written,
        noise=noise,
        judged=tuple(
            Judged(rule=rule, verdict=verdict, asked=any(rule is each for each in asked))
            for rule, verdict in zip(mapping.rules, verdicts, strict=True)
        ),
        planned=planned,
    )


_Deliveries = dict[tuple[EventType, str], Delivery]


def _by_event(planned: Planned) -> _Deliveries:
    """An event happens once per change, and once per endpoint."""
    return {(each.event, each.endpoint): each for each in planned.entries if isinstance(each, Delivery)}


def _verdicts(
    change: Change,
    seen: Seen,
    rules: Sequence[Rule],
    plan: Plan,
    endpoints: Sequence[Endpoint],
    deliveries: _Deliveries,
) -> Iterator[Verdict]:
    spoken: dict[EventType, Rule] = {}
    for rule in rules:
        if change.operation not in rule.operations:
            yield OtherOperation()
            continue
        if rule.event in spoken:
            yield Spoken(by=spoken[rule.event])
            continue
        try:
            verdict = _verdict(change, seen, rule, plan, endpoints, deliveries)
        except Exception as error:
            verdict = Broken(error=type(error).__name__)
        if rule.event is not None and isinstance(verdict, Fires | Broken):
            spoken[rule.event] = rule
        yield verdict


def _verdict(
    change: Change,
    seen: Seen,
    rule: Rule,
    plan: Plan,
    endpoints: Sequence[Endpoint],
    deliveries: _Deliveries,
) -> Verdict:
    view = rule.fire(seen.view, known=seen.known)
    match view:
        case "untouched":
            return Untouched()
        case "alike":
            return Alike(names=rule.alike(seen.view))
        case "unmet":
            assert rule.where is not None
            return Unmet(shortfalls=shortfalls(rule.where, rule.counting(seen.view)))
        case "unknown":
            return Unknown()
        case _:
            event = event_of(change, seen, rule, view) if rule.event is not None else None
            aims = tuple(_aim(event, each, deliveries) for each in endpoints) if event is not None else ()
            return Fires(
                event=event,
                opened=open_body(event) if event is not None else None,
                hold=plan.hold(change, seen, rule),
                aims=aims,
            )


def _aim(event: Event, endpoint: Endpoint, deliveries: _Deliveries) -> Aim:
    subscription = endpoint.subscription(event.type)
    filters = endpoint.filters_of(event.type) if subscription is not None else ()
    delivery = deliveries.get((event.type, endpoint.name))
    address = address_of(delivery, endpoint) if delivery is not None and delivery.refused is None else None
    return Aim(
        endpoint=endpoint.name,
        subscription=subscription,
        filters=tuple(
            Sifted(filter=each, shortfalls=shortfalls(each.condition, subject_of(event))) for each in filters
        ),
        delivery=delivery,
        unaddressed=address.reason if isinstance(address, Failed) else None,
        documented=endpoint.privacy is None and isinstance(endpoint.form, Documented),
    )
