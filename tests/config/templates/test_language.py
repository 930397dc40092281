"""The language of templates: Jinja's, over plain values. What may be written, and what it gives."""

from __future__ import annotations

import json
from typing import Any

import jinja2
import pytest

from tests.config.templates.filling import CONTEXT, fault_of, faults_of, filled, reason
from watcher.config.templates.budget import Budget
from watcher.config.templates.plain import text_of
from watcher.config.templates.trees import read_transform


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # One expression and nothing else gives its value.
        ("{{ data.number }}", 7),
        ("{{ data.ratio }}", 1.5),
        ("{{ data.yes }}", True),
        ("{{ data.nothing }}", None),
        ("{{ data.files }}", CONTEXT["data"]["files"]),
        ("{{ data }}", CONTEXT["data"]),
        ("{# a note #}{{ data.number }}", 7),
        # Everything else gives text.
        ("{{ data.number }} ", "7 "),
        ("{{ data.number }}{{ data.number }}", "77"),
        ("{{ data.nothing }}!", "!"),
        ("{{ data.yes }} {{ data.no }}", "true false"),
        ("{{ data.ratio }} {{ data.whole }} {{ data.tiny }}", "1.5 2 1e-7"),
        ("={{ data.feedback }}", '={"rating":"thumbsUp","tag":null}'),
        ("={{ [1.0, none, true] }}", "=[1,null,true]"),
        ("plain", "plain"),
        ("{% raw %}{{ data }}{% endraw %}", "{{ data }}"),
        # Parts.
        ("{{ data['text'] }}", "Hello <b>World</b>"),
        ("{{ data['feedback']['rating'] }}", "thumbsUp"),
        ("{{ data.files[0].name }}{{ data.files[-1].name }}", "a.pngb.txt"),
        ("{{ data.text[0] }}{{ data.text[-1] }}", "H>"),
        ("{{ data.text[:5] }}", "Hello"),
        ("{{ data.files[1:] | length }}", 1),
        ("{{ data.text[::2][:3] }}", "Hlo"),
        # A field is a field, whatever Python calls so.
        ("{{ data.items }}", "a field"),
        # Operators.
        ("{{ 1 + 2 * 3 - 4 / 2 }}", 5.0),
        ("{{ 7 // 2 }} {{ 7 % 4 }} {{ -data.number }} {{ +1 }}", "3 3 -7 1"),
        ("{{ 'a' + 'b' }}{{ [1] + [2] }}", "ab[1,2]"),
        ("{{ 'a' ~ 1 ~ none ~ true ~ 1.0 }}", "a1true1"),
        ("{{ 1 < data.number <= 7 }}", True),
        ("{{ data.number == 7.0 and data.number != '7' }}", True),
        ("{{ true == 1 }}", False),
        ("{{ [1, {'a': 2}] == [1.0, {'a': 2}] }}", True),
        ("{{ 'ell' in data.text and 'x' not in data.text and 7 in [7] and 'text' in data }}", True),
        ("{{ 'b' if data.no else 'c' }}", "c"),
        ("{{ data.nothing or 'else' }}", "else"),
        ("{{ not data.no and 1 }}", 1),
        ("{{ {'a': 1}['a'] }}", 1),
        ("{{ {'a': 1}.get(event, 'none') }}", "none"),
        # Statements.
        ("{% if data.number > 5 %}big{% elif data.number > 3 %}middle{% else %}small{% endif %}", "big"),
        ("{% if data.no %}x{% endif %}", ""),
        ("{% for f in data.files %}{{ f.name }}{{ '' if loop.last else ', ' }}{% endfor %}", "a.png, b.txt"),
        ("{% for f in data.files if f.bytes > 5 %}{{ loop.index }}/{{ loop.length }} {% endfor %}", "1/1 "),
        ("{% for x in [] %}x{% else %}none{% endfor %}", "none"),
        ("{% for k, v in data.feedback.items() %}{{ k }}={{ v }};{% endfor %}", "rating=thumbsUp;tag=;"),
        ("{% for a in 'ab' %}{% for b in [1, 2] %}{{ a }}{{ b }}{{ loop.index0 }} {% endfor %}{% endfor %}",
         "a10 a21 b10 b21 "),
        ("{% set x = data.number %}{{ x + 1 }}", "8"),
        ("{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}", "231"),
        ("{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}", "2"),
        ("a{%- if true -%} b {%- endif -%} c", "abc"),
    ],
)  # fmt: skip
def test_what_a_text_gives(text: str, value: Any) -> None:
    assert filled(text) == value
    assert type(filled(text)) is type(value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("data.gone | default", ""),
        ("data.gone | default('x')", "x"),
        ("data.gone.deeper.still | d('x')", "x"),
        ("data.nothing | default('x')", None),
        ("data.nothing | default('x', true)", "x"),
        ("data.text | length", 18),
        ("data.files | count", 2),
        ("data.text | upper", "HELLO <B>WORLD</B>"),
        ("data.text | lower", "hello <b>world</b>"),
        ("'hello wORLD' | title", "Hello World"),
        ("'hello wORLD' | capitalize", "Hello world"),
        ("'  x ' | trim", "x"),
        ("'--x-' | trim('-')", "x"),
        ("'a b c d e f' | truncate(7, false, '…', 0)", "a b c…"),
        ("'a b c d e f' | truncate(7, true, '…', 0)", "a b c …"),
        ("'abcdef' | truncate(3)", "abcdef"),
        ("'aXbX' | replace('X', '--')", "a--b--"),
        ("'aXbX' | replace('X', '--', 1)", "a--bX"),
        ("[1, 'a', none, true] | join('-')", "1-a--true"),
        ("data.files | join(', ', attribute='name')", "a.png, b.txt"),
        ("[3, 1] | first", 3),
        ("'ab' | last", "b"),
        ("'42' | int", 42),
        ("'4.9' | int", 4),
        ("'x' | int(-1)", -1),
        ("'1e3' | float", 1000.0),
        ("'x' | float", 0.0),
        ("2.567 | round(2)", 2.57),
        ("2.1 | round(0, 'ceil')", 3.0),
        ("-2.1 | abs", 2.1),
        ("{'b': 1, 'a': [1.0]} | tojson", '{"b":1,"a":[1]}'),
        ("'ab' | list", ["a", "b"]),
        ("'ab' | reverse", "ba"),
        ("[3, 1, 2] | sort", [1, 2, 3]),
        ("['b', 'A'] | sort", ["A", "b"]),
        ("data.files | sort(true, attribute='bytes') | map(attribute='bytes') | list", [9, 3]),
        ("[1, 2, 1.0, 'A', 'a'] | unique", [1, 2, "A"]),
        ("[3, 1, 2] | min", 1),
        ("[3, 1, 2] | max", 3),
        ("data.files | sum(attribute='bytes')", 12),
        ("['a', 'b'] | map('upper') | list", ["A", "B"]),
        ("['a', none, ''] | select | list", ["a"]),
        ("[1, 2, 3] | select('odd') | list", [1, 3]),
        ("[1, 2, 3] | reject('gt', 1) | list", [1]),
        ("data.files | selectattr('bytes', 'gt', 5) | map(attribute='name') | list", ["b.txt"]),
        ("data.files | rejectattr('extra', 'defined') | list | length", 2),
        ("[{'t': 1}, {'t': 2}, {'t': 1}] | groupby('t') | map('last') | map('length') | list", [2, 1]),
        ("{'b': 1, 'a': 2} | dictsort", [["a", 2], ["b", 1]]),
        ("{'b': 1, 'a': 2} | items", [["b", 1], ["a", 2]]),
        ("data.text | striptags", "Hello World"),
        ("data.text | wordcount", 4),
        ("'a b/ü' | urlencode", "a%20b%2F%C3%BC"),
        ("5 | string", "5"),
        ("'a,b,c' | split(',')", ["a", "b", "c"]),
        ("' a  b ' | split", ["a", "b"]),
        ("'<!channel> &' | slack", "&lt;!channel&gt; &amp;"),
        ("'@everyone *x*' | discord", "\\@everyone \\*x\\*"),
        ("'[a](b)' | teams", "\\[a\\]\\(b\\)"),
        ("'#a' | markdown", "\\#a"),
        ("data.text.upper()[:5]", "HELLO"),
        ("data.text.split(' ')[0].lower()", "hello"),
        ("data.text.startswith('Hello') and not data.text.endswith('x')", True),
        ("data.text.replace('Hello', 'Bye')[:3]", "Bye"),
        ("data.feedback.keys() | list", ["rating", "tag"]),
        ("data.feedback.values() | first", "thumbsUp"),
        ("data.gone is defined", False),
        ("data.gone.deeper is undefined", True),
        ("data.nothing is none and data.text is string and data.number is number", True),
        ("data.number is integer and data.ratio is float and data.yes is boolean", True),
        ("data.files is sequence and data.feedback is mapping and data.yes is true", True),
        ("4 is even and 3 is odd and 9 is divisibleby(3) and 1 is in [1]", True),
        ("1 is eq(1) and 1 is lt(2) and 2 is ge(2) and 1 is ne('1')", True),
    ],
)  # fmt: skip
def test_filters_methods_and_tests(expression: str, value: Any) -> None:
    assert filled("{{ " + expression + " }}") == value


