"""`omit`, `hash`, `hashKey`, `textLength`: what an endpoint inherits, and which slips of the pen are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.settings_texts import loaded, refused, told, write_mapping
from watcher.core.endpoints import Endpoint
from watcher.core.privacy import Privacy, derived_key

WATCHER = "watcher: {mongoUri: mongodb://h/d}\n"


def endpoints(folder: Path, text: str) -> dict[str, Endpoint]:
    return {each.name: each for each in loaded(folder, f"{text}{WATCHER}").endpoints}


def test_privacy_is_inherited_like_other_keys(tmp_path: Path) -> None:
    text = """\
webhooks:
  secret: s
  omit: [text]
  textLength: true
  endpoints:
    - {name: heir, url: https://a.example}
    - {name: own, url: https://b.example, omit: [email], hash: [userId, feedback.tag]}
    - {name: open, url: https://c.example, omit: [], textLength: false}
"""

    found = endpoints(tmp_path, text)

    assert found["heir"].privacy == Privacy(omit=("text",), text_length=True)
    assert found["own"].privacy == Privacy(
        omit=("email",), hash=("userId", "feedback.tag"), text_length=True, key=derived_key(b"s")
    )
    assert found["open"].privacy is None


def test_hashes_stay_while_a_secret_is_rotated_and_for_ever_with_a_key_of_their_own(tmp_path: Path) -> None:
    text = """\
webhooks:
  hash: [userId]
  endpoints:
    - {name: before, url: https://a.example, secret: old}
    - {name: rotating, url: https://a.example, secret: [new, old]}
    - {name: after, url: https://a.example, secret: new}
    - {name: keyed, url: https://a.example, secret: a, hashKey: "${KEY}"}
    - {name: too, url: https://a.example, signing: none, hashKey: k}
"""

    settings = loaded(tmp_path, f"{text}{WATCHER}", env={"KEY": "k"})

    before, rotating, after, keyed, too = (each.privacy for each in settings.endpoints)
    assert before == rotating != after
    assert keyed == too == Privacy(hash=("userId",), key=b"k")
    assert "key" not in repr(settings.endpoints[3].privacy)


def test_hashes_without_a_key_are_told(tmp_path: Path) -> None:
    text = f"""\
webhooks:
  secret: s
  endpoints:
    - {{name: a, url: https://a.example, signing: none, hash: [userId]}}
    - {{name: b, url: https://a.example, signing: none, omit: [userId]}}
{WATCHER}"""

    (problem,) = refused(tmp_path, text)

    assert problem.where == "webhooks.yaml:4: webhooks.endpoints[0].hash"
    assert "needs a key" in problem.what
    assert "hashKey" in problem.cure


def test_one_missing_secret_is_one_problem(tmp_path: Path) -> None:
    text = f"webhooks: {{url: https://a.example, hash: [userId]}}\n{WATCHER}"

    assert [problem.where for problem in refused(tmp_path, text)] == ["webhooks.yaml:1: webhooks.secret"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("txt", "`text`"),
        ("userID", "`userId`"),
        ("feedback.txt", "`feedback.text`"),
        ("files.filenam", "`files.filename`"),
        ("nothing.of.the.kind", ""),
    ],
)
def test_a_name_that_would_hide_nothing_is_told_with_what_was_meant(
    tmp_path: Path, name: str, meant: str
) -> None:
    text = f"""\
webhooks:
  url: https://a.example
  secret: s
  omit: [text, {name}]
  endpoints:
    - {{name: heir, url: https://b.example}}
{WATCHER}"""

    (problem,) = refused(tmp_path, text)

    assert problem.where == "webhooks.yaml:4: webhooks.omit[1]"
    assert problem.what == f"no event has a field `{name}`, so nothing would be hidden"
    assert meant in problem.cure


@pytest.mark.parametrize(
    "name", ["userId", "text", "feedback", "feedback.text", "feedback.tag.any", "files.filename", "filename",
             "truncated", "changed", "counts.any", "reason"]
)  # fmt: skip
def test_a_field_of_any_event_can_be_hidden(tmp_path: Path, name: str) -> None:
    text = f"webhooks: {{url: https://a.example, secret: s, omit: [{name}]}}\n{WATCHER}"

    assert loaded(tmp_path, text).endpoints[0].privacy == Privacy(omit=(name,))


def test_a_field_of_the_operators_own_mappings_can_be_hidden(tmp_path: Path) -> None:
    write_mapping(tmp_path / "mine.yaml")
    own = (tmp_path / "mine.yaml").read_text()
    own = own.replace("data: {conversationId: row.conversationId}", "data: {colour: row.colour}")
    own = own.replace("conversationId: c1", "colour: red")
    (tmp_path / "mine.yaml").write_text(own)
    text = "webhooks: {url: https://a.example, secret: s, omit: [colour, colour.of.it]}\n"
    watcher = "watcher: {mongoUri: mongodb://h/d, mappings: [mine.yaml]}\n"

    assert loaded(tmp_path, text + watcher).endpoints[0].privacy
    assert len(refused(tmp_path, text + WATCHER)) == 2


def test_mapping_files_that_cannot_be_used_are_the_only_problem(tmp_path: Path) -> None:
    text = "webhooks: {url: https://a.example, secret: s, omit: [colour]}\n"

    problems = refused(tmp_path, f"{text}watcher: {{mongoUri: mongodb://h/d, mappings: [none.yaml]}}\n")

    assert told(problems) == [("webhooks.yaml:2: watcher.mappings[0]", "no such file or folder")]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("data.text", "names a path from the body's top"),
        ("a..b", "not a name, nor names with dots between them"),
        (".a", "not a name, nor names with dots between them"),
    ],
)
def test_what_is_no_path_in_the_data_is_told(tmp_path: Path, name: str, what: str) -> None:
    text = f"webhooks: {{url: https://a.example, secret: s, hash: [{name}]}}\n{WATCHER}"

    assert told(refused(tmp_path, text)) == [("webhooks.yaml:1: webhooks.hash[0]", what)]


def test_where_nothing_is_sent_no_key_is_read(tmp_path: Path) -> None:
    text = f"""\
webhooks:
  url: ${{NOT_SET}}
  secret: ${{NOT_SET}}
  hash: [userId]
  hashKey: ${{NOT_SET}}
  endpoints: [{{name: b, url: "https://b.example", hashKey: "${{NOT_SET}}"}}]
{WATCHER}"""

    settings = loaded(tmp_path, text, need_endpoints=False)

    assert {each.privacy.hash for each in settings.endpoints if each.privacy} == {("userId",)}
