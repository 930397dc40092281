"""Whatever stands in the file: it loads, or ConfigError tells why. Never anything else."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.config.settings_texts import DOCUMENTED, loaded, write_mapping
from watcher.errors import ConfigError, Problem

ENV = {"MONGO_URI": "mongodb://h/d", "WATCHER_ADMIN_TOKEN": "t"}
quietly = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

WORDS = st.sampled_from(
    [
        "",
        "none",
        "*",
        "user.*",
        "x",
        "${A}",
        "${",
        "60s",
        "now",
        "sqlite:///a",
        "mongodb://",
        "http://[",
        "\0",
        "\ud800",
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -1, 0, 2**63])
    | st.floats()
    | st.text(max_size=8)
    | WORDS
)
KEYS = st.text(max_size=5) | st.sampled_from(["$in", "$not", "name", "url", "a.b", "<<", "event"])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in the tree."""
    steps = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found: list[tuple[Any, ...]] = []
    for step, value in steps:
        found += [(*path, step), *places(value, (*path, step))]
    return found


TREE = yaml.safe_load(
    DOCUMENTED.replace("${MONGO_URI}", "mongodb://h/d").replace("${WATCHER_ADMIN_TOKEN}", "token")
)
PLACES = places(TREE)


@quietly
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from("=-+"), KEYS, VALUES), max_size=4))
def test_settings_with_anything_swapped_dropped_or_added_load_or_are_refused(
    tmp_path: Path, changes: list[tuple[tuple[Any, ...], str, str, Any]]
) -> None:
    tree = copy.deepcopy(TREE)
    for path, how, key, value in changes:
        change(tree, path, how, key, value)

    loads_or_refuses(tmp_path, yaml.dump(tree, allow_unicode=True))


@quietly
@given(
    cuts=st.lists(
        st.tuples(
            st.integers(0, len(DOCUMENTED)),
            st.integers(0, 12),
            st.text(max_size=3)
            | st.sampled_from(["\t", "&a ", "*a", "<<: *a", "!!set ", "? ", "${", "}", "- ", "\ue000"]),
        ),
        max_size=4,
    )
)
def test_settings_with_letters_swapped_dropped_or_added_load_or_are_refused(
    tmp_path: Path, cuts: list[tuple[int, int, str]]
) -> None:
    text = DOCUMENTED
    for at, length, put in cuts:
        text = text[:at] + put + text[at + length :]

    loads_or_refuses(tmp_path, text)


def change(tree: Any, path: tuple[Any, ...], how: str, key: str, value: Any) -> None:
    """Swap, drop or add at the path, as far as earlier changes have left it standing."""
    *holders, last = path
    place = tree
    try:
        for step in holders:
            place = place[step]
        if how == "=":
            place[last] = value
        elif how == "-":
            del place[last]
        else:
            place[last][key] = value
    except (KeyError, IndexError, TypeError):
        return


def loads_or_refuses(folder: Path, text: str) -> None:
    write_mapping(folder / "my-mappings" / "mine.yaml")
    # A lone surrogate cannot stand in a file; YAML's escapes bring it back.
    text = text.encode("utf-8", "backslashreplace").decode()
    problems: Sequence[Problem] = ()
    try:
        loaded(folder, text, env=ENV)
    except ConfigError as error:
        problems = error.problems
        str(error).encode()

    for problem in problems:
        assert problem.where
        assert problem.what
        assert problem.cure
