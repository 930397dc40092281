"""What the rules for Prometheus are held to: their form, and the program's own metrics."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tests.deploy import promql


def check(groups: Sequence[dict[str, Any]]) -> None:
    """The groups have the form that Prometheus reads, and use metrics that exist."""
    rules = [rule for group in groups for rule in group["rules"]]
    names = [rule["alert"] for rule in rules]

    assert all(group.keys() == {"name", "rules"} for group in groups)
    assert len(names) == len(set(names))
    for rule in rules:
        assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}, rule
        assert re.fullmatch(r"LibreChatWatcher[A-Z][A-Za-z]+", rule["alert"])
        assert re.fullmatch(r"\d+[smhd]", rule.get("for", "1m"))
        assert rule["labels"].keys() == {"severity"}
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"].keys() == {"summary", "description"}
        by = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", rule["expr"]))))
        used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert used <= by, f"{rule['alert']} tells of labels that its expression drops"

    for rule in rules:
        promql.check(rule["expr"])