SAME_AS_JINJA = [
    "{{ 'a' if data.no }}|{{ ('a' if data.no) ~ 'b' }}|{{ 'a' if data.yes }}",
    "{{ ('a' if data.no) | default('c') }}{{ ('a' if data.no) is defined }}",
    "{% for g in data.files | groupby('bytes') %}{{ g.grouper }}{{ g.list[0].name }}{{ g[0] }}{% endfor %}",
    "{% for n, x in [{'t': 'B'}, {'t': 'a'}, {'t': 'b'}] | groupby('t') %}{{ n }}{{ x | count }}{% endfor %}",
    "{% for n, _ in [{'t': 1}, {}] | groupby('t', default=0) %}{{ n }}{% endfor %}",
    "{{ [{}] | map(attribute='x', default='y') | join }}",
    "{{ none | map('upper') | join }}{{ none | select | join }}",
    "{{ data.files | sort(attribute='bytes,name') | map(attribute='name') | join }}",
    "{{ [[1, 'b'], [1, 'a']] | sort | map('last') | join }}{{ [[1], [2, 3]] | sum(start=[]) | join }}",
    "{{ 'aXbX' | replace('X', '', -1) }}{{ 'abcdef' | truncate(3, leeway=none) }}",
    "{{ [1, 2, 3][none:2] | join }}",
    "{{ \"they're\".title() }}{{ \"they're\" | title }}{{ \"it is, it's\" | wordcount }}",
    "{{ 'a <!-- > --> &lt;b&gt; <i>c</i> &amp; <' | striptags }}",
    "{{ {'a b': 'c/d', 'e': 1} | urlencode }}{{ [['a', 'ü']] | urlencode }}",
    "{% set x = data.gone %}{{ x | default('-') }}{{ (data.no or data.gone) | d('-') }}",
    "{{ (data.gone if true else 1) | d('-') }}",
    "{{ {1: 'low', 2: 'high'}[2] }}{{ {true: 'y', false: 'n'}[data.yes] }}",
    "{{ {1: 'a'}.get(1) }}{{ 1 in {1: 2} }}",
    "{% for x in [] %}{% else %}{% set y = 1 %}{% endfor %}{{ y is defined }}",
    "{{ [9007199254740993, '9007199254740993', 1, 1.0] | unique | list | length }}",
    "{{ data.text | truncate(9) }}|{{ data.text | truncate(9, true) }}|{{ data.text | truncate(9, end='') }}",
    "{{ 'my-title (of) things' | title }}|{{ 'éa' | capitalize }}",
    "{% for x in [1, 2] %}{{ loop.index }}{{ loop.revindex }}{% if loop.last %}>{% endif %}{% endfor %}",
    "{{ [3, 1, 2] | sort(reverse=true) | join(',') }}|{{ ['b', 'a', 'B'] | unique | join(',') }}",
    "{{ 'a-b' | replace('-', '+') }}{{ 'x' ~ 5 ~ 'y' }}{{ 7 // 2 }}{{ -7 % 3 }}",
    "{%- for k, v in {'b': 1, 'a': 2} | dictsort %}{{ k }}{{ v }}{% endfor -%}  end",
    "{% if data.files | length > 1 %}2{% endif %}{{ data.files | map(attribute='name') | join }}",
    "{{ 42.55 | round(1) }}|{{ 42.55 | round(1, 'floor') }}|{{ '3.7' | int }}|{{ 'x' | float(1.5) }}",
    "a\n{% if true %}\n  b\n{% endif %}\nc\n",
]  # fmt: skip


