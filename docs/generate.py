"""The parts of the documentation that follow from the code: `make docs` writes them, a test compares them."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from click.testing import CliRunner

from tests.librechat import table as actions
from watcher.adapters.journal import LINES
from watcher.adapters.prometheus import Metrics
from watcher.cli import commands

DOCS = Path(__file__).parent


def events_page() -> str:
    return CliRunner().invoke(commands, ["events", "--markdown"]).output


def operating_page(page: str) -> str:
    """The page with its generated sections made anew."""
    defaults = files("watcher.config").joinpath("default.yaml").read_text()
    page = _section(page, "default.yaml", f"```yaml\n{defaults}```")
    page = _section(page, "metrics", _metrics())
    return _section(page, "journal", _journal())


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
    rows = ["| line | level | tells | what to do |", "|---|---|---|---|"]
    rows += [f"| `{name}` | {level} | {tells} | {act} |" for name, (level, tells, act) in LINES.items()]
    return "\n".join(rows)


def main() -> None:
    DOCS.joinpath("EVENTS.md").write_text(events_page())
    DOCS.joinpath("ACTIONS.md").write_text(actions.page())
    operating = DOCS / "OPERATING.md"
    operating.write_text(operating_page(operating.read_text()))


if __name__ == "__main__":
    main()
