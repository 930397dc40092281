"""One rule of a mapping file: what its keys may be, and the compiled rule that they make."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from watcher.config.mapping_words import Words
from watcher.config.report import Report
from watcher.config.yaml_positions import Path, Position
from watcher.core.changes import Operation
from watcher.core.conditions import BadCondition, compile_condition
from watcher.core.endpoints import Predicate
from watcher.core.events import EventType
from watcher.core.examples import GIVEN
from watcher.core.expressions import BadExpression, Expression, check_path, compile_expression, paths_in
from watcher.core.mapping import Example, HoldKind, Rule
from watcher.core.secrets import is_secret

KEYS = (
    "event",
    "summary",
    "operations",
    "changed",
    "except",
    "differs",
    "where",
    "data",
    "values",
    "reason",
    "removes",
    "arrives",
    "hold",
    "lifts",
    "of",
    "blind",
    "examples",
)
EXAMPLE_KEYS = ("given", "sends", "fires", "holds")
OPERATIONS = ("insert", "update", "replace", "delete")
REASONS = ("user", "cascade", "ttl", "retention")

_EVENT = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_IMAGES = ("row", "before", "after", "updated")


@dataclass(frozen=True, slots=True)
class RuleReader:
    """Reads the rules of one file. What is wrong goes into the report."""

    collection: str
    kind: str | None
    file: str
    positions: Mapping[Path, Position]
    report: Report
    every: Any = None
    """A condition of the whole file, as written: it stands before the condition of each rule."""

    def read(self, raw: Any, path: Path) -> Rule | None:
        words = Words(self.report)
        keys = words.keys(raw, path, KEYS)
        if keys is None:
            return None
        event = self._event(keys, path, words)
        changed = self._changed(keys, path, words)
        values = words.names(keys, path, "values")
        if values and changed is None:
            self.report.add((*path, "values"), "of which names?", "write `changed:` beside it")
        self.refuse_secrets([f"row.{name}" for name in values], (*path, "values"))
        lifts = words.choice(keys, path, "lifts", ("pending", "cancelled"))
        if event is None and not {"lifts", "removes", "arrives"} & keys.keys():
            cure = "write `event:`, `lifts:`, `removes:` or `arrives:`"
            self.report.add(path, "a rule that does nothing", cure)
        where, condition = self._where(keys, path)
        return Rule(
            place=self._place(path),
            operations=self._operations(keys, path, words),
            event=event,
            summary=words.text(keys, path, "summary") or "",
            changed=changed,
            exempt=frozenset(words.names(keys, path, "except")),
            differs=tuple(self._differs(keys, path)),
            reads=frozenset(_reads(keys, where)),
            condition=condition,
            where=where,
            data=tuple(self._data(keys, path)),
            values=values,
            reasons=tuple(self._reasons(keys, path)),
            removes=self._entity(keys, path, words, "removes"),
            arrives=self._entity(keys, path, words, "arrives"),
            holds=cast("HoldKind | None", words.choice(keys, path, "hold", get_args(HoldKind))),
            lifts=cast("Literal['pending', 'cancelled'] | None", lifts),
            of=cast(
                "Literal['row', 'newcomer']", words.choice(keys, path, "of", ("row", "newcomer")) or "row"
            ),
            blind=words.flag(keys, path, "blind"),
            examples=tuple(self._examples(keys, path, words, has_event=event is not None)),
        )

    def _place(self, path: Path) -> str:
        return f"{self.file}:{self.positions[path].line}"

    def _event(self, keys: Mapping[str, Any], path: Path, words: Words) -> EventType | None:
        name = words.text(keys, path, "event")
        if name is None:
            return None
        if not _EVENT.fullmatch(name) or name.startswith("watcher."):
            cure = "write two words with a dot between, as `conversation.pinned`; `watcher.` is ours"
            self.report.add((*path, "event"), f"`{name}` cannot be an event's name", cure)
        if "summary" not in keys:
            self.report.add((*path, "summary"), "is missing", "say in one line when the event happens")
        return EventType(name)

    def _operations(self, keys: Mapping[str, Any], path: Path, words: Words) -> frozenset[Operation]:
        names = words.names(keys, path, "operations")
        for index, name in enumerate(names):
            if name not in OPERATIONS:
                words.choice({"": name}, (*path, "operations", index), "", OPERATIONS)
        if not names:
            self.report.add((*path, "operations"), "is missing", f"write some of [{', '.join(OPERATIONS)}]")
        elif "changed" in keys and not set(names) <= {"update", "replace"}:
            cure = "leave `changed:` out, or make two rules"
            self.report.add((*path, "changed"), "only updates and replaces change something", cure)
        return cast("frozenset[Operation]", frozenset(names))

    def _changed(
        self, keys: Mapping[str, Any], path: Path, words: Words
    ) -> frozenset[str] | Literal["any"] | None:
        if "changed" not in keys:
            return None
        return "any" if keys["changed"] == "any" else frozenset(words.names(keys, path, "changed"))

    def _differs(self, keys: Mapping[str, Any], path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
        raw = keys.get("differs", {})
        if not isinstance(raw, dict):
            self.report.add(
                (*path, "differs"), "must be a mapping", "write `differs: {feedback: [rating, tag]}`"
            )
            return
        words = Words(self.report)
        for name in raw:
            yield name, words.names(raw, (*path, "differs"), name)

    def _where(self, keys: Mapping[str, Any], path: Path) -> tuple[Any, Predicate | None]:
        """The file's condition and the rule's own, as one."""
        own = self.condition(keys["where"], (*path, "where")) if "where" in keys else None
        if self.every is None:
            return keys.get("where"), own
        if "where" not in keys:
            return self.every, compile_condition(self.every)
        both = {"$and": [self.every, keys["where"]]}
        return both, compile_condition(both) if own is not None else None

    def condition(self, raw: Any, path: Path) -> Predicate | None:
        for at, name in _names_in(raw):
            try:
                check_path(name)
            except BadExpression as bad:
                self.report.add((*path, *at), bad.what, bad.cure)
        try:
            return compile_condition(raw)
        except BadCondition as bad:
            for problem in bad.problems:
                self.report.add((*path, *problem.path), problem.what, problem.cure)
            return None

    def _data(self, keys: Mapping[str, Any], path: Path) -> Iterator[tuple[str, Expression]]:
        raw = keys.get("data", {})
        if not isinstance(raw, dict):
            self.report.add((*path, "data"), "must be a mapping", "write `data: {name: row.name}`")
            return
        # In the order of the file: what `<<` brings in stands above, in its anchor.
        for at in sorted(((*path, "data", name) for name in raw), key=self.positions.__getitem__):
            name, expression = at[-1], raw[at[-1]]
            try:
                compiled = compile_expression(expression)
            except BadExpression as bad:
                self.report.add((*at, *bad.path), bad.what, bad.cure)
                continue
            self.refuse_secrets(paths_in(expression), at)
            yield name, compiled

    def refuse_secrets(self, names: Any, path: Path) -> None:
        for name in names:
            root, _, rest = name.partition(".")
            if root not in _IMAGES:
                continue
            if not rest:
                cure = "name each field; new versions of LibreChat add fields that nobody has looked at"
                self.report.add(path, f"`{name}` is the whole row", cure)
            elif is_secret(self.collection, rest.partition(".")[0]):
                what = f"`{name}` is a secret of LibreChat's, or private to its machinery"
                self.report.add(path, what, "remove it: it never leaves MongoDB")

    def _reasons(self, keys: Mapping[str, Any], path: Path) -> Iterator[tuple[str, Predicate]]:
        raw = keys.get("reason", [])
        if not isinstance(raw, list) or not all(isinstance(each, dict) and len(each) == 1 for each in raw):
            cure = "write `reason:` and below it `- ttl: {overdue: expiredAt}` and so on"
            self.report.add((*path, "reason"), "must be a list of reasons, each with its condition", cure)
            return
        for index, each in enumerate(raw):
            [(reason, condition)] = each.items()
            at = (*path, "reason", index)
            Words(self.report).choice({reason: reason}, at, reason, REASONS)
            if (predicate := self.condition(condition, (*at, reason))) is not None:
                yield reason, predicate

    def _entity(self, keys: Mapping[str, Any], path: Path, words: Words, key: str) -> bool:
        """A key whose value is the kind of thing that this file's rows are about."""
        if key not in keys:
            return False
        if self.kind is None:
            self.report.add((*path, key), "this file says not what rows are about", "write `entity:`")
            return False
        return words.choice(keys, path, key, (self.kind,)) is not None

    def _examples(
        self, keys: Mapping[str, Any], path: Path, words: Words, *, has_event: bool
    ) -> Iterator[Example]:
        raw = keys.get("examples", [])
        if not isinstance(raw, list):
            self.report.add((*path, "examples"), "must be a list", "write `- given: …` and `  sends: …`")
            return
        for index, each in enumerate(raw):
            at = (*path, "examples", index)
            example = words.keys(each, at, EXAMPLE_KEYS)
            if example is not None and self._is_example(example, at, words, has_event=has_event):
                yield Example(
                    place=self._place(at),
                    given=example["given"],
                    sends=example.get("sends"),
                    fires=example.get("fires"),
                    holds=words.flag(example, at, "holds"),
                )

    def _is_example(self, example: Mapping[str, Any], path: Path, words: Words, *, has_event: bool) -> bool:
        given = words.keys(example.get("given"), (*path, "given"), GIVEN)
        if given is None or words.choice(given, (*path, "given"), "operation", OPERATIONS) is None:
            if given is not None and "operation" not in given:
                cure = f"write `operation:` with one of {', '.join(OPERATIONS)}"
                self.report.add((*path, "given"), "which operation?", cure)
            return False
        for name, kind, called in _GIVEN_KINDS:
            if name in given and not isinstance(given[name], kind):
                self.report.add((*path, "given", name), f"must be {called}", "correct it")
                return False
        if not has_event:
            if not isinstance(example.get("fires"), bool):
                cure = "write `fires: true` or `fires: false`: this rule sends nothing"
                self.report.add(path, "does it fire?", cure)
            return isinstance(example.get("fires"), bool)
        sends = example.get("sends")
        if isinstance(sends, dict) or sends in ("nothing", "unknown"):
            return True
        cure = "write the whole data, or `nothing`, or `unknown` where the row is not known"
        self.report.add((*path, "sends"), "what does it send?", cure)
        return False


