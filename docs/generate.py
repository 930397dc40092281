"""What follows from something else: parts of the documentation from the code, Kubernetes' alerts from the
rules in `deploy/grafana/`. `make docs` writes them, tests compare them."""

from __future__ import annotations

import re
import textwrap
from importlib.resources import files
from pathlib import Path

import yaml
from click.testing import CliRunner

from tests.librechat import table as actions
from watcher.adapters.journal import LINES
from watcher.adapters.prometheus import Metrics
from watcher.cli import commands

DOCS = Path(__file__).parent
DEPLOY = DOCS.parent / "deploy"
RULES = DEPLOY / "grafana" / "alerts.yaml"
RULES_OF_KUSTOMIZE = DEPLOY / "kubernetes" / "components" / "monitoring" / "prometheus-rule.yaml"
RULES_OF_HELM = DEPLOY / "helm" / "librechat-watcher" / "files" / "alerts.yaml"


def events_page() -> str:
    return CliRunner().invoke(commands, ["events", "--markdown"]).output


def operating_page(page: str) -> str:
    """The page with its generated sections made anew."""
    defaults = files("watcher.config").joinpath("default.yaml").read_text()
    page = _section(page, "default.yaml", f"```yaml\n{defaults}```")
    page = _section(page, "metrics", _metrics())
    page = _section(page, "journal", _journal())
    return _section(page, "alerts", _alerts())


def rules_of_kustomize() -> str:
    """The rules as an object of the Prometheus Operator."""
    return f"""\
# Made of deploy/grafana/alerts.yaml, which says why they are as they are: `make docs`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: librechat-watcher
  labels:
    app.kubernetes.io/name: librechat-watcher
    app.kubernetes.io/part-of: librechat
spec:
  groups:
{textwrap.indent(_groups(), " " * 4)}"""


def rules_of_helm() -> str:
    """The rules' groups, which the chart puts into an object of its own."""
    return f"""\
# Made of deploy/grafana/alerts.yaml: `make docs`. Not a template: {{{{ }}}} is Prometheus's own here.
{_groups()}"""


def _groups() -> str:
    return textwrap.dedent(RULES.read_text().partition("groups:\n")[2])


def _section(page: str, name: str, text: str) -> str:
    pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
    made, count = pattern.subn(lambda found: f"{found[1]}{text}\n{found[2]}", page)
    assert count == 1, f"docs/OPERATING.md has no section {name!r}"
    return made


def _metrics() -> str:
    rows = ["| metric | type | labels | is |", "|---|---|---|---|"]
    for name, kind, labels, text in Metrics().table:
        rows.append(f"| `{name}` | {kind} | {', '.join(labels)} | {text} |")
    return "\n".join(rows)


def _journal() -> str:
    to_act_on = ["| line | level | tells | what to do |", "|---|---|---|---|"]
    others = ["| line | level | tells |", "|---|---|---|"]
    for name, (level, tells, act) in LINES.items():
        if act:
            to_act_on.append(f"| `{name}` | {level} | {tells} | {act} |")
        else:
            others.append(f"| `{name}` | {level} | {tells} |")
    return "\n".join(
        [
            "Lines that may want you, and what to do:\n",
            *to_act_on,
            "\nThe others, which only tell what goes on:\n",
            *others,
        ]
    )


def _alerts() -> str:
    rows = ["| alert | level | expression | what to do |", "|---|---|---|---|"]
    for rule in (each for group in yaml.safe_load(RULES.read_text())["groups"] for each in group["rules"]):
        name = rule["alert"].removeprefix("LibreChatWatcher")
        spell = f" for {rule['for']}" if "for" in rule else ""
        act = rule["annotations"]["description"]
        rows.append(f"| {name} | {rule['labels']['severity']} | `{rule['expr']}`{spell} | {act} |")
    return "\n".join(rows)


def main() -> None:
    DOCS.joinpath("EVENTS.md").write_text(events_page())
    DOCS.joinpath("ACTIONS.md").write_text(actions.page())
    operating = DOCS / "OPERATING.md"
    operating.write_text(operating_page(operating.read_text()))
    RULES_OF_KUSTOMIZE.write_text(rules_of_kustomize())
    RULES_OF_HELM.write_text(rules_of_helm())


if __name__ == "__main__":
    main()
