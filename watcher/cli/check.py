"""`check`: is everything there that `run` needs?"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watcher.cli.settings import config_option, settings_from, with_managed

if TYPE_CHECKING:
    from watcher.diagnosis import Finding


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def check(config: Path | None, as_json: bool) -> None:
    """Tell what is missing: settings, MongoDB, rights, pre-images, oplog, receivers; each with its cure.

    Exit 0: `run` will work (warnings too); 1: it will not; 2: bad settings. Changes and sends nothing."""
    from watcher.diagnosis import diagnose

    settings = with_managed(settings_from(config))
    findings = asyncio.run(diagnose(settings))
    if as_json:
        good = all(finding.level != "problem" for finding in findings)
        document = {
            "ok": good,
            "findings": [
                {"level": each.level, "about": each.about, "what": each.what, "cure": each.cure}
                for each in findings
            ],
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _print_table(findings)
    sys.exit(1 if any(finding.level == "problem" for finding in findings) else 0)


def _print_table(findings: tuple[Finding, ...]) -> None:
    signs = {
        "ok": click.style("ok     ", fg="green"),
        "warning": click.style("warning", fg="yellow"),
        "problem": click.style("problem", fg="red"),
    }
    width = max(len(finding.about) for finding in findings)
    for finding in findings:
        click.echo(f"{signs[finding.level]}  {finding.about:<{width}}  {finding.what}")
        for line in finding.cure.splitlines() if finding.cure else ():
            click.echo(f"{'':<{width + 11}}{line}")
