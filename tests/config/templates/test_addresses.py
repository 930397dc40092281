"""URLs and headers from the event: nothing that stands in a hole can lead elsewhere, or end a line."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from tests.config.templates.filling import CONTEXT
from watcher.config.templates.trees import Faults, read_addressing
from watcher.core.forms import Address, Failed

BASE = "https://hooks.example/users"


def addressed(url: str, headers: dict[str, str] | None = None, **data: Any) -> Address | Failed:
    faults: Faults = []
    addressing = read_addressing(url, headers or {}, faults)
    assert not faults, faults
    assert addressing is not None
    return addressing.address({**CONTEXT, "data": data})


def url_of(url: str, **data: Any) -> str:
    address = addressed(url, **data)
    assert isinstance(address, Address), address
    return address.url


def header_of(text: str, **data: Any) -> str:
    address = addressed("https://a.example", {"X-Plain": "é", "X-Made": text}, **data)
    assert isinstance(address, Address), address
    assert address.headers[0] == ("X-Plain", "é")
    return dict(address.headers)["X-Made"]


def test_without_templates_there_is_nothing_to_fill() -> None:
    assert read_addressing("https://a.example/{x}", {"A": "{b}"}, []) is None


def test_url_and_headers_follow_the_event() -> None:
    address = addressed(
        BASE + "/{{ userId }}/{{ data.kind | lower }}?of={{ event }}",
        {"X-Kind": "kind={{ data.kind }}", "Authorization": "Bearer t"},
        kind="Ä/b",
    )

    assert isinstance(address, Address)
    assert address.url == BASE + "/u1/%C3%A4%2Fb?of=message.created"
    assert address.headers == (("X-Kind", "kind=%C3%84/b"), ("Authorization", "Bearer t"))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a/b", "a%2Fb"),
        ("a?b#c", "a%3Fb%23c"),
        ("../../admin", "..%2F..%2Fadmin"),
        ("@evil.example", "%40evil.example"),
        ("a\\b", "a%5Cb"),
        ("%2e%2e", "%252e%252e"),
        ("a b\r\nc", "a%20b%0D%0Ac"),
        ("日", "%E6%97%A5"),
        (7, "7"),
        (1.5, "1.5"),
        (True, "true"),
        ("", ""),
    ],
)
def test_a_value_in_a_url_is_encoded(value: Any, written: str) -> None:
    assert url_of(BASE + "/{{ data.x }}/end", x=value) == f"{BASE}/{written}/end"


@pytest.mark.parametrize("value", [None, [1], {"a": 1}])
def test_what_is_no_word_cannot_stand_in_a_url(value: Any) -> None:
    failed = addressed(BASE + "/{{ data.x }}", x=value)

    assert isinstance(failed, Failed)
    assert failed.reason.startswith("url: ")
    assert "cannot stand in a URL" in failed.reason


@pytest.mark.parametrize(
    ("url", "data"),
    [
        ("/{{ data.x }}", {"x": ".."}),
        ("/{{ data.x }}/end", {"x": "."}),
        ("/{{ data.x }}{{ data.x }}/end", {"x": "."}),
        ("/.{{ data.x }}", {"x": "."}),
        ("/%2e{{ data.x }}", {"x": "."}),
        ("/%2E{{ data.x }}?q", {"x": "."}),
    ],
)
def test_no_hole_leads_out_of_its_folder(url: str, data: dict[str, Any]) -> None:
    failed = addressed(BASE + url, **data)

    assert isinstance(failed, Failed)
    assert "lead elsewhere" in failed.reason


def test_dots_behind_the_question_mark_lead_nowhere() -> None:
    assert url_of(BASE + "?path={{ data.x }}", x="..") == BASE + "?path=.."


def test_a_url_that_grows_too_long_fails() -> None:
    assert isinstance(addressed(BASE + "/{{ data.x }}", x="x" * 9_000), Failed)
    assert isinstance(addressed(BASE, {"X": "{{ data.x }}"}, x="x" * 9_000), Failed)


def test_what_is_missing_says_where() -> None:
    url, header = addressed(BASE + "/{{ data.gone }}"), addressed(BASE, {"X-Made": "{{ data.gone }}"})

    assert isinstance(url, Failed)
    assert isinstance(header, Failed)
    assert url.reason == "url: data.gone is undefined"
    assert header.reason == "headers.X-Made: data.gone is undefined"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a\r\nX-Evil: 1", "a  X-Evil: 1"),
        ("\x00\x1f\x7fa", "a"),
        ("  a  ", "a"),
        ("é日😀", "%C3%A9%E6%97%A5%F0%9F%98%80"),
        ("50% \"'<>;,", "50% \"'<>;,"),
        (None, ""),
        ([1], "[1]"),
    ],
)
def test_a_value_in_a_header_is_ascii_on_one_line(value: Any, written: str) -> None:
    assert header_of("{{ data.x }}", x=value) == written


def test_a_header_may_choose_its_words() -> None:
    text = "{% if data.x > 5 %}high{% else %}low{% endif %}"

    assert (header_of(text, x=9), header_of(text, x=1)) == ("high", "low")


@pytest.mark.parametrize(
    ("url", "headers", "path", "what"),
    [
        (BASE + "/{{ PL4NTED }}", {}, ("url",), "nothing is called what stands there"),
        (BASE + "/{{ event | PL4NTED }}", {}, ("url",), "no filter is called what stands there"),
        (BASE + "/{{ event | urlencode }}", {}, ("url",), "`urlencode` encodes a second time"),
        (BASE + "/{{ PL4NTED $ }}", {}, ("url",), "is no template"),
        (BASE, {"X": "{{ PL4NTED"}, ("headers", "X"), "is no template"),
        (
            BASE,
            {"X": "{{ event | truncate(PL4NTED=1) }}"},
            ("headers", "X"),
            "the filter `truncate` cannot be",
        ),
    ],
)
def test_what_cannot_be_read_is_told_without_quoting_it(
    url: str, headers: dict[str, str], path: tuple[str, ...], what: str
) -> None:
    faults: Faults = []

    read_addressing(url, headers, faults)

    assert faults[0][0] == path
    assert faults[0][1].what.startswith(what)
    assert "PL4NTED" not in str(faults)


ANYTHING = st.text(max_size=20) | st.sampled_from(
    [
        "..",
        ".",
        "/",
        "//evil.example",
        "\r\n",
        "#",
        "?",
        "%2f",
        "..;",
        "\\",
        "@",
        ":",
        "\u2025",
        "\uff0e\uff0e",
    ]
)


@given(one=ANYTHING, other=ANYTHING)
def test_whatever_stands_in_the_holes_the_rest_of_the_url_stays(one: str, other: str) -> None:
    data = {"one": _carried(one), "other": _carried(other)}
    address = addressed(BASE + "/{{ data.one }}-x/{{ data.other }}/end?q={{ data.one }}&r=1", None, **data)
    if isinstance(address, Failed):
        assert set(other) <= {"."}
        return

    sent = URL(address.url, encoded=True)  # as the client takes it
    assert (sent.scheme, sent.host, sent.port) == ("https", "hooks.example", 443)
    _, users, first, second, end = sent.raw_path.split("/")
    assert (users, end) == ("users", "end")
    assert (unquote(first), unquote(second)) == (data["one"] + "-x", data["other"])
    assert sent.fragment == ""
    assert [part.partition("=")[0] for part in urlsplit(address.url).query.split("&")] == ["q", "r"]


@given(value=ANYTHING)
def test_whatever_stands_in_a_header_is_one_line_of_ascii(value: str) -> None:
    written = header_of("a {{ data.x }} b", x=_carried(value))

    assert written.isascii()
    assert written.isprintable()


def _carried(text: str) -> str:
    """As JSON carries it: without lone surrogates."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
