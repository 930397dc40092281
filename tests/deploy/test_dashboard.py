"""The dashboard: Grafana can draw it, and every panel asks for metrics that the program has."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy import promql
from watcher.adapters.prometheus import Metrics

Panel = dict[str, Any]

DASHBOARD: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "librechat-watcher.json").read_text()
)
PANELS: list[Panel] = DASHBOARD["panels"]
DRAWN = [panel for panel in PANELS if panel["type"] != "row"]
VARIABLES: dict[str, Panel] = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
UNITS = {"short", "s", "bytes", "percentunit", "cps", "reqps"}
ELSEWHERE = {
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "watcher_recoveries_total",
    "watcher_scan_failures_total",
}
"""In the variables, in the alerts, or of no use in a graph."""


def test_it_can_be_imported_into_any_grafana_from_10_on():
    assert DASHBOARD["uid"] == "librechat-watcher"
    assert DASHBOARD["schemaVersion"] == 38  # Grafana 10.0; newer ones bring it up to theirs
    assert "__inputs" not in DASHBOARD
    assert "id" not in DASHBOARD
    assert VARIABLES.keys() == {"datasource", "job", "instance", "endpoint"}
    assert VARIABLES["datasource"]["query"] == "prometheus"


def test_its_rows_go_from_the_whole_to_the_parts():
    assert [panel["title"] for panel in PANELS if panel["type"] == "row"] == [
        "Overview",
        "Capture",
        "Delivery by endpoint",
        "State",
        "MongoDB",
        "Replicas and process",
    ]


def test_no_two_panels_share_an_id_or_a_place():
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for one, other in itertools.combinations(PANELS, 2):
        assert not overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])
    assert all(each["gridPos"]["x"] >= 0 and right(each["gridPos"]) <= 24 for each in PANELS)


@pytest.mark.parametrize("panel", DRAWN, ids=lambda panel: f"{panel['id']}-{panel['title']}")
class TestPanels:
    def test_it_says_what_it_shows_and_in_which_unit(self, panel: Panel):
        assert panel["title"]
        assert panel["description"].endswith((".", "%"))
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS

    def test_it_asks_the_chosen_source(self, panel: Panel):
        chosen = {"type": "prometheus", "uid": "${datasource}"}

        assert all(each["datasource"] == chosen for each in (panel, *panel["targets"]))
        assert len({each["refId"] for each in panel["targets"]}) == len(panel["targets"])

    def test_it_asks_for_what_there_is_and_of_what_was_chosen(self, panel: Panel):
        for target in panel["targets"]:
            asked = promql.check(concrete(target["expr"]))

            assert asked
            assert target["expr"].count('job=~"$job", instance=~"$instance"') >= len(asked)
            legend = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert legend <= set(
                re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", target["expr"])))
            ) | {"instance"}


def test_every_metric_is_on_it_or_has_its_place_elsewhere():
    asked = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for panel in DRAWN
        for target in panel["targets"]
        for name in promql.check(concrete(target["expr"]))
    }

    assert {name for name, *_ in Metrics().table} - asked == ELSEWHERE


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on PATH (Debian: prometheus)")
def test_prometheus_itself_reads_its_expressions(tmp_path: Path):
    expressions = [concrete(target["expr"]) for panel in DRAWN for target in panel["targets"]]
    rules = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(expressions)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


# --- helpers ----------------------------------------------------------------------------------------------


def concrete(expression: str) -> str:
    """The expression as Grafana would send it."""
    return re.sub(r"\$(job|instance|endpoint)\b", ".*", expression.replace("$__rate_interval", "5m"))


def right(place: dict[str, int]) -> int:
    return place["x"] + place["w"]


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    beside = right(one) <= other["x"] or right(other) <= one["x"]
    above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not beside and not above
