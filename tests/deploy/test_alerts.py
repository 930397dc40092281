"""The alerts: each fires in the trouble that it is for, and not beside it. promtool is the judge."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.generate import RULES, RULES_OF_HELM, RULES_OF_KUSTOMIZE, rules_of_helm, rules_of_kustomize
from tests.deploy import alerts

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool on PATH (Debian: prometheus)")

GROUPS = yaml.safe_load(RULES.read_text())["groups"]
ALERTS = {rule["alert"].removeprefix("LibreChatWatcher"): rule for group in GROUPS for rule in group["rules"]}

Series = dict[str, str]
"""Values of each minute, in promtool's notation, by series; the scrape's own labels are added."""

OLD = {"process_start_time_seconds": "-9000x60"}
NEW = {"process_start_time_seconds": "0x60"}
CRM = {"endpoint": "crm"}

FIRES: dict[str, list[tuple[Series, int, dict[str, str]]]] = {
    "Absent": [({"watcher_stream_open": "1x60"}, 6, {})],
    "NotReading": [({"watcher_stream_open": "1x5 0x60"}, 10, {})],
    "ReadingLate": [({"watcher_capture_lag_seconds": "1 90x60"}, 7, {})],
    "PositionSoonLost": [
        (
            {
                "watcher_oplog_left_seconds": "3000x9",
                "watcher_oplog_headroom_seconds": "4000x9",
                "watcher_oplog_window_seconds": "90000x9",
            },
            1,
            {},
        )
    ],
    "PositionLost": [
        ({"watcher_recovery_active": "0 1x60"}, 2, {}),
        ({"watcher_recoveries_total": "0x5 1x100"}, 30, {}),
        ({"watcher_recoveries_total": "1x60", **NEW}, 1, {}),
    ],
    "GapLeft": [
        ({"watcher_position_restarts_total": "0x5 1x100"}, 30, {}),
        ({"watcher_position_restarts_total": "1x60", **NEW}, 1, {}),
    ],
    "StateNotWritten": [({'watcher_store_failures_total{doing="append"}': "0x3 2x60"}, 5, {})],
    "CapturePaused": [({"watcher_capture_paused": "0 1x60"}, 3, {})],
    "DeadDeliveries": [
        ({'watcher_deliveries_settled_total{endpoint="crm",verdict="dead"}': "0x3 1x60"}, 5, CRM)
    ],
    "RefusedBodies": [
        ({'watcher_refused_total{endpoint="crm"}': "0x3 1x60"}, 5, CRM),
        ({'watcher_refused_total{endpoint="crm"}': "1x60", **NEW}, 1, CRM),
    ],
    "EndpointDown": [
        ({'watcher_circuit_open{endpoint="crm"}': "0 1x60"}, 7, CRM),
        # Where an event comes every few minutes, it takes a while until a circuit opens.
        (
            {
                'watcher_circuit_open{endpoint="crm"}': "0x60",
                'watcher_endpoint_failing{endpoint="crm"}': "0 1x60",
                'watcher_outbox_deliveries{endpoint="crm",state="pending"}': "1x60",
            },
            7,
            CRM,
        ),
    ],
    "EndpointPaused": [({'watcher_endpoint_paused{endpoint="crm"}': "0 1x60"}, 17, CRM)],
    "NothingDelivered": [
        ({'watcher_outbox_oldest_seconds{endpoint="crm"}': "0+60x60"}, 25, CRM),
        (
            {
                'watcher_outbox_oldest_seconds{endpoint="crm"}': "0+60x60",
                'watcher_deliveries_settled_total{endpoint="crm",verdict="delivered"}': "7x60",
            },
            25,
            CRM,
        ),
    ],
    "FallingBehind": [({'watcher_outbox_deliveries{endpoint="crm",state="pending"}': "0 1001x60"}, 12, CRM)],
    "ChangesNotTold": [
        ({'watcher_unreadable_total{collection="files"}': "0x3 1x60"}, 5, {"collection": "files"}),
        ({'watcher_unreadable_total{collection="files"}': "2x60", **NEW}, 1, {"collection": "files"}),
    ],
    "LeasesLost": [({"watcher_leases_lost_total": "0x3 1x60"}, 5, {})],
    "SettingsRefused": [({"watcher_settings_refused": "0 1x60"}, 3, {})],
}
"""Of each alert: series in which it fires, at which minute, and with which labels."""

IS_SILENT: dict[str, list[tuple[Series, int]]] = {
    "Absent": [({"watcher_build_info": "1x60"}, 6)],
    "NotReading": [
        ({"watcher_stream_open": "1x60"}, 10),
        ({"watcher_stream_open": "1 1 0 1x60"}, 3),
        # Two replicas, of which one reads.
        ({'watcher_stream_open{instance="a"}': "0x60", 'watcher_stream_open{instance="b"}': "1x60"}, 10),
    ],
    "ReadingLate": [
        ({"watcher_capture_lag_seconds": "2x60"}, 9),
        ({"watcher_capture_lag_seconds": "90x2 0x9"}, 7),
    ],
    "PositionSoonLost": [
        (
            {
                "watcher_oplog_left_seconds": "Inf Inf Inf Inf",
                "watcher_oplog_headroom_seconds": "4000x9",
                "watcher_oplog_window_seconds": "90000x9",
            },
            1,
        ),
        # A small oplog that is read promptly.
        (
            {
                "watcher_oplog_left_seconds": "1000x9",
                "watcher_oplog_headroom_seconds": "1700x9",
                "watcher_oplog_window_seconds": "1800x9",
            },
            1,
        ),
    ],
    "PositionLost": [
        ({"watcher_recovery_active": "0x60", "watcher_recoveries_total": "0x60", **NEW}, 5),
        ({"watcher_recoveries_total": "1x60", **OLD}, 30),
    ],
    "GapLeft": [
        ({"watcher_position_restarts_total": "0x60", **NEW}, 5),
        ({"watcher_position_restarts_total": "1x60", **OLD}, 30),
    ],
    "StateNotWritten": [
        ({'watcher_store_failures_total{doing="append"}': "0x60"}, 5),
        ({'watcher_store_failures_total{doing="append"}': "0 2x60"}, 20),
    ],
    "CapturePaused": [({"watcher_capture_paused": "0x60"}, 3), ({"watcher_capture_paused": "0 1 0x60"}, 3)],
    "DeadDeliveries": [
        ({'watcher_deliveries_settled_total{endpoint="crm",verdict="dead"}': "3x60"}, 5),
        ({'watcher_deliveries_settled_total{endpoint="crm",verdict="delivered"}': "0+9x60"}, 5),
    ],
    "RefusedBodies": [({'watcher_refused_total{endpoint="crm"}': "4x60", **OLD}, 5)],
    "EndpointDown": [
        ({'watcher_circuit_open{endpoint="crm"}': "0x60"}, 7),
        ({'watcher_circuit_open{endpoint="crm"}': "1x3 0x60"}, 7),
        # Its last event died alone, and nothing waits.
        (
            {
                'watcher_endpoint_failing{endpoint="crm"}': "1x60",
                'watcher_outbox_deliveries{endpoint="crm",state="pending"}': "1x3 0x60",
            },
            12,
        ),
    ],
    "EndpointPaused": [({'watcher_endpoint_paused{endpoint="crm"}': "1x10 0x60"}, 17)],
    "NothingDelivered": [
        ({'watcher_outbox_oldest_seconds{endpoint="crm"}': "0x60"}, 25),
        # A backfill: what waits is years old, and goes out.
        (
            {
                'watcher_outbox_oldest_seconds{endpoint="crm"}': "99999999x60",
                'watcher_deliveries_settled_total{endpoint="crm",verdict="delivered"}': "0+60x60",
            },
            25,
        ),
    ],
    "FallingBehind": [
        ({'watcher_outbox_deliveries{endpoint="crm",state="pending"}': "1000x60"}, 12),
        ({'watcher_outbox_deliveries{endpoint="crm",state="delivered"}': "5000x60"}, 12),
    ],
    "ChangesNotTold": [({'watcher_unreadable_total{collection="files"}': "2x100", **OLD}, 5)],
    "LeasesLost": [
        ({"watcher_leases_lost_total": "0x60"}, 5),
        ({"watcher_leases_lost_total": "0x3 2x60"}, 20),
    ],
    "SettingsRefused": [({"watcher_settings_refused": "0x60"}, 3)],
}


def test_every_alert_is_tried_both_ways():
    assert FIRES.keys() == IS_SILENT.keys() == ALERTS.keys()


def test_they_have_the_form_and_ask_for_what_there_is():
    alerts.check(GROUPS)


def test_the_files_for_kubernetes_are_made_of_them():
    assert RULES_OF_KUSTOMIZE.read_text() == rules_of_kustomize(), "run `make docs`"
    assert RULES_OF_HELM.read_text() == rules_of_helm(), "run `make docs`"


@needs_promtool
@pytest.mark.parametrize("name", FIRES)
def test_it_fires_in_its_trouble(tmp_path: Path, name: str):
    judge(tmp_path, [a_test(name, series, minute, labels) for series, minute, labels in FIRES[name]])


@needs_promtool
@pytest.mark.parametrize("name", IS_SILENT)
def test_it_is_silent_beside_it(tmp_path: Path, name: str):
    judge(tmp_path, [a_test(name, series, minute, None) for series, minute in IS_SILENT[name]])


# --- helpers ----------------------------------------------------------------------------------------------


def judge(folder: Path, tests: list[dict[str, Any]]) -> None:
    file = folder / "tests.yaml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))

    done = subprocess.run([str(PROMTOOL), "test", "rules", file], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def a_test(name: str, series: Series, minute: int, labels: dict[str, str] | None) -> dict[str, Any]:
    """In promtool's form. Labels None: the alert must not fire."""
    rule = ALERTS[name]
    of_scrapes = {} if name == "Absent" else {"namespace": "chat"}
    fired = {
        "exp_labels": {**rule["labels"], **of_scrapes, **(labels or {})},
        "exp_annotations": {
            key: re.sub(r"{{ \$labels\.(\w+) }}", lambda found: (labels or {})[found[1]], text)
            for key, text in rule["annotations"].items()
        }
        if labels is not None
        else {},
    }
    return {
        "interval": "1m",
        "input_series": [{"series": scraped(each), "values": values} for each, values in series.items()],
        "alert_rule_test": [
            {
                "eval_time": f"{minute}m",
                "alertname": rule["alert"],
                "exp_alerts": [] if labels is None else [fired],
            }
        ],
    }


def scraped(series: str) -> str:
    """The series with the labels that a scrape gives it."""
    name, _, labels = series.partition("{")
    given = [each for each in labels.rstrip("}").split(",") if each]
    instance = [] if "instance=" in labels else ['instance="a"']
    whole = ",".join([*given, *instance, 'job="watcher"', 'namespace="chat"'])
    return f"{name}{{{whole}}}"
