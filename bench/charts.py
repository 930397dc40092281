"""Charts as SVG text, readable on light and on dark paper: bars, and lines over a growing thing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from bench.tables import number

WIDTH = 760
LEFT, RIGHT = 220, 90
"""Room for names, and for figures behind the longest bar."""

ROW, BAR = 24, 15
HEAD = 34

ACCENT, OTHER = "accent", "other"
HUES = ("accent", "second", "third", "other")

ALLOWED = 1.2
"""Of lines: what may be called flat."""

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #444c56; }
.title { font-weight: 600; }
.axis { stroke: #8c959f; stroke-width: 1; }
.accent { fill: #0969da; } .second { fill: #bf8700; } .third { fill: #8250df; } .other { fill: #8c959f; }
.dashed { stroke-dasharray: 5 5; }
.line { stroke-width: 2.5; }
.line.accent { stroke: #0969da; } .line.second { stroke: #bf8700; } .line.third { stroke: #8250df; }
.line.other { stroke: #8c959f; }
@media (prefers-color-scheme: dark) {
  text { fill: #c9d1d9; }
  .accent { fill: #4493f8; } .second { fill: #d29922; } .third { fill: #ab7df8; }
  .line.accent { stroke: #4493f8; } .line.second { stroke: #d29922; } .line.third { stroke: #ab7df8; }
}
polyline { fill: none !important; }
"""


def bars(title: str, values: Mapping[str, float], *, ours: Iterable[str] = ()) -> str:
    """One bar for each, from zero. `ours`: those that are pointed out."""
    longest, ours = max(values.values()), set(ours)
    rows: list[str] = []
    for index, (name, value) in enumerate(values.items()):
        y, length = HEAD + index * ROW, (WIDTH - LEFT - RIGHT) * value / longest
        rows += [
            _name(name, y),
            _bar(y, length, ACCENT if name in ours else OTHER),
            _figure(y, length, value),
        ]
    return _svg(title, HEAD + len(values) * ROW, rows)


def pairs(title: str, values: Mapping[str, Mapping[str, float]]) -> str:
    """Some bars for each, as long as the figure's logarithm: what differs by a thousand is seen beside what
    differs by two."""
    kinds = list(next(iter(values.values())))
    flat = [value for figures in values.values() for value in figures.values()]
    low = 10 ** math.floor(math.log10(min(flat)))
    scale = (WIDTH - LEFT - RIGHT) / math.log10(max(flat) / low)
    rows = list(_legend(kinds))
    for index, (name, figures) in enumerate(values.items()):
        top = HEAD + ROW + index * (ROW * len(kinds) + 6)
        rows.append(_name(name, top))
        for place, kind in enumerate(kinds):
            y, length = top + place * ROW, math.log10(figures[kind] / low) * scale
            rows += [_bar(y, length, HUES[place]), _figure(y, length, figures[kind])]
    return _svg(title, HEAD + ROW + len(values) * (ROW * len(kinds) + 6), rows)


def lines(title: str, values: Mapping[str, Sequence[float]]) -> str:
    """Of each thing, a figure for each step, from the first on; dashed: what may still be called flat."""
    upper = HEAD + ROW * len(values)
    height, left, wide = 200, 60, WIDTH - 140
    steps = max(map(len, values.values()))
    top = max(1.3, *(value for line in values.values() for value in line)) * 1.05

    def at(step: int, value: float) -> tuple[float, float]:
        return left + wide * step / (steps - 1), upper + height * (1 - value / top)

    rows = [
        _path("axis", [(left, upper), (left, upper + height), (left + wide, upper + height)]),
        _path("axis dashed", [at(0, ALLOWED), at(steps - 1, ALLOWED)]),
    ]
    rows += [_text(left - 10, at(0, mark)[1] + 4, f"{mark:g}", "end") for mark in (1, ALLOWED)]
    for place, (name, line) in enumerate(values.items()):
        hue = HUES[place % len(HUES)]
        points = [at(step, value) for step, value in enumerate(line)]
        rows += _key(left, HEAD + ROW * place, hue, name)
        rows.append(_path(f"line {hue}", points))
        rows += [f'<circle class="{hue}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in points]
    return _svg(title, upper + height + 12, rows)


def _legend(kinds: Sequence[str]) -> Iterable[str]:
    x = LEFT
    for place, kind in enumerate(kinds):
        yield from _key(x, HEAD, HUES[place], kind)
        x += 46 + 8 * len(kind)


def _key(x: float, y: float, hue: str, words: str) -> Sequence[str]:
    return [
        f'<rect class="{hue}" x="{x}" y="{y}" width="12" height="12" rx="2"/>',
        _text(x + 18, y + 11, words),
    ]


def _name(name: str, y: float) -> str:
    return _text(LEFT - 10, y + 12, name, "end")


def _bar(y: float, length: float, hue: str) -> str:
    return f'<rect class="{hue}" x="{LEFT}" y="{y}" width="{max(length, 1):.1f}" height="{BAR}" rx="2"/>'


def _figure(y: float, length: float, value: float) -> str:
    return _text(LEFT + length + 8, y + 12, number(value))


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _path(kind: str, points: Sequence[tuple[float, float]]) -> str:
    return f'<polyline class="{kind}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def _svg(title: str, height: float, rows: Iterable[str]) -> str:
    body = "\n".join(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n"
        f'<text class="title" x="12" y="18">{escape(title)}</text>\n{body}\n</svg>\n'
    )
