"""Planning: mappings × endpoints, applied to changes, give the entries of the outbox.

The laws: the same changes give the same entries, byte for byte, on every replay; and no document, however
damaged, stops the stream: what goes wrong with one becomes a fact, and a refused delivery to be seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self, assert_never

from watcher.core.bodies import Bodies
from watcher.core.catalogue import GAP
from watcher.core.changes import Change, ChangeId, Checkpoint
from watcher.core.deliveries import Delivery, Hold, Lift
from watcher.core.endpoints import Endpoint
from watcher.core.events import Entity, Event, EventType, event_id
from watcher.core.facts import Refused, Unreadable
from watcher.core.mapping import CollectionMapping, Rule
from watcher.core.marks import MOMENT, Mark, Marks, Taking
from watcher.core.memory import plain_names
from watcher.core.recovery import Gap, Traces
from watcher.core.views import Seen, View, Viewpoint, row_entity, see

RECOVERED = {"recovered": True}

NO_IMAGE = "no pre-image: what the row was is not known, so nothing can be said of it"
LIFTED = {
    "cancelled": "its row was finished or rewritten, and is sent as it is then",
    "pending": "its row was settled",
    "overtaken": "something else happened to the same thing",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a batch of changes comes to."""

    entries: tuple[Delivery | Lift, ...]
    """In order: commit order of the changes, then the order of the rules."""
    marks: tuple[Mark, ...]
    events: Counter[EventType]
    """Events that happened and were subscribed to by somebody, whether or not a filter let them pass."""
    facts: tuple[Unreadable | Refused, ...]


@dataclass(frozen=True, slots=True)
class _Aimed:
    """A rule, and who subscribes to its event: each endpoint, and whether it has a filter to ask."""

    rule: Rule
    endpoints: tuple[tuple[Endpoint, bool], ...]


