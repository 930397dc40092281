"""One mapping file: what its keys may be, and the compiled mapping that they make."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

from watcher.config.mapping_fields import read_fields
from watcher.config.mapping_rules import RuleReader
from watcher.config.mapping_words import Words, checked_path
from watcher.config.report import Report
from watcher.config.yaml_positions import Path, Position
from watcher.core.expressions import compile_expression
from watcher.core.mapping import CollectionMapping
from watcher.core.recovery import Stamp, Traces
from watcher.core.secrets import SECRET_COLLECTIONS, is_secret
from watcher.core.views import Noise, Viewpoint

KEYS = (
    "collection",
    "replaces",
    "noise",
    "deadlines",
    "stamps",
    "unstamped",
    "compared",
    "entity",
    "user",
    "where",
    "fields",
    "rules",
)
STAMP_KEYS = ("at", "changed", "held")

_KIND = re.compile(r"[a-z][a-z0-9_-]{0,30}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What one file says, before it is joined with the others."""

    file: str
    mapping: CollectionMapping
    replaces: bool
    sees_rows: bool
    """It says what its rows are about and whose they are."""


def read_mapping(tree: Any, file: str, positions: Mapping[Path, Position], report: Report) -> Draft | None:
    """The mapping that a file's values make; worth nothing once something went into the report."""
    words = Words(report)
    top = words.keys(tree, (), KEYS)
    if top is None:
        return None
    collection = _collection(top, words, report)
    kind, identity = _entity(top, words)
    user = checked_path(top["user"], ("user",), report) if "user" in top else None
    noise = words.names(top, (), "noise")
    rules = RuleReader(collection, kind, FilePath(file).name, positions, report)
    if "where" in top and rules.condition(top["where"], ("where",)) is not None:
        rules = replace(rules, every=top["where"])
    rules.refuse_secrets([identity] if identity else [], ("entity",))
    rules.refuse_secrets([user] if user else [], ("user",))
    viewpoint = Viewpoint(
        collection=collection,
        noise=Noise.of(noise),
        deadlines=words.names(top, (), "deadlines"),
        kind=kind,
        identity=compile_expression(identity) if identity else None,
        user=compile_expression(user) if user else None,
        names=frozenset(path.split(".")[1] for path in (identity, user) if path and path.startswith("row.")),
    )
    return Draft(
        file=file,
        mapping=CollectionMapping(
            viewpoint=viewpoint,
            noise=noise,
            rules=tuple(
                rule
                for index, raw in enumerate(_rules(top, report))
                if (rule := rules.read(raw, ("rules", index))) is not None
            ),
            fields=read_fields(top, words),
            traces=Traces(
                stamps=tuple(_stamps(top, collection, words)),
                unstamped=frozenset(words.names(top, (), "unstamped")),
                noise=Noise.of(noise),
            ),
            compared=_compared(top, collection, words),
        ),
        replaces=words.flag(top, (), "replaces"),
        sees_rows="entity" in top or "user" in top,
    )


def _collection(top: Mapping[str, Any], words: Words, report: Report) -> str:
    name = words.text(top, (), "collection")
    if name is None:
        if "collection" not in top:
            report.add(
                ("collection",), "is missing", "name the MongoDB collection, as `collection: messages`"
            )
        return ""
    if name in SECRET_COLLECTIONS:
        what = f"`{name}` holds credentials, and is never watched"
        report.add(("collection",), what, "remove this file")
    return name


def _entity(top: Mapping[str, Any], words: Words) -> tuple[str | None, str | None]:
    """The kind of thing that rows are about, and the path of its id."""
    raw = top.get("entity")
    if raw is None:
        return None, None
    report = words.report
    if not isinstance(raw, dict) or len(raw) != 1:
        report.add(
            ("entity",), "must be one kind and its id", "write `entity: {conversation: row.conversationId}`"
        )
        return None, None
    [(kind, path)] = raw.items()
    if not _KIND.fullmatch(kind):
        report.add(("entity", kind), "not a kind", "write one small word, as `conversation`")
    return kind, checked_path(path, ("entity", kind), report)


def _stamps(top: Mapping[str, Any], collection: str, words: Words) -> Iterator[Stamp]:
    """The fields of a row that tell when others of it were written."""
    raw = top.get("stamps", [])
    if not isinstance(raw, list):
        cure = "write `stamps:` and below it `- {at: updatedAt, changed: any}`"
        words.report.add(("stamps",), "must be a list", cure)
        return
    for index, each in enumerate(raw):
        at = ("stamps", index)
        stamp = words.keys(each, at, STAMP_KEYS)
        if stamp is None:
            continue
        path = words.text(stamp, at, "at")
        if path is None or "changed" not in stamp:
            cure = "write `{at: updatedAt, changed: any}` or `{at: …, changed: [name]}`"
            words.report.add(at, "needs `at:` and `changed:`", cure)
            continue
        _refuse_secrets([path.partition(".")[0]], collection, (*at, "at"), words)
        yield Stamp(
            path=path,
            names="any" if stamp["changed"] == "any" else frozenset(words.names(stamp, at, "changed")),
            held=words.flag(stamp, at, "held"),
        )


def _compared(top: Mapping[str, Any], collection: str, words: Words) -> tuple[str, ...]:
    names = words.names(top, (), "compared")
    _refuse_secrets(names, collection, ("compared",), words)
    return names


def _refuse_secrets(names: Iterable[str], collection: str, path: Path, words: Words) -> None:
    for name in names:
        if is_secret(collection, name):
            what = f"`{name}` is a secret of LibreChat's, or private to its machinery"
            words.report.add(path, what, "remove it: it never leaves MongoDB")


def _rules(top: Mapping[str, Any], report: Report) -> Sequence[Any]:
    rules = top.get("rules")
    if isinstance(rules, list) and rules:
        return rules
    report.add(
        ("rules",), "must be a list with at least one rule", "write `rules:` and below it `- event: …`"
    )
    return ()