_GIVEN_KINDS = (
    ("at", str, "a time in quotes, as `2026-01-01T12:00:00Z`"),
    ("id", str, "text"),
    ("before", dict, "a mapping"),
    ("after", dict, "a mapping"),
    ("updated", dict, "a mapping"),
    ("removed", list, "a list"),
    ("gone", list, "a list"),
    ("newborn", bool, "true or false"),
    ("newcomer", str, "the `_id` of a row"),
)


def _reads(keys: Mapping[str, Any], where: Any) -> Iterator[str]:
    """Every path into the view that a rule's data, condition and reasons take."""
    data, reasons = keys.get("data"), keys.get("reason")
    if isinstance(data, dict):
        for expression in data.values():
            yield from paths_in(expression)
    conditions = [where]
    if isinstance(reasons, list):
        conditions += [condition for each in reasons if isinstance(each, dict) for condition in each.values()]
    for condition in conditions:
        yield from (name for _, name in _names_in(condition))


def _names_in(condition: Any) -> Iterator[tuple[Path, str]]:
    """The view's names that a condition looks at, and where they stand in it."""
    if not isinstance(condition, dict):
        return
    for key, value in condition.items():
        if key in ("$and", "$or", "$nor") and isinstance(value, list):
            for index, part in enumerate(value):
                yield from (((key, index, *at), name) for at, name in _names_in(part))
        elif not key.startswith("$"):
            yield (key,), key