@pytest.mark.parametrize("text", SAME_AS_JINJA)
def test_what_jinja_itself_gives_is_what_we_give(text: str) -> None:
    jinja = jinja2.Environment(
        autoescape=False,
        finalize=lambda value: str(value).lower() if value is True or value is False else value,
    )
    assert text_of(filled(text), Budget()) == jinja.from_string(text).render(CONTEXT)


# ---------------------------------------------------------------- what fails for an event


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ data.titel }}", "data.titel is undefined"),
        ("a {{ data.feedback.score.high }}", "data.feedback.score is undefined"),
        ("{{ data['gone'] }}", "data.gone is undefined"),
        ("{{ data.files[9].name }}", "a part of data.files is undefined"),
        ("{{ data.text.gone }}", "data.text.gone is undefined"),
        ("{% if data.gone %}x{% endif %}", "data.gone is undefined"),
        ("{{ data.gone == 1 }}", "data.gone is undefined"),
        ("{{ data.gone | upper }}", "data.gone is undefined"),
        ("{% for x in data.gone %}{% endfor %}", "data.gone is undefined"),
        ("{% if data.no %}{% set x = 1 %}{% endif %}{{ x }}", "`x` is undefined"),
        ("{{ [] | first }}", "the first of nothing is undefined"),
        ("{% set x = data.gone %}{{ x }}", "data.gone is undefined"),
        ("{{ data.gone[1:] }}", "data.gone is undefined"),
        ("{{ ('a' if false).b }}", "a part of a value is undefined"),
        ("{{ data.number.upper() }}", "`upper` works on text, and this is a number"),
        ("{{ data.text.startswith(data.nothing) }}", "`startswith` works on text, and this is null"),
        ("{{ ['a'] | sum(start='') }}", "`sum` works on numbers, and this is text"),
        ("{{ {'a': 1}[[1]] }}", "a list is no name"),
        ("{{ '&#" + "9" * 5_000 + "' | striptags }}", "`striptags` meets a number that is too large"),
        ("{{ data.files | map(attribute='extra') | list }}", "a part of an item is undefined"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ 1 // 0 }}{{ 1 % 0 }}", "division by zero"),
        ("{{ 'a' + 1 }}", "`+` of text and a number (`~` puts texts together)"),
        ("{{ 'a' * 3 }}", "`*` works on numbers, and this is text"),
        ("{{ '%s' % 3 }}", "`%` works on numbers, and this is text"),
        ("{{ data.text < 3 }}", "text and a number have no order"),
        ("{{ 1 in 5 }}", "a number cannot be gone through"),
        ("{{ none | length }}", "`length` of null"),
        ("{% for a, b in [[1]] %}{% endfor %}", "a loop over 2 names meets something that is not so many"),
        ("{{ ['ab', 'cd'] | urlencode }}", "`urlencode` of a list takes pairs"),
        ("{{ ({} | first) or 'x' }}", "the first of nothing is undefined"),
        ("{{ (1 and true) + 1 }}", "`+` of true or false and a number (`~` puts texts together)"),
        ("{{ 1e308 * 10 }}", "a number grows too large"),
    ],
)
def test_why_an_event_cannot_be_told(text: str, why: str) -> None:
    assert reason(text) == f"transform: {why}"


