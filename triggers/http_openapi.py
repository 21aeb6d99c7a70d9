"""The API's own description, made from the models that check the bodies."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.authorisation import ANYONE
from triggers._http import ENDPOINTS, HEADER_PATTERN, Answer, Call, Endpoint, endpoint

_PROBLEM = {
    "description": "RFC 9457 problem details",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "pointer": {"type": "string", "description": "JSON pointer of the offending field"},
        "rules": {"type": "array", "items": {"type": "string"}},
    },
}


@endpoint("GET", "openapi.json", summary="This document.", answers={200: "OpenAPI 3.1."}, action=ANYONE)
async def get_openapi(_call: Call) -> Answer:
    """The OpenAPI 3.1 document."""
    return Answer(200, openapi())


def openapi() -> dict[str, Any]:
    """Describe every route."""
    models: list[type[BaseModel]] = []
    for item in ENDPOINTS:
        models += [item.body] if item.body else []
        models += [answer for answer in item.answers.values() if not isinstance(answer, str)]
    _, definitions = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(models)], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, Any] = {}
    for item in ENDPOINTS:
        paths.setdefault(f"/api/{item.path}", {})[item.method.lower()] = _operation(item)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "App Store",
            "version": "0.1.0",
            "description": "From an approved idea to a running application.",
        },
        "paths": paths,
        "components": {
            "schemas": {**definitions.get("$defs", {}), "Problem": _PROBLEM_SCHEMA},
            "securitySchemes": {"entra": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(item: Endpoint) -> dict[str, Any]:
    parameters = [_parameter(part.strip("{}"), "path") for part in item.path.split("/") if part.startswith("{")]
    parameters += [_parameter(name, "header") for name in item.headers]
    operation: dict[str, Any] = {
        "operationId": item.name,
        "summary": item.summary,
        "parameters": parameters,
        "responses": {**{str(status): _answer(answer) for status, answer in item.answers.items()}, "default": _PROBLEM},
    }
    if item.body:
        schema = {"$ref": f"#/components/schemas/{item.body.__name__}"}
        needed = any(field.is_required() for field in item.body.model_fields.values())
        operation["requestBody"] = {"required": needed, "content": {"application/json": {"schema": schema}}}
    if not item.public:
        operation["security"] = [{"entra": []}]
    return operation


def _parameter(name: str, place: str) -> dict[str, Any]:
    schema = {"type": "string"} | ({"pattern": HEADER_PATTERN} if place == "header" else {})
    return {"name": name, "in": place, "required": True, "schema": schema}


def _answer(answer: type[BaseModel] | str) -> dict[str, Any]:
    if isinstance(answer, str):
        return {"description": answer, "content": {"application/json": {}}}
    schema = {"$ref": f"#/components/schemas/{answer.__name__}"}
    return {"description": answer.__doc__ or "", "content": {"application/json": {"schema": schema}}}