@dataclass(slots=True)
class _Draft:
    """A plan in the making, one per batch."""

    marks: Taking
    entries: list[Delivery | Lift] = field(default_factory=list)
    facts: list[Unreadable | Refused] = field(default_factory=list)
    events: Counter[EventType] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which rules matter, and for whom. Made anew whenever the settings change."""

    collections: tuple[str, ...]
    """What the source must watch for these endpoints, those first to whose rows others belong; a plan with
    others needs the stream opened anew."""
    traces: Mapping[str, Traces]
    """What rows of each tell of changes that nobody watched."""
    hidden: frozenset[str]
    """Collections in which such a change may have left no trace but the difference to what is remembered."""
    noise: Mapping[str, tuple[str, ...]]
    """For each watched collection the names whose update alone fires no rule: the server may drop it."""
    remembered: Mapping[str, frozenset[str]]
    """For each collection the names that must be known of a row before it changes. A collection without
    pre-images needs a memory of them; one that is not named here needs none."""
    noise_to_memory: Mapping[str, tuple[str, ...]]
    """`noise` where there is a memory: it must hear of every change of what it remembers."""
    unfinished_hold: timedelta
    _rules: Mapping[tuple[str, str], tuple[_Aimed, ...]] = field(repr=False)
    _viewpoints: Mapping[str, Viewpoint] = field(repr=False)
    _endpoints: tuple[Endpoint, ...] = field(repr=False)
    _momentary: frozenset[str] = frozenset()
    """Kinds of things of which some events are held for a moment. Others of them must not overtake these."""

    @classmethod
    def of(
        cls,
        mappings: Iterable[CollectionMapping],
        endpoints: Iterable[Endpoint],
        *,
        unfinished_hold: timedelta,
        recover: bool = True,
    ) -> Self:
        """`recover`: what a lost position leaves unread is to be found again (`onPositionLost: recover`)."""
        listed, receivers = tuple(mappings), tuple(endpoints)
        needed = _needed(listed, receivers)
        live = sorted((mapping for mapping in listed if needed[mapping.collection]), key=_rank)
        remembered = {
            mapping.collection: names
            for mapping in live
            if (
                names := mapping.remembering(
                    (aimed.rule for aimed in needed[mapping.collection]), compare=recover
                )
            )
        }
        rules: dict[tuple[str, str], tuple[_Aimed, ...]] = {}
        for mapping in live:
            for aimed in needed[mapping.collection]:
                for operation in aimed.rule.operations:
                    key = (mapping.collection, operation)
                    rules[key] = (*rules.get(key, ()), aimed)
        return cls(
            collections=tuple(mapping.collection for mapping in live),
            traces={mapping.collection: mapping.traces for mapping in live},
            hidden=frozenset(
                mapping.collection
                for mapping in live
                if mapping.hides(aimed.rule for aimed in needed[mapping.collection])
            ),
            noise={mapping.collection: mapping.never_telling() for mapping in live},
            remembered=remembered,
            noise_to_memory={
                mapping.collection: mapping.never_telling(
                    but=plain_names(remembered.get(mapping.collection, ()))
                )
                for mapping in live
            },
            unfinished_hold=unfinished_hold,
            _rules=rules,
            _viewpoints={mapping.collection: mapping.viewpoint for mapping in live},
            _endpoints=receivers,
            _momentary=frozenset(
                mapping.viewpoint.kind
                for mapping in live
                if mapping.viewpoint.kind is not None and mapping.holds_for_a_moment
            ),
        )

    @property
    def longest_hold(self) -> timedelta:
        return max(self.unfinished_hold, MOMENT)

    @property
    def receivers(self) -> int:
        """How many endpoints there are."""
        return len(self._endpoints)

    def entries(self, changes: Sequence[Change], marks: Marks, *, recovering: bool = False) -> Planned:
        """What the changes mean to the endpoints. Marks made by this batch count for what follows in it.

        `recovering`: the changes were found, and their order in time is not known."""
        draft = _Draft(marks.taking(any_time=recovering))
        for change in changes:
            rules = self._rules.get((change.collection, change.operation))
            if rules is not None:
                self._plan(change, rules, draft)
        return Planned(
            entries=tuple(draft.entries),
            marks=draft.marks.made,
            events=draft.events,
            facts=tuple(draft.facts),
        )

    def gap(
        self, gap: Gap, checkpoint: Checkpoint, *, repaired: bool, counts: Mapping[str, int]
    ) -> Sequence[Delivery]:
        """What endpoints that subscribe to `watcher.gap` are told of one. `checkpoint`: where it ends."""
        event = Event(
            type=GAP.event,
            change=ChangeId(checkpoint.token),
            at=gap.until,
            entity=Entity("watcher:gap"),
            user_id=None,
            data={
                "from": gap.since,
                "to": gap.until,
                "reason": gap.reason,
                "repaired": repaired,
                "counts": dict(sorted(counts.items())),
            },
        )
        bodies = Bodies(event)
        return [
            _delivery(event, endpoint, bodies, event.entity)
            for endpoint in self._endpoints
            if endpoint.wants(event)
        ]

    def asks(self, collection: str) -> Sequence[Rule]:
        """The rules of a collection that somebody listens to, or depends on. Others are never asked."""
        return [
            aimed.rule for (name, _), rules in self._rules.items() if name == collection for aimed in rules
        ]

    def hold(self, change: Change, seen: Seen, rule: Rule) -> Hold | None:
        """What an event of this rule waits for, if it waits."""
        match rule.holds:
            case None:
                return None
            case "moment":
                until = change.at + MOMENT
            case "unfinished":
                until = change.at + self.unfinished_hold
                if seen.created is not None and change.operation != "insert":
                    # Rewriting a held row does not make the wait longer.
                    until = max(change.at, min(until, seen.created + self.unfinished_hold))
            case _:
                assert_never(rule.holds)
        return Hold(key=row_entity(change), until=until)

    def _plan(self, change: Change, rules: Sequence[_Aimed], draft: _Draft) -> None:
        try:
            seen = see(change, self._viewpoints[change.collection], draft.marks, hold=self.unfinished_hold)
        except Exception as error:
            for aimed in {each.rule.event: each for each in rules}.values():
                _refuse(change, aimed, error, draft)
            return
        sent: set[EventType] = set()
        for aimed in rules:
            # Of several rules for an event the first that fires speaks: an event has one id per change.
            if aimed.rule.event in sent:
                continue
            try:
                fired = self._apply(change, seen, aimed, draft)
            except Exception as error:
                # Its text may quote the document; its type does not.
                _refuse(change, aimed, error, draft)
                fired = True
            if fired and aimed.rule.event is not None:
                sent.add(aimed.rule.event)

    def _apply(self, change: Change, seen: Seen, aimed: _Aimed, draft: _Draft) -> bool:
        """Plan what one rule makes of a change; whether it fired."""
        rule = aimed.rule
        view = rule.fire(seen.view, known=seen.known)
        if isinstance(view, str):
            if view == "unknown" and aimed.endpoints:
                draft.facts.append(
                    Unreadable(collection=change.collection, event=rule.event, reason=NO_IMAGE)
                )
            return False

        # The event first: if making it fails, nothing of this rule is planned.
        row = row_entity(change)
        deliveries: Sequence[Delivery] = ()
        if rule.event is not None and aimed.endpoints:
            event = event_of(change, seen, rule, view)
            hold = self.hold(change, seen, rule) if rule.holds is not None else None
            deliveries = _deliveries(event, aimed, row, hold)
            draft.facts += refusals(deliveries)
            draft.events[rule.event] += 1
        if rule.lifts is not None:
            key = seen.newcomer.row if rule.of == "newcomer" and seen.newcomer else None
            reason = rule.summary if rule.event is None and rule.summary else LIFTED[rule.lifts]
            draft.entries.append(Lift(key=key or row, to=rule.lifts, reason=reason))
        if deliveries and rule.holds is None and self._viewpoints[change.collection].kind in self._momentary:
            draft.entries.append(Lift(key=seen.entity, by="entity", to="pending", reason=LIFTED["overtaken"]))
        draft.entries += deliveries
        if rule.removes:
            draft.marks.departs(seen.whole, change.at)
        if rule.arrives:
            draft.marks.arrives(seen.entity, row, change.at)
        if rule.of == "newcomer" and seen.newcomer is not None:
            draft.marks.spend(seen.newcomer)
        return True


def owed(event: Event, endpoint: Endpoint) -> Delivery:
    """The event as this endpoint gets it, whether or not it asks for it."""
    return _delivery(event, endpoint, Bodies(event), event.entity)


def refusals(deliveries: Iterable[Delivery]) -> Iterator[Refused]:
    """What is to be told of deliveries whose body could not be made."""
    for each in deliveries:
        if each.refused is not None:
            yield Refused(endpoint=each.endpoint, id=each.id, event=each.event, reason=each.refused)


def anybody(mappings: Iterable[CollectionMapping]) -> Endpoint:
    """Who wants every event of the mapping files: it stands in where nobody is configured."""
    events = dict.fromkeys(rule.event for mapping in mappings for rule in mapping.rules if rule.event)
    return Endpoint(name="default", url="", secrets=(), events=tuple(events))


def event_of(change: Change, seen: Seen, rule: Rule, view: View) -> Event:
    """The event of a rule that fired in this view."""
    assert rule.event is not None
    return Event(
        type=rule.event,
        change=change.id,
        at=change.at,
        entity=seen.entity,
        user_id=seen.user_id,
        data=rule.data_of(view) | (RECOVERED if change.recovered else {}),
    )


def _rank(mapping: CollectionMapping) -> tuple[bool, bool, str]:
    """Accounts first, then other things that rows of other collections belong to, then the rest by name."""
    holds_others = any(rule.removes for rule in mapping.rules)
    return not (holds_others and mapping.viewpoint.kind == "user"), not holds_others, mapping.collection


def _needed(
    mappings: Sequence[CollectionMapping], endpoints: Sequence[Endpoint]
) -> Mapping[str, tuple[_Aimed, ...]]:
    """The rules of each collection that somebody listens to, or that those depend on."""
    aimed = {
        mapping.collection: [_Aimed(rule, _listeners(rule, endpoints)) for rule in mapping.rules]
        for mapping in mappings
    }
    heard = [each for rules in aimed.values() for each in rules if each.endpoints]
    reasons = any(each.rule.reasons for each in heard)
    return {
        collection: tuple(
            each
            for each in rules
            if each.endpoints
            or (reasons and each.rule.removes)
            or (each.rule.lifts and any(other.rule.holds and other.endpoints for other in rules))
            or ((each.rule.arrives or each.rule.of == "newcomer") and any(other.endpoints for other in rules))
        )
        for collection, rules in aimed.items()
    }


def _listeners(rule: Rule, endpoints: Sequence[Endpoint]) -> tuple[tuple[Endpoint, bool], ...]:
    event = rule.event
    if event is None:
        return ()
    return tuple(
        (endpoint, bool(endpoint.filters_of(event))) for endpoint in endpoints if endpoint.subscribes(event)
    )


def _deliveries(event: Event, aimed: _Aimed, row: Entity, hold: Hold | None) -> Sequence[Delivery]:
    """The event for every endpoint that wants it."""
    bodies = Bodies(event)
    return [
        _delivery(event, endpoint, bodies, row, hold=hold)
        for endpoint, filtered in aimed.endpoints
        if not filtered or endpoint.wants(event)
    ]


def _delivery(
    event: Event,
    endpoint: Endpoint,
    bodies: Bodies,
    row: Entity,
    *,
    hold: Hold | None = None,
    refused: str | None = None,
) -> Delivery:
    webhook_id = event_id(event.change, event.type, endpoint.name)
    body = bodies.of(endpoint, webhook_id) if refused is None else bodies.bare(webhook_id)
    refused = refused or body.refused
    return Delivery(
        id=webhook_id,
        endpoint=endpoint.name,
        event=event.type,
        # Without order each delivery stands in a line of its own.
        entity=event.entity if endpoint.ordered else Entity(webhook_id),
        row=row,
        at=event.at,
        body=body.content,
        context=body.context,
        hold=hold if refused is None else None,
        user=event.user_id,
        conversation=conversation_of(event),
        refused=refused,
    )


def conversation_of(event: Event) -> str | None:
    """Which conversation it is about, or is a part of."""
    conversation = event.data.get("conversationId")
    return conversation if isinstance(conversation, str) else None


def _refuse(change: Change, aimed: _Aimed, error: Exception, draft: _Draft) -> None:
    """Tell what cannot be sent, and leave a dead delivery for it wherever it would have gone."""
    rule = aimed.rule
    reason = f"{type(error).__name__} in the rule at {rule.place}"
    draft.facts.append(Unreadable(collection=change.collection, event=rule.event, reason=reason))
    if rule.event is None:
        return
    row = row_entity(change)
    event = Event(type=rule.event, change=change.id, at=change.at, entity=row, user_id=None, data={})
    bodies = Bodies(event)
    draft.entries += [
        _delivery(event, endpoint, bodies, row, refused=reason) for endpoint, _ in aimed.endpoints
    ]