def test_the_reason_says_where_in_the_transform() -> None:
    assert (
        reason({"blocks": [{"text": "{{ data.gone }}"}]})
        == "transform.blocks[0].text: data.gone is undefined"
    )


def test_a_reason_never_quotes_what_a_document_holds() -> None:
    planted = {**CONTEXT, "data": {"text": "PL4NTED", "PL4NTED": {"PL4NTED": "PL4NTED"}}}
    texts = [
        "{{ data[data.text][data.text].gone }}",
        "{{ data[data.text ~ 'x'] }}",
        "{{ data.text + 1 }}{{ data.text }}",
        "{{ data.text | int + data.text }}",
        "{{ data | sort }}{{ data.values() | sort }}",
        "{% for a, b, c in data.text %}{% endfor %}",
        "{{ data.text | truncate(-1) }}",
        "{{ data | map(attribute=data.text) | list }}",
    ]

    for text in texts:
        assert "PL4NTED" not in reason(text, planted)


# ---------------------------------------------------------------- what is refused at load


@pytest.mark.parametrize(
    ("text", "what", "cure"),
    [
        ("{{ title }}", "nothing is called `title`", "did you mean `data.title`?"),
        ("{{ dat.title }}", "nothing is called `dat`", "did you mean `data`?"),
        ("{{ userid }}", "nothing is called `userid`", "did you mean `userId`?"),
        ("{{ loop.index }}", "nothing is called `loop`", "event, timestamp, data, userId, webhookId"),
        ("{{ data.text | uper }}", "no filter is called `uper`", "did you mean `upper`?"),
        ("{{ data.text | zzz }}", "no filter is called `zzz`", "known: default, d, length,"),
        ("{{ data.text | zzz }}", "no filter is called `zzz`", "map, select, reject, selectattr, rejectattr"),
        ("{{ data.files | selct }}", "no filter is called `selct`", "did you mean `select`?"),
        ("{{ data.text is strin }}", "no test is called `strin`", "did you mean `string`?"),
        ("{{ data.text.lowr() }}", "no method is called `lowr`", "did you mean `lower`?"),
        ("{{ event | truncate(1, 2, 3, 4, 5) }}", "the filter `truncate` cannot be given that: too many", ""),
        ("{{ event | truncate(size=1) }}", "the filter `truncate` cannot be given that: got an unexp", ""),
        ("{{ data.files | map }}", "`map` without a name in quotes", 'map("upper")'),
        ("{{ data.files | map(event) }}", "`map` without a name in quotes", ""),
        ("{{ data.files | map('nope') }}", "no filter is called `nope`", ""),
        ("{{ data.files | select('nope') }}", "no test is called `nope`", ""),
        ("{{ data.files | selectattr }}", "`selectattr` without a name", ""),
        ("{% set loop = 1 %}", "`loop` as a name of one's own", "take another"),
        ("{% for loop in data.files %}{% endfor %}", "`loop` as a name of one's own", "take another"),
        ("{% for x in data.files %}{{ loop.idx }}{% endfor %}", "no part of `loop` is called `idx`", "index"),
        ("{% for x in data.files %}{{ loop.previtem }}{% endfor %}", "no part of `loop` is called", "`loop."),
        ("{{ 2 ** 9 }}", "`**` cannot be used here", ""),
        ("{{ range(9) }}", "a call of a function", "there are filters: default"),
        ("{{ data.text.format(1) }}", "no method is called `format`", ""),
        ("{{ data(1) }}", "a call of a function", ""),
        ("{{ data.text.upper(*data.files) }}", "`*` in what `.upper()` is given", "write each value out"),
        ("{% macro m() %}{% endmacro %}", "macros cannot be used here", "`{% for %}`"),
        ("{% include 'x' %}", "includes cannot be used here", ""),
        ("{% import 'x' as y %}", "imports cannot be used here", ""),
        ("{% from 'x' import y %}", "imports cannot be used here", ""),
        ("{% extends 'x' %}", "inheritance cannot be used here", ""),
        ("{% block b %}{% endblock %}", "blocks cannot be used here", ""),
        ("{% set x %}a{% endset %}", "`set` blocks cannot be used here", ""),
        ("{% set a, b = 1, 2 %}", "`set` of more than one plain name", ""),
        ("{% set data.x = 1 %}", "", ""),
        ("{% filter upper %}a{% endfilter %}", "filter blocks cannot be used here", ""),
        ("{% with x = 1 %}{% endwith %}", "`with` cannot be used here", ""),
        ("{% autoescape true %}{% endautoescape %}", "`autoescape` cannot be used here", ""),
        ("{% call data.x() %}{% endcall %}", "call blocks cannot be used here", ""),
        ("{% for x in data.files recursive %}{% endfor %}", "`recursive` loops", "one loop inside another"),
        ("{% for a, (b, c) in data.files %}{% endfor %}", "a loop over names within names", ""),
        ("{{ data.text", "is no template: unexpected end of template", "docs/FORMS.md"),
        ("{% if data.yes %}", "is no template: Unexpected end of template", ""),
        ("{% wheel %}", "is no template: Encountered unknown tag 'wheel'", ""),
        ("{{ $ }}", "is no template: unexpected char '$'", ""),
        ("{{ " + "9" * 5_000 + " }}", "a number that is too large", ""),
        ("{{ 1e999 }}", "a number that is too large", ""),
        ("{{ " + "(" * 300 + "1" + ")" * 300 + " }}", "nests more than 100 levels", ""),
        ("{{ " + "+".join(["1"] * 9_000) + " }}", "nests more than 100 levels", ""),
        ("{% if true %}" * 150 + "{% endif %}" * 150, "nests more than 100 levels", ""),
        ("{{ '" + "x" * 70_000 + "' }}", "is longer than 65,536 letters", ""),
    ],
)  # fmt: skip
def test_what_is_refused_with_the_cure(text: str, what: str, cure: str) -> None:
    fault = fault_of(text)

    assert fault.what.startswith(what)
    assert cure in fault.cure
    assert fault.cure


