"""What goes before a body: as it was written, and never a line more than there are headers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.adapters.raw_receiver import a_request
from watcher.adapters.http.heads import Origin, connect_head, head_of
from watcher.core.routes import Proxy

PROXY = Proxy(url="http://proxy.example:3128", user="me", password="secret")


def head(url: str, *headers: tuple[str, str], proxy: Proxy | None = None) -> list[str]:
    _, written = head_of(a_request(url, headers=headers, body=b"12345"), proxy=proxy)
    return written.decode().split("\r\n")


def test_a_head_is_the_target_the_host_the_headers_and_the_length() -> None:
    assert head("https://receiver.example/a?b=%2F#c", ("X-A", "ä, 100 %s")) == [
        "POST /a?b=%2F HTTP/1.1",
        "Host: receiver.example",
        "Accept: */*",
        "X-A: ä, 100 %s",
        "Content-Length: 5",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("url", "host", "origin"),
    [
        ("http://a.example", "a.example", Origin(False, "a.example", 80)),
        ("https://a.example:443/", "a.example", Origin(True, "a.example", 443)),
        ("https://a.example:8443/", "a.example:8443", Origin(True, "a.example", 8443)),
        ("http://[2001:db8::1]:8080/", "[2001:db8::1]:8080", Origin(False, "2001:db8::1", 8080)),
        ("http://[::1]/", "[::1]", Origin(False, "::1", 80)),
        ("https://a.example./", "a.example", Origin(True, "a.example.", 443)),
        ("http://bücher.example/", "xn--bcher-kva.example", Origin(False, "xn--bcher-kva.example", 80)),
    ],
)
def test_the_host_is_the_urls(url: str, host: str, origin: Origin) -> None:
    where, written = head_of(a_request(url, headers=()), proxy=None)

    assert where == origin
    assert f"\r\nHost: {host}\r\n".encode() in written


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/",
        "//a.example/",
        "http:///x",
        "http://a.example:0/",
        "http://a.example:99999/",
        "http://a.example\\@b.example/",
        "http://a b.example/",
        "http://[::1/",
        "http://a.example/\n",
        "http://\ta.example/",
    ],
)
def test_what_is_no_url_of_http_goes_nowhere(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        head_of(a_request(url, headers=()), proxy=None)


def test_what_cannot_go_over_the_wire_as_it_was_written_is_encoded() -> None:
    assert head("http://a.example/äb%2F?ö=%26")[0] == "POST /%C3%A4b%2F?%C3%B6=%26 HTTP/1.1"


def test_a_user_in_the_url_is_a_header_and_not_in_the_target() -> None:
    for proxy in (None, Proxy(url="http://proxy.example:3128")):
        lines = head("http://me:p%40ss@a.example/x", proxy=proxy)

        assert lines[0] == f"POST {'http://a.example' if proxy else ''}/x HTTP/1.1"
        assert "Authorization: Basic bWU6cEBzcw==" in lines
    with pytest.raises(ValueError, match="two authorizations"):
        head("http://me:p%40ss@a.example/x", ("authorization", "Bearer x"))


def test_a_proxy_gets_the_whole_url_and_its_credentials_where_there_is_no_tunnel() -> None:
    plain, secure = head("http://a.example/x?y#z", proxy=PROXY), head("https://a.example/x", proxy=PROXY)

    assert plain[0] == "POST http://a.example/x?y HTTP/1.1"
    assert "Proxy-Authorization: Basic bWU6c2VjcmV0" in plain
    assert secure[0] == "POST /x HTTP/1.1"
    assert not any(line.startswith("Proxy-") for line in secure)


def test_a_tunnel_is_asked_for_with_nothing_of_the_request() -> None:
    lines = connect_head(Origin(True, "2001:db8::1", 443), PROXY).decode().split("\r\n")

    assert lines == [
        "CONNECT [2001:db8::1]:443 HTTP/1.1",
        "Host: [2001:db8::1]:443",
        "User-Agent: LibreChat-Webhooks/1.0",
        "Proxy-Authorization: Basic bWU6c2VjcmV0",
        "",
        "",
    ]


def test_a_header_of_ones_own_takes_the_place_of_ours() -> None:
    lines = head("http://a.example/", ("accept", "text/plain"), ("HOST", "b.example"))

    assert [line for line in lines if line.lower().startswith(("accept", "host"))] == [
        "accept: text/plain",
        "HOST: b.example",
    ]


@pytest.mark.parametrize("control", [*map(chr, range(9)), *map(chr, range(10, 32)), "\x7f", "\ud800"])
def test_no_control_character_goes_out(control: str) -> None:
    for request in (
        a_request("http://a.example/", headers=(("X-A", f"a{control}b"),)),
        a_request("http://a.example/", headers=((f"X{control}A", "a"),)),
        a_request("http://a.example/", headers=(("X-A", f"a{control}"), ("X-B", control))),
    ):
        with pytest.raises(ValueError, match=r"."):
            head_of(request, proxy=None)


def test_a_tab_may_be_in_a_value() -> None:
    assert "X-A: a\tb" in head("http://a.example/", ("X-A", "a\tb"))


@settings(deadline=None)
@given(
    rest=st.text(alphabet=st.sampled_from("aé/?#%@:[]& \r\n\t\0\x7f"), max_size=12),
    headers=st.lists(
        st.tuples(
            st.text(alphabet=st.sampled_from("aB-%: \r\n"), max_size=4),
            st.text(alphabet=st.sampled_from("aé%s: \r\n\0\t"), max_size=6),
        ),
        max_size=3,
    ),
    proxy=st.sampled_from([None, PROXY]),
)
def test_nothing_adds_a_line(rest: str, headers: list[tuple[str, str]], proxy: Proxy | None) -> None:
    try:
        lines = head(f"http://a.example/{rest}", *headers, proxy=proxy)
    except ValueError:
        return
    ours = 1 + 1 + ("accept" not in {n.lower() for n, _ in headers}) + (proxy is not None) + 1
    assert len(lines) == ours + len(headers) + 2
    assert lines[0].count(" ") == 2
    assert not any("\n" in line or "\r" in line for line in lines)
