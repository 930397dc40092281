"""How figures are shown: the median of the runs, and each of them where one thing is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

Figures = Mapping[str, float]
"""What one run gave, by name; the name carries the unit."""


def show(title: str, runs: Sequence[Figures]) -> None:
    """One line per figure."""
    print(f"\n{title}")
    width = max(map(len, runs[0]))
    for name in runs[0]:
        values = [run[name] for run in runs]
        each = f"   of {', '.join(f'{value:,.1f}' for value in values)}" if len(values) > 1 else ""
        print(f"  {name:<{width}} {median(values):>13,.1f}{each}")


def compare(title: str, runs: Sequence[Mapping[str, Figures]]) -> None:
    """One line per thing that was measured, one column per figure: medians."""
    print(f"\n{title}")
    width = max(map(len, runs[0]))
    names = tuple(next(iter(runs[0].values())))
    print("  " + " " * width + "".join(f"{name:>18}" for name in names))
    for thing in runs[0]:
        values = (median(run[thing][name] for run in runs) for name in names)
        print(f"  {thing:<{width}}" + "".join(f"{value:>18,.1f}" for value in values))
