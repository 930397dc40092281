"""Which handler answers: a path as it is written goes before one with a place in it."""

from __future__ import annotations

import pytest

from watcher.admin.http.messages import Request, Response
from watcher.admin.http.routes import Routes


async def show(request: Request, filled: str) -> Response:
    return Response(body=b"show")


async def count(request: Request, filled: str) -> Response:
    return Response(body=b"count")


def asked(method: str, *segments: str) -> Request:
    return Request(method=method, segments=segments, query={}, headers={}, body=b"", address="")


@pytest.fixture
def routes() -> Routes:
    routes = Routes()
    routes.add("GET", "/things/{id}", show)
    routes.add("DELETE", "/things/{id}", show)
    routes.add("POST", "/things/count", count)
    return routes


def test_a_place_is_filled_by_one_segment_that_is_not_empty(routes):
    found = routes.found(asked("GET", "things", "a/b"))

    assert (found.handler, found.filled, found.methods) == (show, "a/b", ("GET", "DELETE"))
    for segments in (("things", ""), ("things",), ("things", "a", "b"), ("others", "a")):
        assert routes.found(asked("GET", *segments)).methods == ()


def test_a_path_as_it_is_written_takes_the_methods_of_no_other(routes):
    for method, handler in (("POST", count), ("GET", None), ("OPTIONS", None)):
        found = routes.found(asked(method, "things", "count"))

        assert (found.handler, found.filled, found.methods) == (handler, "", ("POST",))


def test_who_writes_a_place_out_fills_it_like_anybody(routes):
    assert routes.found(asked("GET", "things", "{id}")).filled == "{id}"
