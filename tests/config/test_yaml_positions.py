"""YAML as plain values with positions: texts stay texts, and each key is found where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from watcher.config.loading import DEFAULTS
from watcher.config.mappings import bundled_mappings
from watcher.config.templates.trees import PRESETS
from watcher.config.yaml_positions import Position, parse

OURS = [DEFAULTS, *sorted(bundled_mappings().glob("*.yaml")), *sorted(PRESETS.glob("*.yaml"))]


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.name)
def test_our_own_files_read_the_quick_way_say_the_same_in_the_same_places(file: Path) -> None:
    text = file.read_text(encoding="utf-8")

    assert parse(text, ours=True) == parse(text)


def test_each_key_and_item_has_its_line_and_column() -> None:
    text = "a:\n  - b: 1\n    c: [2,\n        3]\n  - {d: 4}\n# end\ne: |\n  text\n"

    parsed = parse(text)

    assert parsed.value == {"a": [{"b": 1, "c": [2, 3]}, {"d": 4}], "e": "text\n"}
    assert parsed.positions == {
        ("a",): Position(1, 1),
        ("a", 0): Position(2, 5),
        ("a", 0, "b"): Position(2, 5),
        ("a", 0, "c"): Position(3, 5),
        ("a", 0, "c", 0): Position(3, 9),
        ("a", 0, "c", 1): Position(4, 9),
        ("a", 1): Position(5, 5),
        ("a", 1, "d"): Position(5, 6),
        ("e",): Position(7, 1),
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on: 1", {"on": 1}),
        ("no: 1", {"no": 1}),
        ("1: 1", {"1": 1}),
        ("a: no", {"a": False}),
        ("a: 72:00", {"a": "72:00"}),
        ("a: 2026-11-24", {"a": "2026-11-24"}),
        ("a: =", {"a": "="}),
        ("a: <<", {"a": "<<"}),
        ("a: '1'", {"a": "1"}),
        ("a: 1.5", {"a": 1.5}),
        ("a: ~", {"a": None}),
        ("{a: ${B}, c: [${D:-e}]}", {"a": "${B}", "c": ["${D:-e}"]}),
        ("{a: ${B}${C}}", {"a": "${B}${C}"}),
        ("\ufeffa: 1", {"a": 1}),
        ("", None),
        ("# nothing", None),
    ],
)
def test_only_what_is_plainly_a_number_or_truth_value_becomes_one(text: str, value: Any) -> None:
    assert parse(text).value == value


def test_variables_leave_columns_as_they_are() -> None:
    assert parse("{a: ${B}, c: 1}").positions[("c",)] == Position(1, 11)


def test_a_key_that_is_there_twice_is_a_fault_that_names_the_other_line() -> None:
    parsed = parse("a:\n  b: 1\n  c: 2\n  b: 3\n")

    (fault,) = parsed.faults
    assert (fault.path, fault.position.line, fault.what) == (("a", "b"), 4, "this key is there twice")
    assert "line 2" in fault.cure


def test_a_merged_mapping_gives_way_to_keys_of_ones_own() -> None:
    text = "base: &base\n  a: 1\n  b: {c: 2}\none:\n  <<: *base\n  a: 3\nmany:\n  <<: [*base, {b: 4, d: 5}]\n"

    parsed = parse(text)

    assert parsed.value["one"] == {"a": 3, "b": {"c": 2}}
    assert parsed.value["many"] == {"a": 1, "b": {"c": 2}, "d": 5}
    assert parsed.positions[("one", "a")].line == 6
    assert parsed.positions[("one", "b", "c")].line == 3
    assert parsed.faults == ()


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: 1\nb: !odd c", 2, "a YAML tag (`!…`)"),
        ("a: 1\nb: !odd {c: 1}", 2, "a YAML tag (`!…`)"),
        ("a: 1\nb: !!python/object/apply:os.getcwd []", 2, "a YAML tag (`!…`)"),
        ("a: 1\nb: !!int c", 2, "not a number or a truth value"),
        ("a: 1\nb: " + "9" * 5000, 2, "not a number or a truth value"),
        ("a: 1\n? [b]\n: 1", 2, "a key that is not a word"),
        ('a: 1\n"\\ud800": 1', 2, "a key that is not a word"),
        ('a: 1\nb: "\\ud800"', 2, "an invisible control character"),
        ('a: 1\nb: "\\0"', 2, "an invisible control character"),
        ("a: 1\n<<: 2", 2, "`<<` merges mappings only"),
        ("a: &a [*a]", 1, "nested without end, or far too large"),
        ("a: &a\n  <<: *a", 1, "nested without end, or far too large"),
        ("a: 1\nb: *name", 2, "not valid YAML: found undefined alias …"),
    ],
)
def test_what_yaml_allows_and_settings_do_not_is_a_fault_at_its_line(text: str, line: int, what: str) -> None:
    (fault,) = parse(text).faults

    assert (fault.position.line, fault.what) == (line, what)
    assert fault.cure


def test_aliases_that_multiply_each_other_are_stopped() -> None:
    lines = ["a0: &a0 [1]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]

    assert [fault.what for fault in parse("\n".join(lines)).faults] == [
        "nested without end, or far too large"
    ]


def test_only_the_named_sections_are_looked_at() -> None:
    parsed = parse("x: !odd 1\nx: 2\na: 1\n", only=("a",))

    assert (parsed.value, parsed.faults) == ({"a": 1}, ())