def test_every_fault_is_told_at_once_each_with_its_place() -> None:
    faults = faults_of({"a": ["{{ x }} {{ y | z }}", 1], "b": {"c": "{{"}, "{{ d }}": 1})

    assert [(path, fault.what.split(" ")[0]) for path, fault in faults] == [
        (("{{ d }}",), "a"),
        (("a", 0), "nothing"),
        (("a", 0), "nothing"),
        (("a", 0), "no"),
        (("b", "c"), "is"),
    ]


def test_a_transform_that_nests_without_end_is_refused() -> None:
    deep: Any = "{{ event }}"
    for _ in range(60):
        deep = [deep]

    (fault,) = [fault for _, fault in faults_of(deep)]
    assert fault.what == "nests more than 50 levels"


def test_keys_and_whatever_is_no_text_stay_as_they_are() -> None:
    assert filled({"a.b": [1, 1.5, None, True, "x"], "ü": {}}) == {"a.b": [1, 1.5, None, True, "x"], "ü": {}}


def test_a_field_that_no_event_has_is_no_fault_but_is_told_to_who_asks() -> None:
    transform = read_transform({"a": "{{ data.titel }} {{ data.feedback['tag'] }}", "b": "{{ event }}"}, [])

    assert transform.reads == ("feedback", "feedback.tag", "titel")


def test_what_was_set_in_one_text_is_unknown_in_another() -> None:
    ((path, fault),) = faults_of(["{% set x = 1 %}{{ x }}", "{{ x }}"])

    assert (path, fault.what) == ((1,), "nothing is called `x`")


def test_json_is_what_a_transform_gives_whatever_stands_in_its_holes() -> None:
    nasty = {**CONTEXT, "data": {"text": '"}],{"a":"\\ \u2028\x00'}}

    value = filled({"t": "say {{ data.text }}"}, nasty)

    assert json.loads(json.dumps(value)) == {"t": 'say "}],{"a":"\\ \u2028\x00'}
