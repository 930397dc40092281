"""docs/PERFORMANCE.md and its charts, made of what the benches kept. `python -m bench.page` makes them anew.

The page's own words stay as they are; what stands between two markers is replaced."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench import charts
from bench.aims import held, said
from bench.contest import BATCHED, SHARED, WATCHER
from bench.results import Result, kept
from bench.tables import Table, number

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "PERFORMANCE.md"
CHARTS = DOCS / "charts"
OURS = (WATCHER, BATCHED, SHARED)


def write_page() -> None:
    CHARTS.mkdir(exist_ok=True)
    for name, text in drawn().items():
        (CHARTS / f"{name}.svg").write_text(text)
    PAGE.write_text(filled(PAGE.read_text()))


def filled(page: str) -> str:
    """The page with its measured sections made anew; those of benches that were never run stay."""
    page = _section(page, "aims", _aims())
    for name, section in SECTIONS.items():
        result = kept(name)
        if result is not None:
            page = _section(page, name, section(result))
    return page


def drawn() -> Mapping[str, str]:
    """SVG by name."""
    made: dict[str, str] = {}
    for name, charts_of in CHARTED.items():
        result = kept(name)
        if result is not None:
            made.update(charts_of(result))
    return made


# ---------------------------------------------------------------------- sections


def _aims() -> str:
    rows = [(aim.words, *said(aim, value)) for aim, value in held()]
    return _markdown(("", "wanted", "measured", "held"), rows)


def _drain(result: Result) -> str:
    (table,) = result.tables
    others = [name for name in ("mq-bridge", "debezium") if name in table.values]
    head = ["", *table.figures, *(f"× of {name}" for name in others)]
    rows = [
        [*_row(table, thing), *(number(table.ratio(thing, other, "events/s")) for other in others)]
        for thing in table.values
    ]
    return _with(result, _markdown(head, rows), "drain-rate", "drain-cost")


def _plain(result: Result) -> str:
    return _with(result, *map(_titled, result.tables))


def _latency(result: Result) -> str:
    return _with(result, "latency", *map(_titled, result.tables))


def _stages(result: Result) -> str:
    (table,) = result.tables
    return _with(result, _whole(table), "stages")


def _growth(result: Result) -> str:
    return _with(result, *map(_titled, result.tables), "growth")


SECTIONS: Mapping[str, Callable[[Result], str]] = {
    "drain": _drain,
    "ways": _plain,
    "latency": _latency,
    "idle": _plain,
    "down": _plain,
    "stages": _stages,
    "growth": _growth,
}


def _with(result: Result, *parts: str) -> str:
    """Tables, then charts by their names, then the circumstances in small print."""
    shown = [f"![{part}](charts/{part}.svg)" if "|" not in part else part for part in parts]
    under = "; ".join(f"{name} {value}" for name, value in result.circumstances.items())
    return "\n\n".join([*shown, f"<sub>{under}</sub>"])


def _titled(table: Table) -> str:
    return f"{table.title[0].upper()}{table.title[1:]}:\n\n{_whole(table)}"


def _whole(table: Table) -> str:
    return _markdown(["", *table.figures], [_row(table, thing) for thing in table.values])


def _row(table: Table, thing: str) -> Sequence[str]:
    name = f"**{thing}**" if thing in OURS else thing
    figures = table.values[thing]
    return [name, *(number(table.median(thing, each)) if each in figures else "" for each in table.figures)]


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _section(page: str, name: str, text: str) -> str:
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    made, count = pattern.subn(lambda found: f"{found[1]}{text}\n{found[2]}", page)
    assert count == 1, f"docs/PERFORMANCE.md has no section {name!r}"
    return made


# ---------------------------------------------------------------------- charts


def _drain_charts(result: Result) -> Mapping[str, str]:
    (table,) = result.tables
    return {
        "drain-rate": charts.bars(f"events/s: {table.title}", _medians(table, "events/s"), ours=OURS),
        "drain-cost": charts.bars(
            "µs of CPU for each event, the same runs", _medians(table, "CPU µs/event"), ours=OURS
        ),
    }


def _latency_charts(result: Result) -> Mapping[str, str]:
    table = result.table("commit to receipt at 100/s")
    kinds = {"p50": "p50 ms", "p99": "p99 ms"}
    values = {
        thing: {kind: table.median(thing, figure) for kind, figure in kinds.items()} for thing in table.values
    }
    return {"latency": charts.pairs(f"{table.title}, ms (logarithmic)", values)}


def _stages_charts(result: Result) -> Mapping[str, str]:
    (table,) = result.tables
    costs = {
        stage: cost for stage, cost in _medians(table, "µs/event").items() if not stage.startswith("all")
    }
    return {"stages": charts.bars("µs of CPU for each event, by stage", costs, ours=costs)}


def _growth_charts(result: Result) -> Mapping[str, str]:
    # Larger documents cost more, as they should: what is held against the line is what should not.
    grown = {table.title.removeprefix("growth: "): table for table in result.tables}
    values = {
        f"{title}: {', '.join(table.values)}": list(_medians(table, "× of the first").values())
        for title, table in grown.items()
        if not title.startswith("size") and len(table.values) > 1
    }
    return {"growth": charts.lines("CPU of an event, × of the first", values)} if values else {}


CHARTED: Mapping[str, Callable[[Result], Mapping[str, str]]] = {
    "drain": _drain_charts,
    "latency": _latency_charts,
    "stages": _stages_charts,
    "growth": _growth_charts,
}


def _medians(table: Table, figure: str) -> Mapping[str, float]:
    return {thing: table.median(thing, figure) for thing in table.values}


if __name__ == "__main__":
    write_page()
