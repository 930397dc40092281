"""What expressions of PromQL are held to: a parser reads them, and what they ask for is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import promql_parser

from watcher.adapters.prometheus import Metrics

OF_SCRAPES = {"job", "instance", "namespace"}
"""Labels that Prometheus gives to what it scrapes."""

OF_HISTOGRAMS = {"_bucket": {"le"}, "_sum": set[str](), "_count": set[str]()}


def series() -> dict[str, set[str]]:
    """Every series that the program shows, as its own table has it, with its labels."""
    shown: dict[str, set[str]] = {}
    for name, kind, labels, _ in Metrics().table:
        for suffix, more in OF_HISTOGRAMS.items() if kind == "histogram" else [("", set[str]())]:
            shown[f"{name}{suffix}"] = {*labels, *more, *OF_SCRAPES}
    return shown


def check(expression: str) -> set[str]:
    """The metrics that it asks for. Raises AssertionError for one that is not there, or a label of none."""
    parsed = promql_parser.parse(expression)
    known, asked = series(), set()
    labels = set[str]()
    for selector in _selectors(parsed):
        assert selector.name in known, f"no such metric: {selector.name} in {expression}"
        asked.add(str(selector.name))
        labels |= known[selector.name]
        wrong = {matcher.name for matcher in selector.matchers.matchers} - known[selector.name]
        assert not wrong, f"{selector.name} has no label {wrong} in {expression}"
    grouped = {
        name for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression) for name in group.split(", ")
    }
    assert grouped <= labels, f"labels that nothing has: {grouped - labels} in {expression}"
    return asked


def _selectors(parsed: Any) -> Iterator[Any]:
    """Every vector selector in it, however deep."""
    match parsed:
        case promql_parser.VectorSelector():
            yield parsed
        case promql_parser.MatrixSelector():
            yield parsed.vector_selector
        case promql_parser.BinaryExpr():
            yield from _selectors(parsed.lhs)
            yield from _selectors(parsed.rhs)
        case promql_parser.Call():
            for each in parsed.args:
                yield from _selectors(each)
        case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            pass
        case _:  # an aggregation, parentheses, a sign, a subquery
            yield from _selectors(parsed.expr)
