"""What Jinja gives is what we give, for templates that nobody thought of. The differences are those that
docs/FORMS.md states: in how values are (they are told to Jinja, in `jinja_reference`), and in what fails."""

from __future__ import annotations

import re
from random import Random
from typing import Any, NamedTuple

import pytest

from docs.generate import DOCS
from tests.config.templates import jinja_reference as jinja
from tests.config.templates.random_templates import Writer, event
from watcher.config.templates.trees import Faults, read_transform
from watcher.core.forms import Failed, Filled

STRICTER = {
    r"is undefined$": "What is not there is an error in lists and arguments as well",
    r"true or false$": "`true` and `false` are no numbers",
    r"`\+` of .*true or false": "`true` and `false` are no numbers",
    r"works on numbers, and this is (text|a list|null)$": "`* / // %` do nothing with text",
    r"have no order$": "Only numbers, texts, truths and lists have an order",
    r"cannot be looked for in text$": "`in` looks for text in text only",
    r"meets something that is not so many$": "take lists apart, no text",
    r"`urlencode` of a list takes pairs$": "`urlencode` take lists apart, no text",
    r"is no name$": "Names in mappings are text",
    r"a number grows too large$": "numbers are written as JavaScript does",
    r"(takes|makes) more than": "Limits, counted and not timed",
    r"`[a-z]+` takes a whole number": "`true` and `false` are no numbers",
}
"""Where we fail and Jinja gives something: why we do, and where the page says so."""


class Given(NamedTuple):
    """What became of a template."""

    value: Any = None
    failed: str | None = None


def ours(text: str, context: dict[str, Any]) -> Given:
    faults: Faults = []
    transform = read_transform(text, faults)
    if faults:
        return Given(failed=f"refused: {faults[0][1].what}")
    match transform.fill(context):
        case Filled(value=value):
            return Given(value)
        case Failed(reason=reason):
            return Given(failed=reason)


def theirs(text: str, expression: str | None, context: dict[str, Any]) -> Given:
    try:
        if expression is None:
            return Given(jinja.rendered(text, context))
        return Given(jinja.evaluated(expression, context))
    except Exception as error:
        return Given(failed=f"{type(error).__name__}: {error}")


def agree(we: Given, they: Given) -> bool:
    if we.failed is None and they.failed is None:
        return jinja.same(we.value, they.value)
    if we.failed is not None and they.failed is None:
        return any(
            re.search(reason, we.failed) for reason in [*STRICTER, "^refused: .* cannot be given that"]
        )
    return we.failed is not None


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize(
    "seeds",
    [
        range(400),
        *(pytest.param(range(n, n + 2_000), marks=pytest.mark.long) for n in range(1_000, 41_000, 2_000)),
    ],
    ids=lambda seeds: f"from {seeds.start}",
)
def test_what_jinja_gives_for_any_template_and_event_is_what_we_give(seeds: range) -> None:
    told = 0
    for seed in seeds:
        random = Random(seed)
        text, expression = Writer(random).template()
        context = event(random)

        we, they = ours(text, context), theirs(text, expression, context)

        assert agree(we, they), f"seed {seed}\n{text}\n{context}\nwe: {we}\nJinja: {they}"
        told += we.failed is None
    assert told > len(seeds) / 2, "most templates are of sense"


@pytest.mark.parametrize("told", STRICTER.values())
def test_the_page_says_where_we_fail_and_jinja_does_not(told: str) -> None:
    assert told in " ".join(DOCS.joinpath("FORMS.md").read_text().split())
