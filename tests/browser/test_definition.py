"""What the page sends of a changed definition makes what was written, by the API's own rules."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.admin.managing import merged

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="no node on PATH")

KEYS = st.sampled_from(["url", "headers", "a.b", "constructor", "é"])
VALUES = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner | st.none(), max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
DEFINITIONS = st.dictionaries(KEYS, VALUES, max_size=4)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(DEFINITIONS, DEFINITIONS), min_size=20, max_size=60))
def test_a_change_makes_of_what_is_stored_what_was_written(pairs: list[tuple[Any, Any]]) -> None:
    made = subprocess.run(
        ["node", Path(__file__).with_name("definition.mjs")],
        input=json.dumps(pairs).encode(),
        capture_output=True,
        check=True,
    )

    for (stored, written), (change, seen) in zip(pairs, json.loads(made.stdout), strict=True):
        assert merged(stored, change) == written
        assert seen == written
        assert change or stored == written
