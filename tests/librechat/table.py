"""The table of actions.yaml: what LibreChat's users do, and what each action sends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
ABSENT = "absent"
IDS = ("messageId", "conversationId", "parentMessageId", "userId", "sessionId", "agentId", "fileId")
NAMED = (*IDS, "chatProjectId", "file_id")
"""Fields whose value in the table is a name; `agentId` of a conversation may be an id as it is."""

PREFACE = """# What each action sends

What people do in LibreChat, and the events that follow; nothing else is sent. `make test-librechat` lets
LibreChat's own models do all of it, in this order, to a real MongoDB: with pre-images, without, with the
watcher down meanwhile, and with LibreChat's search plugin on. The same events must come each time.

Made from `tests/librechat/actions.yaml` by `make docs`. Ids stand here by name (`ada`, `question 1`), and an
event shows the fields that matter to its action: [EVENTS.md](EVENTS.md) has them all."""


@dataclass(frozen=True, slots=True)
class Expected:
    """An event as the table has it; fields it does not speak of may be anything."""

    event: str
    fields: Mapping[str, Any]

    def resolved(self, names: Mapping[str, str]) -> Expected:
        """With ids in the place of names."""
        return Expected(self.event, {key: _resolve(key, value, names) for key, value in self.fields.items()})

    @property
    def ids(self) -> dict[str, Any]:
        return {key: value for key, value in self.fields.items() if key in IDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    chapter: str
    name: str
    sends: Sequence[Expected] = field(default=())
    any_order: bool = False
    silent: str = ""


def actions() -> Sequence[Action]:
    return tuple(_actions())


def page() -> str:
    """docs/ACTIONS.md."""
    lines = [PREFACE]
    chapter = ""
    for action in actions():
        if action.chapter != chapter:
            chapter = action.chapter
            lines += [f"\n## {chapter}\n", "| somebody … | is sent | is not |", "|---|---|---|"]
        sent = "<br>".join(_told(expected) for expected in action.sends) or "nothing"
        lines.append(f"| {action.name} | {sent} | {action.silent} |")
    return "\n".join(lines) + "\n"


def _actions() -> Iterator[Action]:
    table = yaml.safe_load((FOLDER / "actions.yaml").read_text())
    for chapter, listed in table.items():
        for name, action in listed.items():
            unknown = set(action) - {"sends", "order", "silent"}
            assert not unknown, f"actions.yaml: {name}: {unknown}"
            yield Action(
                chapter=chapter,
                name=name,
                sends=[Expected(*each) for sent in action.get("sends", ()) for each in sent.items()],
                any_order=action.get("order") == "any",
                silent=action.get("silent", ""),
            )


def _resolve(key: str, value: Any, names: Mapping[str, str]) -> Any:
    match value:
        case dict():
            return {inner: _resolve(inner, each, names) for inner, each in value.items()}
        case list():
            return [_resolve(key, each, names) for each in value]
        case str() if key in NAMED and value != ABSENT:
            return names.get(value, value)
        case _:
            return value


def _told(expected: Expected) -> str:
    fields = [f"{key}: {_shown(value)}" for key, value in expected.fields.items() if value != ABSENT]
    return f"`{expected.event}` {', '.join(fields)}"


def _shown(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case dict():
            return "{" + ", ".join(f"{key}: {_shown(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(_shown(each) for each in value) + "]"
        case _:
            return str(value)
