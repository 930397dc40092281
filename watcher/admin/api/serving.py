"""The API over HTTP: a request is judged by its operation's shapes, done, and its answer written as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import ValidationError

from watcher.admin.access import permitted
from watcher.admin.api.description import document
from watcher.admin.api.operations import OPERATIONS, Operation
from watcher.admin.api.refusal import Refusal
from watcher.admin.api.shapes import Shape
from watcher.admin.desk import Desk
from watcher.admin.http.messages import Request, Response, as_json, failed
from watcher.admin.http.routes import Handler, Routes
from watcher.core.endpoints import Secret
from watcher.core.managing import Origin

LONGEST_FORWARDED = 200
"""Characters of `X-Forwarded-For` that are kept: anybody may write anything into it."""


def api_of(desk: Desk, token: Secret) -> Handler:
    """All below `/api`, for who has the token."""
    routes, described = Routes(), document(version=desk.version, definitions=desk.definitions())
    for operation in OPERATIONS:
        routes.add(operation.method, f"/api{operation.path}", _handler(desk, operation))

    async def description(request: Request, _: str) -> Response:
        return as_json(described)

    routes.add("GET", "/api/openapi.json", description)

    async def answer(request: Request, _: str) -> Response:
        if not permitted(request, token):
            why = "the token is missing or wrong: send `Authorization: Bearer TOKEN`"
            return failed(401, why, headers={"WWW-Authenticate": "Bearer"})
        found = routes.found(request)
        if found.handler is None:
            return _no_operation(request, found.methods)
        try:
            return await found.handler(request, found.filled)
        except Refusal as refusal:
            return failed(refusal.status, str(refusal))
        except ValidationError as error:
            return failed(400, _told(error))

    return answer


def _no_operation(request: Request, methods: Sequence[str]) -> Response:
    if not methods:
        return failed(404, "no such operation: /api/openapi.json describes them")
    allowed = ", ".join(methods)
    return failed(405, f"not by {request.method}: only {allowed}", headers={"Allow": allowed})


def _handler(desk: Desk, operation: Operation) -> Handler:
    async def handle(request: Request, filled: str) -> Response:
        given: list[Any] = []
        if operation.placeholder is not None:
            given.append(filled)
        if operation.query is not None:
            given.append(operation.query.model_validate(_query(request, operation.query)))
        elif request.query:
            raise Refusal(400, "query: this request takes none")
        if operation.body is not None:
            given.append(operation.body.model_validate(_body(request)))
        answer: Shape = await operation.do(desk.asked_from(_origin(request)), *given)
        return Response(
            body=answer.model_dump_json().encode(), content_type="application/json; charset=utf-8"
        )

    return handle


def _origin(request: Request) -> Origin:
    forwarded = request.headers.get("x-forwarded-for")
    return Origin(
        way="api",
        address=request.address,
        forwarded=_as_text(forwarded)[:LONGEST_FORWARDED] if forwarded else None,
    )


def _as_text(header: str) -> str:
    """Bytes that are no text, which no state can store, are question marks."""
    return header.encode("utf-8", "replace").decode()


def _query(request: Request, shape: type[Shape]) -> Mapping[str, Any]:
    """A name that may stand several times has a list; of another one its repeats are seen, and refused."""
    lists = _lists(shape)
    return {name: each if name in lists or len(each) > 1 else each[0] for name, each in request.query.items()}


@cache
def _lists(shape: type[Shape]) -> frozenset[str]:
    properties = shape.model_json_schema()["properties"]
    return frozenset(name for name, each in properties.items() if "items" in each)


def _body(request: Request) -> Any:
    if not request.body:
        return {}
    kind, _, _ = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "application/json":
        raise Refusal(400, "body: not `Content-Type: application/json`")
    try:
        return json.loads(request.body)
    except (ValueError, RecursionError):  # ValueError: no text, or a number of thousands of digits, too
        raise Refusal(400, "body: is no JSON") from None


def _told(error: ValidationError) -> str:
    """Where and why, without the value."""
    told = [f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in error.errors()]
    return "; ".join(told[:5])
