"""Mapping files: an operator's own are added or put in the place of ours; all that is wrong is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from watcher.cli.mappings import mappings as command
from watcher.config.mappings import bundled_mappings, load_mappings
from watcher.core.changes import Change, ChangeId
from watcher.core.deliveries import Delivery
from watcher.core.endpoints import Endpoint
from watcher.core.examples import NOON, failures
from watcher.core.mapping import CollectionMapping
from watcher.core.marks import Marks
from watcher.core.planning import Plan
from watcher.errors import ConfigError

HOUSE = """
collection: messages
rules:
  - event: message.feedback
    summary: A message was rated.
    operations: [update, replace]
    changed: [feedback]
    data: {messageId: after.messageId, conversationId: after.conversationId, feedback: after.feedback}
    examples:
      - given:
          operation: update
          updated: {feedback: {rating: thumbsUp}}
          after: {messageId: m1, conversationId: c1, feedback: {rating: thumbsUp}}
        sends: {messageId: m1, conversationId: c1, feedback: {rating: thumbsUp}}
      - given: {operation: update, updated: {tokenCount: 9}, after: {messageId: m1}}
        sends: nothing
"""

PINNED = """
collection: conversations
rules:
  - event: conversation.pinned
    summary: A conversation was pinned.
    operations: [update]
    changed: [pinned]
    where: {row.pinned: true}
    data: {conversationId: row.conversationId}
