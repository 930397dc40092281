"""The API as an OpenAPI 3.1 document, made of its operations and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError
from pydantic.json_schema import models_json_schema

from watcher.admin.api import shapes
from watcher.admin.api.operations import OPERATIONS, Operation

REF = "#/components/schemas/{model}"

FAILURES = {
    400: "The request does not fit: the text says where and why.",
    401: "No token, or another one than `watcher.http.token`.",
    404: "There is no such thing.",
    409: "It is not as was expected any more.",
    422: "The endpoint cannot be as the definition says: the text names all that is wrong.",
    413: "The body is too large.",
    503: "The state cannot be read or written now.",
}


def document(*, version: str, definitions: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`definitions`: JSON Schemas of an endpoint's definition, one of them `Definition`; they refer to each
    other as `#/$defs/…`."""
    models: dict[type[shapes.Shape], Literal["serialization", "validation"]] = {
        shapes.Failure: "serialization"
    }
    for operation in OPERATIONS:
        models[operation.answer] = "serialization"
        if operation.body is not None:
            models[operation.body] = "validation"
    _, schemas = models_json_schema(list(models.items()), ref_template=REF, by_alias=True)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(f"/api{operation.path}", {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "librechat-watcher",
            "version": version,
            "description": "Looks at what the watcher delivers, and puts right what went wrong.",
        },
        # Behind a reverse proxy the API lies below its prefix.
        "servers": [{"url": ".."}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": _referring(
                {
                    **{name: _without_null_defaults(each) for name, each in schemas["$defs"].items()},
                    **definitions,
                }
            ),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(operation: Operation) -> dict[str, Any]:
    statuses = {400, 401, 503, *operation.refuses, *((413,) if operation.body else ())}
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [*_in_path(operation), *_in_query(operation)],
        **(
            {"requestBody": {"required": _needed(operation.body), "content": _json(operation.body)}}
            if operation.body is not None
            else {}
        ),
        "responses": {
            "200": {"description": "Done.", "content": _json(operation.answer)},
            **{
                str(status): {"description": FAILURES[status], "content": _json(shapes.Failure)}
                for status in sorted(statuses)
            },
        },
    }


def _referring(schema: Any) -> Any:
    """Everything that stands for a definition, or refers to one, refers to where it is here."""
    match schema:
        case {"x-definition": True}:
            return {"$ref": REF.format(model="Definition")}
        case {"$ref": str(ref)}:
            return {"$ref": ref.replace("#/$defs/", REF.format(model=""))}
        case dict():
            return {key: _referring(each) for key, each in schema.items()}
        case list():
            return [_referring(each) for each in schema]
        case _:
            return schema


def _without_null_defaults(schema: dict[str, Any]) -> dict[str, Any]:
    """What is left out is not null."""
    properties = {
        name: {key: value for key, value in each.items() if key != "default" or value is not None}
        for name, each in schema.get("properties", {}).items()
    }
    return {**schema, **({"properties": properties} if properties else {})}


def _needed(body: type[shapes.Shape]) -> bool:
    try:
        body()
    except ValidationError:
        return True
    return "oneOf" in body.model_json_schema()


def _json(shape: type[shapes.Shape]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REF.format(model=shape.__name__)}}}


def _in_path(operation: Operation) -> list[dict[str, Any]]:
    if operation.placeholder is None:
        return []
    schema = {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}
    return [{"name": operation.placeholder, "in": "path", "required": True, "schema": schema}]


def _in_query(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    schema = operation.query.model_json_schema(by_alias=True)
    return [
        {"name": name, "in": "query", "required": False, "schema": _plain(each), "explode": True}
        for name, each in schema["properties"].items()
    ]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: what may be absent is left out."""
    kept = {key: value for key, value in schema.items() if key not in ("anyOf", "default", "title")}
    for each in schema.get("anyOf", ()):
        if each != {"type": "null"}:
            kept |= each
    return kept
