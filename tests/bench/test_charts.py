"""Charts show what is measured, to scale."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from bench import charts

SVG = "{http://www.w3.org/2000/svg}"


def bars_of(svg: str, hue: str) -> list[float]:
    return [
        float(rect.attrib["width"])
        for rect in ET.fromstring(svg).iter(f"{SVG}rect")
        if rect.attrib["class"] == hue and rect.attrib["height"] == str(charts.BAR)
    ]


def test_a_bar_is_as_long_as_its_figure():
    svg = charts.bars("a race", {"ours": 300, "theirs": 100}, ours=["ours"])

    (ours,), (theirs,) = bars_of(svg, charts.ACCENT), bars_of(svg, charts.OTHER)
    assert ours == pytest.approx(3 * theirs, rel=0.01)


def test_a_pair_is_as_long_as_its_logarithm():
    svg = charts.pairs("latency", {"ours": {"p50": 10, "p99": 100}, "theirs": {"p50": 1, "p99": 1000}})

    medians, tails = bars_of(svg, charts.HUES[0]), bars_of(svg, charts.HUES[1])
    assert tails[0] == pytest.approx(2 * medians[0], rel=0.01)
    assert tails[1] == pytest.approx(3 * medians[0], rel=0.01)


def test_a_flat_line_stays_at_one_height():
    svg = charts.lines("growth", {"entities": [1, 1, 1], "waiting": [1, 2, 3]})

    flat, rising = (
        [float(point.split(",")[1]) for point in line.attrib["points"].split()]
        for line in ET.fromstring(svg).iter(f"{SVG}polyline")
        if "line" in line.attrib["class"].split()
    )
    assert len(set(flat)) == 1
    assert rising[0] > rising[1] > rising[2]


def test_names_are_written_as_text():
    svg = charts.bars("<a> & b", {"x < y": 1})

    assert "x < y" in [text.text for text in ET.fromstring(svg).iter(f"{SVG}text")]