"""

DATA = "data: {conversationId: row.conversationId}"


def test_our_own_six_load() -> None:
    names = {path.stem for path in bundled_mappings().iterdir()}

    assert names == {"agents", "conversations", "files", "messages", "sessions", "users"}
    assert {mapping.collection for mapping in load_mappings()} == names


def test_an_operators_file_adds_rules_to_ours(tmp_path: Path) -> None:
    loaded = load_mappings([a_file(tmp_path, PINNED)])

    bodies = sent(loaded, updated={"pinned": True}, events=("*", "conversation.pinned"))

    assert [body["event"] for body in bodies] == ["conversation.pinned", "conversation.updated"]
    assert bodies[0]["data"] == {"conversationId": "c1"}
    assert bodies[0]["userId"] == "u1"


def test_an_added_rule_speaks_before_ours_for_the_same_event(tmp_path: Path) -> None:
    own = PINNED.replace("conversation.pinned", "conversation.updated")
    loaded = load_mappings([a_file(tmp_path, own)])

    assert [body["data"] for body in sent(loaded, updated={"pinned": True})] == [{"conversationId": "c1"}]
    assert sent(loaded, updated={"title": "T"})[0]["data"]["changed"] == ["title"]


def test_a_file_may_replace_ours(tmp_path: Path) -> None:
    own = PINNED.replace("rules:", "replaces: true\nrules:")
    loaded = load_mappings([a_file(tmp_path, own)])

    assert sent(loaded, updated={"title": "T"}) == []
    assert next(each for each in loaded if each.collection == "conversations").viewpoint.user is None


def test_added_noise_is_no_news(tmp_path: Path) -> None:
    loaded = load_mappings([a_file(tmp_path, PINNED.replace("rules:", "noise: [tags]\nrules:"))])

    assert sent(loaded, updated={"tags": ["a"]}) == []


def test_noise_that_an_added_rule_asks_for_reaches_it_alone(tmp_path: Path) -> None:
    own = PINNED.replace("[pinned]", "[isTemporary]").replace("row.pinned", "row.isTemporary")
    loaded = load_mappings([a_file(tmp_path, own)])
    conversations = next(each for each in loaded if each.collection == "conversations")

    bodies = sent(loaded, updated={"isTemporary": True}, events=("*", "conversation.pinned"))

    assert [body["event"] for body in bodies] == ["conversation.pinned"]
    assert "isTemporary" not in conversations.never_telling()


def test_a_new_collection_may_be_added_from_a_folder(tmp_path: Path) -> None:
    own = "collection: presets\nrules:\n  - {event: preset.created, summary: New., operations: [insert]}\n"
    a_file(tmp_path, own, "presets.yml")
    a_file(tmp_path, "not for us", "README.md")

    assert [each.collection for each in load_mappings([tmp_path])][-1] == "presets"


def test_the_house_example_is_valid_and_holds(tmp_path: Path) -> None:
    own = HOUSE.replace("rules:", "replaces: true\nrules:")
    loaded = load_mappings([a_file(tmp_path, own)])

    messages = next(each for each in loaded if each.collection == "messages")
    assert len(messages.rules[0].examples) == 2
    assert list(failures(messages)) == []


def test_a_message_names_file_line_key_and_what_was_meant(tmp_path: Path) -> None:
    file = a_file(tmp_path, PINNED.replace("row.pinned", "aftr.pinned"))

    [told] = problems(file)

    assert told.startswith(
        f"{file}:8: rules[0].where.aftr.pinned: unknown field `aftr.pinned`\n  a change has: "
    )
    assert told.endswith("did you mean `after.pinned`?")


@pytest.mark.parametrize(
    ("wrong", "right", "line", "expected"),
    [
        ("colection: conversations", "collection: conversations", 2, "did you mean `collection`?"),
        ("collection: tokens", "collection: conversations", 2, "holds credentials"),
        ("collection: [a]", "collection: conversations", 2, "must be a word"),
        ("rules: nothing\nx:", "rules:", 3, "at least one rule"),
        ("entity: row.id\nrules:", "rules:", 3, "one kind and its id"),
        ("entity: {Con Versation: row.id}\nrules:", "rules:", 3, "not a kind"),
        ("user: user\nrules:", "rules:", 3, "did you mean `row.user`?"),
        ("noise: updatedAt\nrules:", "rules:", 3, "must be a list of names"),
        ("noise: [a.b]\nrules:", "rules:", 3, "write `a`"),
        ("replaces: maybe\nrules:", "rules:", 3, "must be true or false"),
        ("event: pinned", "event: conversation.pinned", 4, "two words with a dot"),
        ("event: watcher.gap", "event: conversation.pinned", 4, "`watcher.` is ours"),
        ("operations: [updated]", "operations: [update]", 6, "did you mean `update`?"),
        ("operations: [insert]", "operations: [update]", 7, "only updates and replaces"),
        ("changed: pinned", "changed: [pinned]", 7, "must be a list of names"),
        ("where: {row.pinned: {$exist: true}}", "where: {row.pinned: true}", 8, "$exists"),
        ("where: {$or: [{pinned: true}]}", "where: {row.pinned: true}", 8, "did you mean `row.pinned`?"),
        ("data: {id: conversationId}", DATA, 9, "`row.conversationId`"),
        ("data: {id: {pik: [a], of: row.b}}", DATA, 9, "not an expression"),
        ("data: {id: {pick: a, of: row.b}}", DATA, 9, "must be a list of names"),
        ("data: {all: row}", DATA, 9, "the whole row"),
        ("data: [row.id]", DATA, 9, "must be a mapping"),
        ("data: {x: {first: [row.title, after.messages]}}", DATA, 9, "`after.messages` is a secret"),
        ("data: {x: {pick: [messages], of: row}}", DATA, 9, "`row.messages` is a secret"),
        ("values: [agentEventActor]", DATA, 9, "is a secret"),
        ("data: {}\n    reason: [{spite: {}}]", DATA, 10, "write one of: user, cascade"),
        ("data: {}\n    removes: conversation", DATA, 10, "write `entity:`"),
        ("data: {}\n    hold: for ever", DATA, 10, "write one of: unfinished"),
        ("data: {}\n    lifts: canceled", DATA, 10, "did you mean `cancelled`?"),
        ("data: {}\n    differs: [a]", DATA, 10, "differs: {"),
        ("data: {}\n    examples: [{sends: nothing}]", DATA, 10, "must be a mapping"),
        ("data: {}\n    examples: [{given: {}, sends: nothing}]", DATA, 10, "which operation?"),
        ("data: {}\n    examples: [{given: {operation: update}}]", DATA, 10, "what does it send?"),
        ("data: {}\n    examples: [{given: {operation: update, before: 1}}]", DATA, 10, "must be a mapping"),
        ("datum: {}", DATA, 9, "did you mean `data`?"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_cure(
    tmp_path: Path, wrong: str, right: str, line: int, expected: str
) -> None:
    assert right in PINNED
    file = a_file(tmp_path, PINNED.replace(right, wrong))

    told = problems(file)

    assert any(each.startswith(f"{file}:{line}: ") and expected in each for each in told), told


@pytest.mark.parametrize(
    "field", ["password", "totpSecret", "googleId", "refreshToken", "agentTriggerDeletionStartedAt"]
)
@pytest.mark.parametrize("image", ["row", "before", "after", "updated"])
def test_a_secret_cannot_be_named(tmp_path: Path, field: str, image: str) -> None:
    rule = f"{{event: user.x, summary: X., operations: [insert], data: {{x: {image}.{field}.inner}}}}"
    file = a_file(tmp_path, f"collection: users\nrules:\n  - {rule}\n")

    [told] = problems(file)

    assert f"`{image}.{field}.inner` is a secret" in told


def test_a_rule_that_does_nothing_is_told(tmp_path: Path) -> None:
    file = a_file(tmp_path, "collection: presets\nrules:\n  - {operations: [insert]}\n")

    assert problems(file) == [
        f"{file}:3: rules[0]: a rule that does nothing\n  write `event:`, `lifts:`, `removes:` or `arrives:`"
    ]


def test_an_added_file_cannot_see_rows_differently(tmp_path: Path) -> None:
    file = a_file(tmp_path, PINNED.replace("rules:", "user: row.owner\nrules:"))

    [told] = problems(file)

    assert "or write `replaces: true`" in told


def test_a_replacement_of_nothing_is_a_misspelling(tmp_path: Path) -> None:
    file = a_file(
        tmp_path, PINNED.replace("conversations", "conversation").replace("rules:", "replaces: true\nrules:")
    )

    [told] = problems(file)

    assert "did you mean `conversations`?" in told


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    first = a_file(tmp_path, PINNED.replace("data:", "datum:").replace("where:", "were:"), "a.yaml")
    second = a_file(tmp_path, "collection: [", "b.yaml")
    third = tmp_path / "c.yaml"
    third.write_bytes(b"\xff\xfe")
    empty = tmp_path / "empty"
    empty.mkdir()

    told = problems(first, second, third, empty, tmp_path / "missing")

    assert len(told) == 6
    assert [sum(each.startswith(f"{path}:") for each in told) for path in (first, second, third)] == [2, 1, 1]
    assert any("no mapping file" in each for each in told)
    assert any("no such file" in each for each in told)


def test_the_command_runs_all_examples() -> None:
    result = CliRunner().invoke(command, ["test"])

    assert result.exit_code == 0
    assert "messages" in result.output
    assert result.output.count("all hold") == 6


def test_the_command_shows_an_example_that_does_not_hold(tmp_path: Path) -> None:
    file = a_file(tmp_path, HOUSE.replace("sends: nothing", "sends: {messageId: m1}"))

    result = CliRunner().invoke(command, ["test", "--mappings", str(file)])

    assert result.exit_code == 1
    assert "own.yaml:15: message.feedback" in result.output
    assert 'expected  {"data": {"messageId": "m1"}' in result.output
    assert 'got       "nothing"' in result.output


def test_the_command_refuses_a_wrong_file(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["test", "--mappings", str(a_file(tmp_path, "rules: []"))])

    assert result.exit_code == 2
    assert "own.yaml" in result.output


def a_file(folder: Path, text: str, name: str = "own.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def problems(*paths: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_mappings(paths)
    return [str(problem) for problem in caught.value.problems]


def sent(
    loaded: tuple[CollectionMapping, ...], *, updated: Mapping[str, Any], events: tuple[str, ...] = ("*",)
) -> list[dict[str, Any]]:
    """What an update of a conversation sends."""
    row = {"conversationId": "c1", "user": "u1"}
    change = Change(
        id=ChangeId("826B044D4700000014AB"),
        collection="conversations",
        operation="update",
        at=NOON,
        document_id="r1",
        before=row,
        after={**row, **updated},
        updated=updated,
        removed=(),
    )
    listener = Endpoint(name="crm", url="http://localhost", secrets=(), events=events)
    plan = Plan.of(loaded, [listener], unfinished_hold=timedelta(seconds=60))
    planned = plan.entries([change], Marks())
    return [json.loads(entry.body) for entry in planned.entries if isinstance(entry, Delivery)]


@pytest.mark.parametrize("key", ["user: row.avatar.filepath", "entity: {agent: row.avatar.filepath}"])
def test_what_a_row_is_about_and_whose_it_is_may_be_no_secret(tmp_path: Path, key: str) -> None:
    rules = "rules:\n  - {event: a.b, summary: x, operations: [insert], data: {}}\n"
    file = a_file(tmp_path, f"collection: agents\nreplaces: true\n{key}\n{rules}")

    [told] = problems(file)

    assert told.startswith(f"{file}:3: ")
    assert "is a secret of LibreChat's" in told
