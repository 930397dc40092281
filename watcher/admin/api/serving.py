"""The API over HTTP: a request is judged by its operation's shapes, done, and its answer written as JSON."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from watcher.admin.access import permitted
from watcher.admin.answers import failed
from watcher.admin.api.description import document
from watcher.admin.api.operations import OPERATIONS, Operation
from watcher.admin.api.refusal import Refusal
from watcher.admin.api.shapes import Shape
from watcher.admin.desk import Desk
from watcher.core.endpoints import Secret
from watcher.core.managing import Origin
from watcher.errors import WatcherError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LONGEST_FORWARDED = 200
"""Characters of `X-Forwarded-For` that are kept: anybody may write anything into it."""


def add_api(app: web.Application, desk: Desk, token: Secret) -> None:
    """All below `/api`, for who has the token."""
    described = document(version=desk.version, definitions=desk.definitions())

    async def description(_: web.Request) -> web.Response:
        return web.json_response(described)

    for operation in OPERATIONS:
        app.router.add_route(
            operation.method, f"/api{operation.path}", _guarded(desk, token, _handler(desk, operation))
        )
    app.router.add_get("/api/openapi.json", _guarded(desk, token, description))
    for path in dict.fromkeys(operation.path for operation in OPERATIONS):
        app.router.add_route("*", f"/api{path}", _guarded(desk, token, _other_method(path)))
    app.router.add_route("*", "/api{rest:(/.*)?}", _guarded(desk, token, _unknown))


def _guarded(desk: Desk, token: Secret, handler: Handler) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        if not permitted(request, token):
            return failed(401, "the token is missing or wrong: send `Authorization: Bearer TOKEN`")
        try:
            return await handler(request)
        except Refusal as refusal:
            return failed(refusal.status, str(refusal))
        except ValidationError as error:
            return failed(400, _told(error))
        except web.HTTPRequestEntityTooLarge:
            return failed(413, "the body is too large: name fewer ids, or a filter")
        except WatcherError as error:
            return failed(503, str(error))
        except web.HTTPException as error:
            return failed(error.status, error.reason)
        except Exception as error:
            # The type only: what went wrong with our own code may quote anything.
            return failed(500, f"internal: {type(error).__name__}")

    return guarded


def _handler(desk: Desk, operation: Operation) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        given: list[Any] = []
        if operation.placeholder is not None:
            given.append(request.match_info[operation.placeholder])
        if operation.query is not None:
            given.append(operation.query.model_validate(_query(request, operation.query)))
        elif request.query:
            raise Refusal(400, "query: this request takes none")
        if operation.body is not None:
            given.append(operation.body.model_validate(await _body(request)))
        answer: Shape = await operation.do(desk.asked_from(_origin(request)), *given)
        return web.Response(text=answer.model_dump_json(), content_type="application/json")

    return handle


def _origin(request: web.Request) -> Origin:
    forwarded = request.headers.get("X-Forwarded-For")
    return Origin(
        way="api",
        address=request.remote or "",
        forwarded=_as_text(forwarded)[:LONGEST_FORWARDED] if forwarded else None,
    )


def _as_text(header: str) -> str:
    """Bytes that are no text, which no state can store, are question marks."""
    return header.encode("utf-8", "replace").decode()


def _query(request: web.Request, shape: type[Shape]) -> Mapping[str, Any]:
    """A name that may stand several times has a list; of another one its repeats are seen, and refused."""
    lists = _lists(shape)
    values = {name: request.query.getall(name) for name in request.query}
    return {name: each if name in lists or len(each) > 1 else each[0] for name, each in values.items()}


@cache
def _lists(shape: type[Shape]) -> frozenset[str]:
    properties = shape.model_json_schema()["properties"]
    return frozenset(name for name, each in properties.items() if "items" in each)


async def _body(request: web.Request) -> Any:
    if not request.can_read_body:
        return {}
    if request.content_type != "application/json":
        raise Refusal(400, "body: not `Content-Type: application/json`")
    try:
        return json.loads(await request.text())
    except (ValueError, RecursionError, LookupError):  # ValueError: a number of thousands of digits, too
        raise Refusal(400, "body: is no JSON") from None


def _told(error: ValidationError) -> str:
    """Where and why, without the value."""
    told = [f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in error.errors()]
    return "; ".join(told[:5])


def _other_method(path: str) -> Handler:
    allowed = ", ".join(operation.method for operation in OPERATIONS if operation.path == path)

    async def refuse(request: web.Request) -> web.Response:
        answer = failed(405, f"not by {request.method}: only {allowed}")
        answer.headers["Allow"] = allowed
        return answer

    return refuse


async def _unknown(request: web.Request) -> web.Response:
    return failed(404, "no such operation: /api/openapi.json describes them")
