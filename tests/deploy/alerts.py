"""What the rules for Prometheus are held to: the program's metrics, and the alerts that the manual names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

OPERATING = (Path(__file__).resolve().parents[2] / "docs" / "OPERATING.md").read_text()


def check(groups: Sequence[dict[str, Any]]) -> None:
    """The groups have the form that Prometheus reads, use metrics that exist, and miss no alert of ours."""
    rules = [rule for group in groups for rule in group["rules"]]
    names = [rule["alert"] for rule in rules]
    expressions = "\n".join(rule["expr"] for rule in rules)

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

    told = _metrics(expressions)
    assert told <= _known(), "a metric that the program does not have"
    assert _metrics(_manual()) <= told, "an alert of docs/OPERATING.md is missing"


def _known() -> set[str]:
    table = OPERATING.partition("<!-- metrics -->")[2].partition("<!-- /metrics -->")[0]
    return set(re.findall(r"^\| `(\w+)`", table, re.M))


def _manual() -> str:
    return OPERATING.partition("## Alerts worth having")[2].partition("\n## ")[0]


def _metrics(text: str) -> set[str]:
    return set(re.findall(r"\bwatcher_\w+\b", text))
