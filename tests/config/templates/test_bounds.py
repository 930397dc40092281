"""Bounds: nothing that can be written in a template takes long, grows large, or reaches Python."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.config.templates.filling import CONTEXT, faults_of, outcome
from watcher.config.templates.trees import read_transform
from watcher.core.forms import Failed, Filled

LONG = {
    **CONTEXT,
    "data": {"text": "ab " * 340_000, "same": "ab " * 340_000, "list": list(range(20_000))},
}
"""A message as long as the largest body."""

SECONDS = 2.0
"""Far more than any of them takes, on a machine that has other things to do: none may take minutes."""


def doubled(times: int, statement: str) -> str:
    return "{% set a = [1] %}{% set t = 'x' %}{% set m = {} %}" + statement * times


BOMBS = {
    "nested loops": "{% for a in data.list %}" * 4 + "x" + "{% endfor %}" * 4,
    "loops over letters": "{% for a in data.text %}{% for b in data.text %}.{% endfor %}{% endfor %}",
    "a text in each turn": "{% for a in data.list %}{{ data.text }}{% endfor %}",
    "words in each turn": "{% for a in data.list %}" + "y" * 60_000 + "{% endfor %}",
    "a filter in each turn": "{% for a in data.list %}{% set x = data.text | upper | lower %}{% endfor %}",
    "comparisons": "{% for a in data.list %}{% if data.text == data.text ~ '' %}{% endif %}{% endfor %}",
    "searches": "{% for a in data.list %}{% if 'abc' in data.text %}{% endif %}{% endfor %}",
    "counts": "{% for a in data.list %}{{ data.text | replace('zz', '') | length }}{% endfor %}",
    "slices": "{% for a in data.list %}{% set x = data.text[1:] %}{% endfor %}",
    "doubled text": doubled(60, "{% set t = t + t %}") + "{{ t }}",
    "doubled by ~": doubled(60, "{% set t = t ~ t %}") + "{{ t }}",
    "doubled by join": doubled(60, "{% set t = [t, t, t] | join(t) %}") + "{{ t }}",
    "doubled by replace": doubled(60, "{% set t = t | replace('x', 'xx') %}") + "{{ t }}",
    "replace between letters": "{{ data.text | replace('', data.text) }}",
    "replace by itself": "{{ data.text | replace('a', data.text) }}",
    "doubled list": doubled(60, "{% set a = a + a %}") + "{{ a }}",
    "shared lists": doubled(60, "{% set a = [a, a] %}") + "{{ a }}",
    "shared lists as a value": doubled(60, "{% set a = [a, a] %}") + "{{ a | tojson | length }}",
    "shared mappings": doubled(60, "{% set m = {'a': m, 'b': m} %}") + "{{ m }}",
    "shared lists compared": doubled(60, "{% set a = [a, a] %}") + "{% set b = [a] %}{{ [a, b] == [b, a] }}",
    "alike and shared": doubled(60, "{% set a = [a, a] %}") + doubled(60, "{% set a = [a, a] %}")[28:]
    + "{{ [a] | unique }}",
    "deep lists": doubled(200, "{% set a = [a] %}") + "{{ a }}",
    "deep lists compared": doubled(200, "{% set a = [a] %}") + "{{ a == [a] }}",
    "sorting": "{% for a in data.list %}{{ data.list | sort | first }}{% endfor %}",
    "sorting long texts": "{% set t = [data.text ~ 1, data.text ~ 2, data.text ~ 3] %}"
    "{% for a in data.list %}{{ (t | sort | first)[:1] }}{% endfor %}",
    "grouping": "{% for a in data.list %}{{ data.list | groupby(0) | length }}{% endfor %}",
    "unique": "{% for a in data.list %}{{ data.list | unique | length }}{% endfor %}",
    "splitting": "{% for a in data.list %}{{ data.text.split('a') | length }}{% endfor %}",
    "title": "{% for a in data.list %}{{ (data.text | title)[:1] }}{% endfor %}",
    "striptags": "{% for a in data.list %}{{ ('<' ~ data.text) | striptags | length }}{% endfor %}",
    "wordcount": "{% for a in data.list %}{{ data.text | wordcount }}{% endfor %}",
    "escapes": "{% for a in data.list %}{{ (data.text | markdown)[:1] }}{% endfor %}",
    "map": "{% for a in data.list %}{{ data.list | map('string') | length }}{% endfor %}",
    "map in map": "{{ data.list | map('string') | map('list') | map('join') | join | list | length }}",
    "numbers": doubled(60, "{% set a = 9 %}") + "{% set n = 9007199254740991 %}" + "{% set n = n * n %}" * 60,
    "a wide format": "{{ '%1000000000d' % 5 }}",
    "text times": "{{ data.text * 1000000000 }}",
    "a list times": "{{ [1] * 1000000000 }}",
    "many names": "".join(f"{{% set n{i} = 1 %}}" for i in range(2_000))
    + "{% for a in data.list %}x{% endfor %}",
    "indices": "{% for a in data.list %}{{ data.list[a] }}{% endfor %}" * 20,
    "huge rounding": "{{ 1.5 | round(999999999) }}",
    "truncate to nothing": "{{ data.text | truncate(-99999999999) }}",
    "trim of many marks": "{% for a in data.list %}{{ data.text | trim(data.same ~ 'x') }}{% endfor %}",
    "trim that looks far": "{{ data.text | replace('b', 'a') | trim(data.same ~ 'x') }}",
    "entities": "{{ data.text | replace('b ', '&') | striptags | length }}" * 4,
    "tags": "{{ data.text | replace('a', '<') | replace('b', '>') | striptags | length }}" * 4,
    "paths of many steps": "{{ data.list | map(attribute='" + "a." * 30_000 + "a', default=1) | length }}",
    "sorting by many": "{{ data.list | map('string') | sort(attribute='" + "0," * 30_000 + "0') }}",
    "paths of a text": "{% for a in data.list %}{{ [1] | map(attribute=data.text, default=1) }}{% endfor %}",
    "large roundings": "{% for a in data.list %}{% set x = 1.5e300 | round(20) %}{% endfor %}",
    "kept slices of lists": "".join(f"{{% set x{i} = data.list[{i}:] %}}" for i in range(1_500)),
    "kept slices of text": "".join(f"{{% set x{i} = data.text[{i}:] %}}" for i in range(1_500)),
    "names in turns": "".join(f"{{% set n{i} = 1 %}}" for i in range(2_500))
    + "{% for a in data.list if a %}{% endfor %}",
    "a long number": "{{ data.text | replace('ab ', '9') | int }}",
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_no_template_takes_long_or_grows_large(bomb: str) -> None:
    if faults_of(bomb):
        return  # refused at load
    began = time.process_time()

    made = outcome(bomb, LONG)

    assert time.process_time() - began < SECONDS
    assert isinstance(made, Failed) or len(str(made.value)) < 5_000_000


MEGABYTES = 20


@pytest.mark.parametrize(
    "bomb",
    [
        *("kept slices of lists", "kept slices of text", "names in turns", "splitting", "striptags", "tags"),
        *("sorting by many", "trim of many marks", "many names"),
    ],
)
def test_no_template_takes_much_memory(bomb: str) -> None:
    faults: list[Any] = []
    transform = read_transform(BOMBS[bomb], faults)
    assert not faults
    tracemalloc.start()
    try:
        transform.fill(LONG)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < MEGABYTES * 1_000_000


@pytest.mark.parametrize(
    "work",
    [
        "{% if data.text == data.same %}{% endif %}",
        "{% if data.text < data.same %}{% endif %}",
        "{% if 'abc' in data.text %}{% endif %}",
        "{% if data.text in [data.same] %}{% endif %}",
        "{{ data.text[1:2] }}",
        "{{ data.text | wordcount }}",
        "{{ data.text | replace('x', '') | length }}",
        "{{ (data.text | trim) | length }}",
        "{{ data.text.startswith(data.same) }}",
        "{{ data.list | map('string') | length }}",
        "{{ data.list | tojson | length }}",
    ],
)
def test_going_through_a_long_value_costs_steps_by_its_length(work: str) -> None:
    once, often = work, "{% for a in data.list[:100] %}" + work + "{% endfor %}"

    assert isinstance(outcome(once, LONG), Filled)
    made = outcome(often, LONG)
    assert isinstance(made, Failed)
    assert "more than" in made.reason


@pytest.mark.parametrize(
    ("work", "text"),
    [
        ("{{ data.text | striptags }}", "&a" * 26_000),
        ("{{ data.text | striptags }}", "<b>" * 220_000),
        ("{{ data.text | trim(data.marks) }}", "-" * 60_000),
        ("{{ data.list | map(attribute=data.text, default=1) }}", "a." * 6_000),
        ("{{ data.list | sort(attribute=data.text) }}", "0," * 6_000 + "0"),
        ("{{ data.text.split() | length }}", "a " * 310_000),
    ],
)
def test_what_takes_long_for_its_length_costs_more(work: str, text: str) -> None:
    marks = "".join(map(chr, range(0x4E00, 0x4E00 + 9_000)))

    made = outcome(work, {**CONTEXT, "data": {"text": text, "marks": marks, "list": [["a"]] * 10}})

    assert made == Failed(reason="transform: takes more than 50,000 steps")


def test_what_a_filling_may_do_is_counted_over_the_whole_transform() -> None:
    some = "{% for a in data.list[:6000] %}{{ a }}{% endfor %}"

    made = outcome([some, some, some], LONG)

    assert isinstance(outcome([some, some], LONG), Filled)

    assert isinstance(made, Failed)
    assert made.reason == "transform[2]: takes more than 50,000 steps"


def test_where_it_ends_is_the_same_each_time() -> None:
    for size in (8_000, 8_500, 9_000, 12_000):
        source = {
            "a": "{% for a in data.list[:" + str(size) + "] %}{{ a }}{% if a %}!{% endif %}{% endfor %}"
        }

        first, *others = [outcome(source, LONG) for _ in range(3)]

        assert others == [first, first]


def test_a_long_message_goes_through_some_filters() -> None:
    source = "{{ data.text | upper | replace('A', 'B') | truncate(100) }} {{ data.text | wordcount }}"

    assert isinstance(outcome(source, LONG), Filled)


# ---------------------------------------------------------------- nothing of Python's

ATTACKS = [
    "{{ ''.__class__ }}",
    "{{ ''['__class__'] }}",
    "{{ data.__class__.__mro__ }}",
    "{{ data.text.__class__ }}",
    "{{ data['__class__'] }}",
    "{{ [].append }}{{ [].__len__ }}",
    "{{ data.files.append }}",
    "{{ data.keys }}",
    "{{ (data.text | upper).__init__ }}",
    "{{ data | attr('__class__') }}",
    "{{ data.files | map(attribute='__class__') | list }}",
    "{{ data.files | selectattr('__class__') | list }}",
    "{{ data.files | groupby('__class__') }}",
    "{{ data.files | sort(attribute='__class__') }}",
    "{{ data.files | sum(attribute='name.__class__') }}",
    "{{ '{0.__class__}'.format(data) }}",
    "{{ '{0.__class__}' | format(data) }}",
    "{{ '%(x)s' % data }}",
    "{{ self }}",
    "{{ self._TemplateReference__context }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ lipsum.__globals__ }}",
    "{{ joiner() }}",
    "{{ namespace(a=1) }}",
    "{{ config }}",
    "{{ request }}",
    "{{ loop.__class__ }}",
    "{% for x in [1] %}{{ loop.__class__ }}{% endfor %}",
    "{% for x in [1] %}{{ loop.changed(1) }}{{ loop.cycle('a') }}{% endfor %}",
    "{% set data.text = 1 %}",
    "{% set data = 1 %}{{ data.x }}",
    "{{ data.update({'text': 1}) }}",
    "{{ data.files.pop() }}",
    "{{ data.files.clear() }}",
    "{{ data.text.encode() }}",
    "{{ data.text.translate({}) }}",
    "{{ data.text.join(data.files) }}",
    "{{ caller() }}",
    "{{ varargs }}{{ kwargs }}",
    "{{ _ }}{{ gettext }}",
    "{{ True.__class__ }}{{ none.__class__ }}{{ 1 .__class__ }}",
    "{{ data.text.upper.__self__ }}",
    "{{ data.text | map('attr', '__class__') | list }}",
    "{{ data.text is callable }}",
    "{{ data.text | pprint }}{{ data | xmlattr }}{{ data.text | safe }}{{ data.text | forceescape }}",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_of_pythons_can_be_reached(attack: str) -> None:
    context = {**CONTEXT, "data": dict(CONTEXT["data"])}

    if not faults_of(attack):
        made = outcome(attack, context)
        assert isinstance(made, Failed)
        assert "undefined" in made.reason or "works on" in made.reason

    assert context == CONTEXT, "what is filled from stays as it is"


def test_what_is_given_out_is_not_what_it_was_made_of() -> None:
    context = {**CONTEXT, "data": {"files": [{"a": [1]}]}}

    made = outcome({"one": "{{ data.files }}", "two": "{{ data.files }}"}, context)

    assert isinstance(made, Filled)
    made.value["one"][0]["a"].append(2)
    assert made.value["two"] == context["data"]["files"] == [{"a": [1]}]


# ---------------------------------------------------------------- whatever is written

PIECES = st.sampled_from(
    ["{{ ", " }}", "{% for x in ", " %}", "{% endfor %}", "{% if ", "{% endif %}", "{% set x = ", "data",
     ".text", ".files", "[0]", "[-1:]", " | upper", " | join", " | map('upper')", " | list", " | sort", " ~ ",
     " + ", " * ", "'a'", "1", "1.5", " == ", " in ", " is defined", "(", ")", "x", "loop.index", ", ",
     "none", "{", "}", "'k': ", "else", " not ", "-", "%", "__class__", "|attr('x')", ".split()", "\n", "é",
     "\ud800", "'\\ud800'", " | urlencode", " | striptags", " | groupby('text')", " if ", " | unique", "\0"]
)  # fmt: skip
FINITE = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | FINITE | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(pieces=st.lists(PIECES, max_size=25), data=st.dictionaries(st.sampled_from(["text", "files"]), VALUES))
def test_whatever_is_written_is_refused_or_filled_or_fails_and_never_raises(
    pieces: list[str], data: dict[str, Any]
) -> None:
    text = "".join(pieces)
    for source in (text, "{{ " + text + " }}"):
        faults: list[Any] = []
        transform = read_transform(source, faults)
        if faults:
            assert all(fault.what and fault.cure for _, fault in faults)
            continue

        made = transform.fill({**CONTEXT, "data": data})

        assert isinstance(made, Filled | Failed)
        if isinstance(made, Failed):
            assert not made.reason.endswith(("Error", "Exception")), made.reason
