"""What was measured, and how it is shown: each figure of each thing in every run; the median counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self

Figures = Mapping[str, float]
"""What one run gave of one thing, by name; the name carries the unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Things that were measured in the same runs, in turn: their figures may be held against each other."""

    title: str
    values: Mapping[str, Mapping[str, Sequence[float]]]
    """By thing and figure: one for each run."""

    @classmethod
    def of(cls, title: str, runs: Sequence[Mapping[str, Figures]]) -> Self:
        """Of runs that measured the same."""
        return cls(
            title=title,
            values={
                thing: {figure: [run[thing][figure] for run in runs] for figure in figures}
                for thing, figures in runs[0].items()
            },
        )

    @property
    def figures(self) -> Sequence[str]:
        """The names of all figures, in the order in which they first come."""
        return list(dict.fromkeys(name for figures in self.values.values() for name in figures))

    def median(self, thing: str, figure: str) -> float:
        return median(self.values[thing][figure])

    def ratio(self, thing: str, other: str, figure: str) -> float:
        """How much the thing has of what the other has: of each run, then the median, for machines are slower
        in one run than in the next."""
        pairs = zip(self.values[thing][figure], self.values[other][figure], strict=True)
        return median(mine / theirs for mine, theirs in pairs)


def show(tables: Iterable[Table]) -> None:
    """Medians, a line for each thing; and all runs where one thing is measured."""
    for table in tables:
        print(f"\n{table.title}")
        if len(table.values) == 1:
            _show_runs(table)
        else:
            _show_medians(table)


def _show_medians(table: Table) -> None:
    width = max(map(len, table.values))
    widths = [max(len(figure), 9) + 2 for figure in table.figures]
    columns = list(zip(table.figures, widths, strict=True))
    print("  " + " " * width + "".join(f"{figure:>{wide}}" for figure, wide in columns))
    for thing, figures in table.values.items():
        cells = (
            f"{number(table.median(thing, figure)):>{wide}}" if figure in figures else " " * wide
            for figure, wide in columns
        )
        print(f"  {thing:<{width}}" + "".join(cells))


def _show_runs(table: Table) -> None:
    (thing,) = table.values
    width = max(map(len, table.figures))
    for figure, values in table.values[thing].items():
        each = f"   of {', '.join(map(number, values))}" if len(values) > 1 else ""
        print(f"  {figure:<{width}} {number(table.median(thing, figure)):>13}{each}")


def number(value: float) -> str:
    """As many digits as say something.

    >>> [number(each) for each in (16_604.3, 104.2, 12.34, 1.234, 0.0123)]
    ['16,604', '104', '12.3', '1.23', '0.01']
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
