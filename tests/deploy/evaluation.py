"""What an expression of PromQL comes to over scrapes of one program: as much of it as the alerts need.

`increase` is from the first to the last scrape in its range, without extrapolation."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import promql_parser
from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]

COMPARED: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
}
ACROSS: dict[str, Callable[[Sequence[float]], float]] = {"max": max, "min": min, "sum": math.fsum}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """The answer of /metrics, and when it was asked for, in seconds."""

    at: float
    series: dict[tuple[str, Labels], float]

    @classmethod
    def of(cls, text: str, *, at: float) -> Scrape:
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return cls(
            at=at, series={(each.name, frozenset(each.labels.items())): each.value for each in samples}
        )


def holds(expression: str, scrapes: Sequence[Scrape]) -> bool:
    """Whether an alert's expression gives anything, as of the last scrape."""
    found = _evaluated(promql_parser.parse(expression), scrapes)
    assert isinstance(found, dict)
    return bool(found)


def _evaluated(node: Any, scrapes: Sequence[Scrape]) -> Vector | float:
    match node:
        case promql_parser.NumberLiteral():
            return float(node.val)
        case promql_parser.ParenExpr():
            return _evaluated(node.expr, scrapes)
        case promql_parser.VectorSelector():
            return _selected(node, scrapes[-1])
        case promql_parser.Call() if node.func.name == "increase":
            (selected,) = node.args
            return _increased(selected, scrapes)
        case promql_parser.AggregateExpr():
            return _together(node, _vector(node.expr, scrapes))
        case promql_parser.BinaryExpr():
            return _joined(node, _vector(node.lhs, scrapes), _evaluated(node.rhs, scrapes))
        case _:
            raise NotImplementedError(node.prettify())


def _vector(node: Any, scrapes: Sequence[Scrape]) -> Vector:
    found = _evaluated(node, scrapes)
    assert isinstance(found, dict), node.prettify()
    return found


def _selected(selector: Any, scrape: Scrape) -> Vector:
    wanted = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
    return {
        labels: value
        for (name, labels), value in scrape.series.items()
        if name == selector.name and wanted.items() <= dict(labels).items()
    }


def _increased(selected: Any, scrapes: Sequence[Scrape]) -> Vector:
    since = scrapes[-1].at - selected.range.total_seconds()
    seen = [_selected(selected.vector_selector, each) for each in scrapes if each.at >= since]
    first: Vector = {}
    for each in seen:
        first = {**each, **first}  # a series that came later began with what it had then
    return {labels: value - first[labels] for labels, value in seen[-1].items()} if len(seen) > 1 else {}


def _together(node: Any, found: Vector) -> Vector:
    by = set(node.modifier.labels) if node.modifier is not None else set[str]()
    groups: dict[Labels, list[float]] = {}
    for labels, value in found.items():
        groups.setdefault(frozenset(each for each in labels if each[0] in by), []).append(value)
    return {labels: ACROSS[str(node.op)](values) for labels, values in groups.items()}


def _joined(node: Any, left: Vector, right: Vector | float) -> Vector:
    word = str(node.op)
    if isinstance(right, float):
        return {labels: value for labels, value in left.items() if COMPARED[word](value, right)}
    match word:
        case "or":
            return {**right, **left}
        case "and":
            return {labels: value for labels, value in left.items() if labels in right}
        case "unless":
            return {labels: value for labels, value in left.items() if labels not in right}
        case _:
            raise NotImplementedError(node.prettify())
