"""A mapping: which changes of one LibreChat collection are which events, and which fields go out.

The files in `mappings/` are its source; docs/EVENTS.md and the `events` command are made from the same.
The law: a rule says what it sends by name. Nothing that no rule names can leave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from watcher.core.changes import Operation
from watcher.core.endpoints import Predicate
from watcher.core.events import EventType
from watcher.core.expressions import NULL, Expression, RowField
from watcher.core.memory import PRINT
from watcher.core.recovery import Traces
from watcher.core.schemas import Fields
from watcher.core.views import View, Viewpoint, top

HoldKind = Literal["unfinished", "moment"]
"""What is waited for: the end of an answer, as long as the settings say; what comes a moment later."""

Unmet = Literal["untouched", "alike", "unmet", "unknown"]
"""Why a rule does not fire: none of its names was written; what must differ does not; its condition does not
hold. `unknown`: it may be this event, but what is left of the row does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A change, and what its rule makes of it."""

    place: str
    """`messages.yaml:31`."""
    given: dict[str, Any]
    sends: dict[str, Any] | Literal["nothing", "unknown"] | None = None
    """The event's data. None in a rule without an event, where `fires` says it."""
    fires: bool | None = None
    holds: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way in which a change means something. Without an event it only lifts holds or leaves a mark."""

    place: str
    operations: frozenset[Operation]
    event: EventType | None = None
    summary: str = ""
    changed: frozenset[str] | Literal["any"] | None = None
    """It fires when one of these was written or removed; `any`: something beyond noise and `exempt`."""
    exempt: frozenset[str] = frozenset()
    differs: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Fields of which these parts must differ from the pre-image. Without a pre-image they are taken to."""
    reads: frozenset[str] = frozenset()
    """Every path that its data, condition and reasons take from the view."""
    condition: Predicate | None = field(default=None, repr=False, compare=False)
    where: dict[str, Any] | None = None
    """The condition as written, for `explain`."""
    data: tuple[tuple[str, Expression], ...] = field(default=(), repr=False, compare=False)
    values: tuple[str, ...] = ()
    """Of the changed names these go into the data with their new value."""
    reasons: tuple[tuple[str, Predicate], ...] = field(default=(), repr=False, compare=False)
    """The first whose condition holds is `data.reason`."""
    removes: bool = False
    """Rows of this entity that are deleted later went by cascade."""
    arrives: bool = False
    """For a moment it is remembered that this row of the entity came."""
    holds: HoldKind | None = None
    """The event waits for what comes after it."""
    lifts: Literal["pending", "cancelled"] | None = None
    """What this change makes of the holds of a row."""
    of: Literal["row", "newcomer"] = "row"
    """Whose holds: its own row's, or those of the row that came in its place."""
    blind: bool = False
    """Fires also where no image of the row is known, only its `_id`."""
    examples: tuple[Example, ...] = field(default=(), repr=False, compare=False)

    def fire(self, view: View, *, known: bool) -> View | Unmet:
        """The view in which this rule fires: its `changed` is what this rule counts. Or why it does not."""
        if self.changed is not None:
            if "touched" in view:
                counted = self._counted(view)
                if not counted:
                    return "untouched"
                view = view | {"changed": None if view.get("vague") else counted}
            elif self.changed != "any":
                return "unknown"  # a replace, and nobody knows what of
        if not known and not self.blind:
            return "unknown"
        if self.differs and self.alike(view):
            return "alike"
        return view if self.condition is None or self.condition(view) else "unmet"

    def counting(self, view: View) -> View:
        """The view as this rule's condition and data see it: `changed` is what it counts."""
        if self.changed is None or "touched" not in view:
            return view
        return view | {"changed": self._counted(view)}

    def alike(self, view: View) -> tuple[str, ...]:
        """The fields that must differ, and do not."""
        return tuple(name for name, parts in self.differs if not _differs(view, name, parts))

    def data_of(self, view: View) -> dict[str, Any]:
        """What is sent, given the view in which this rule fired."""
        data, row = {}, view["row"]
        for name, expression in self.data:
            value = row.get(expression.name) if type(expression) is RowField else expression(view)
            if value is not None:
                data[name] = None if value is NULL else value
        if self.values:
            # Where it is not known which of them changed, all of them are as they are now.
            written = self.values if view.get("vague") else view.get("changed", ())
            data |= {name: row[name] for name in written if name in self.values and name in row}
        for reason, predicate in self.reasons:
            if predicate(view):
                data["reason"] = reason
                break
        return data

    def _counted(self, view: View) -> list[str]:
        if isinstance(self.changed, frozenset):
            # A name that a rule asks for counts, even if it is noise to the others.
            return [name for name in view["touched"] if name in self.changed]
        return [name for name in view["changed"] if name not in self.exempt]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionMapping:
    """All rules of one collection, and how its rows are seen."""

    viewpoint: Viewpoint
    noise: tuple[str, ...]
    """As written."""
    rules: tuple[Rule, ...]
    fields: Fields = field(default_factory=dict, repr=False, compare=False)
    """What the fields are that the rules send, as far as the file says."""
    traces: Traces = field(default_factory=Traces)
    """What rows tell of changes that nobody watched."""
    compared: tuple[str, ...] = ()
    """Names that `changed: any` counts and no rule sends: compared where rows are remembered."""

    @property
    def collection(self) -> str:
        return self.viewpoint.collection

    @property
    def holds_for_a_moment(self) -> bool:
        return any(rule.holds == "moment" for rule in self.rules)

    def remembering(self, rules: Iterable[Rule], *, compare: bool) -> frozenset[str]:
        """The names that these rules need of a row before it changes, where there are no pre-images.

        None, if none of them speaks of deleted rows, or of a difference that no update tells.
        `compare`: with prints of what they call a change, so that one which nobody watched can be found."""
        live = tuple(rules)
        if not any(
            rule.differs or ("delete" in rule.operations and (rule.event or not rule.blind)) for rule in live
        ):
            return frozenset()
        names = {*self.viewpoint.deadlines, *self.viewpoint.names}
        for rule in live:
            names.update(name for name, _ in rule.differs)
            if "outwaited" in rule.reads:
                names.add("createdAt")
            names.update(_names_below("before", rule.reads))
            if "delete" in rule.operations:
                names.update(_names_below("row", rule.reads))
        printed = self._telling(live) - names if compare else frozenset()
        return frozenset({*names, *(f"{PRINT}{name}" for name in printed)} - {"_id"})

    def hides(self, rules: Iterable[Rule]) -> bool:
        """May a row have changed, by these rules, without a stamp that tells? Then only reading all rows and
        comparing them with what was remembered finds it."""
        telling = any(rule.event is not None and rule.changed is not None for rule in rules)
        stamped = any(stamp.names == "any" for stamp in self.traces.stamps)
        return telling and (bool(self.traces.unstamped) or not stamped)

    def _telling(self, rules: Iterable[Rule]) -> frozenset[str]:
        """The names whose change is an event by these rules."""
        names: set[str] = set()
        for rule in rules:
            if rule.event is None or rule.changed is None:
                continue
            if rule.changed == "any":
                known = {*rule.values, *self.compared, *_names_below("row", rule.reads)}
                names |= {name for name in known - rule.exempt if name not in self.viewpoint.noise}
            else:
                names |= rule.changed
        return frozenset(names - {"_id"})

    def never_telling(self, *, but: Iterable[str] = ()) -> tuple[str, ...]:
        """The names that the server may judge by: an update of these alone fires no rule at all.

        `but`: names that somebody wants to hear of all the same."""
        asked = {name for rule in self.rules for name in _asked_by(rule)} | set(but)
        return tuple(pattern for pattern in self.noise if not any(_matches(pattern, name) for name in asked))


def _names_below(root: str, paths: Iterable[str]) -> Iterable[str]:
    return (top(path.removeprefix(f"{root}.")) for path in paths if path.startswith(f"{root}."))


def _asked_by(rule: Rule) -> set[str]:
    names = set() if rule.changed is None or rule.changed == "any" else set(rule.changed)
    return names | {top(path) for path in _updates_in(rule.where)}


def _updates_in(condition: Any) -> list[str]:
    """The fields of the update that a condition looks at, below `updated.`."""
    if isinstance(condition, list):
        return [path for part in condition for path in _updates_in(part)]
    if not isinstance(condition, dict):
        return []
    own = [key.removeprefix("updated.") for key in condition if key.startswith("updated.")]
    return own + [path for part in condition.values() for path in _updates_in(part)]


def _matches(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _differs(view: View, name: str, parts: Sequence[str]) -> bool:
    before = view.get("before")
    return before is None or _parts(before.get(name), parts) != _parts(view["row"].get(name), parts)


def _parts(value: Any, parts: Sequence[str]) -> Any:
    if not isinstance(value, dict):
        return value
    picked = [value.get(part) for part in parts]
    return picked if any(part is not None for part in picked) else None
