"""Patterns: what may be searched for, and that no text makes the search endless."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.patterns import SEEN_CHARACTERS, BadPattern, compile_pattern

HARMLESS = [
    "",
    "^gpt",
    "gpt.*",
    "^.*gpt.*$",
    ".*foo.*",
    "foo.*bar",
    "^a.*b.*c",
    r"\S+@example\.com",
    r"(\w+)@(\w+)\.com",
    r"v\d+\.\d+\.\d+$",
    r"^(\d{1,3}\.){3}\d{1,3}$",
    "^(gpt|o1)",
    "(foo|bar)?x",
    "(https?://)?x",
    "(?:ab)+",
    "[^,]*,[^,]*,x",
    "[(+*)]+",
    r"\(a\+\)+",
    "[]]+x",
    "[^]]*]x",
    "a+?b",
    "(?i)abc",
]
STALLING = [
    "(a+)+",
    "(a+)++",
    "(a|ab)*",
    "(a*){5}",
    "(a{1,3})*",
    "((a?b))+",
    "foo.*bar.*baz",
    ".*a.*b",
    "^a.*b.*c.*d",
    "^a|.*b.*c",
    "(?m)^a.*b.*c",
    r"\S+@\S+\.com",
    r"\w+a\w+b",
    r"\w+-?\w+-?\w+",
    r".*a\d+x",
    "(.)*a(.)*b",
    "[^x]{0,50}a[^x]{0,50}b",
]


@pytest.mark.parametrize("pattern", HARMLESS)
def test_what_filters_commonly_search_for_is_accepted_and_quick(pattern: str) -> None:
    found = compile_pattern(pattern, "")
    hostile = ["a" * 20_000, "foo" * 2_000 + "bar" * 2_000, "1." * 10_000, "x@" * 10_000, "a,ab" * 5_000]

    started = time.process_time()
    for text in hostile:
        found(text)

    assert time.process_time() - started < 10  # 0.1 s where nothing else is at work; a stall takes for ever


@pytest.mark.parametrize("pattern", STALLING)
def test_what_one_text_could_stall_is_refused_with_a_cure(pattern: str) -> None:
    with pytest.raises(BadPattern, match="stall") as refused:
        compile_pattern(pattern, "")

    assert refused.value.cure


def test_a_start_of_each_line_does_not_anchor() -> None:
    compile_pattern("^a.*b.*c", "s")
    with pytest.raises(BadPattern, match="stall"):
        compile_pattern("^a.*b.*c", "m")


@pytest.mark.parametrize(
    "pattern", ["(", "[a", r"\p{L}", "[[:alpha:]]", "a**", "*a", "a{99999999999}", "(" * 5_000, "(?P<x"]
)
def test_what_is_no_regular_expression_is_refused_with_a_reason(pattern: str) -> None:
    with pytest.raises(BadPattern, match="no regular expression: "):
        compile_pattern(pattern, "")


@pytest.mark.parametrize(
    ("options", "text"), [("", "a.b"), ("i", "A.B"), ("m", "x\na.b"), ("s", "a\nb"), ("x", "a.b")]
)
def test_options_mean_what_they_mean_in_mongodb(options: str, text: str) -> None:
    pattern = "^a . b" if "x" in options else "^a.b"

    assert compile_pattern(pattern, options)(text)
    assert options == "" or not compile_pattern(pattern, "")(text)


def test_a_pattern_sees_only_the_beginning_of_a_long_text() -> None:
    found = compile_pattern("x", "")

    assert found("a" * (SEEN_CHARACTERS - 1) + "x")
    assert not found("a" * SEEN_CHARACTERS + "x")


@given(
    pattern=st.text(alphabet="ab.*+?()[]{}|\\^$1,0-w:", max_size=12), options=st.sampled_from(["", "x", "im"])
)
def test_any_text_is_a_pattern_or_refused(pattern: str, options: str) -> None:
    try:
        found = compile_pattern(pattern, options)
    except BadPattern:
        return
    assert found("ab1") in (True, False)
