"""The description of the REST API, OpenAPI 3.1, made from the very routes that serve it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from appliance import __version__
from appliance.rooms.openapi_schemas import RESOURCES
from appliance.rooms.rest_routes import Field, Operation, Route

FORM = "application/x-www-form-urlencoded"
_KEY = re.compile(r"\{(\w+)\}")
_KEYS = {
    "Room": "SID of a room in any status, or name of one in progress",
    "Participant": "SID of a participant, or identity of one who is present",
    "Track": "SID of a track, or name of a published one",
}
_PROBLEMS = {
    400: "A parameter is missing or wrong",
    401: "Account or key and its password are missing or wrong",
    403: "The account is disabled, or the key may only read",
    404: "There is no such thing",
    405: "The path is there, the method is not",
    409: "It cannot be done in this state",
    413: "The body is too large",
    429: "Too many requests, or too many wrong passwords",
    500: "A bug",
    503: "The service cannot do it now",
}
_EVERYWHERE = (400, 401, 403, 429, 500, 503)


def describe(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the document; every path, method and parameter in it is one that is served."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Rooms service",
            "version": __version__,
            "description": "Rooms, participants and their tracks. Parameters of a POST are sent as a form.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"basic": []}],
        "paths": {route.path: _path(route) for route in routes},
        "components": {
            "schemas": dict(RESOURCES),
            "securitySchemes": {
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Account SID and auth token, or API key SID and its secret",
                }
            },
            "headers": {
                "RequestId": {
                    "description": "This request, as it is named in the service's log",
                    "required": True,
                    "schema": {"type": "string", "pattern": "^RQ[0-9a-f]{32}$"},
                }
            },
            "responses": {str(status): _problem(status, text) for status, text in _PROBLEMS.items()},
        },
    }


def _path(route: Route) -> dict[str, Any]:
    keys = _KEY.findall(route.path)
    parameters = [
        {
            "name": key,
            "in": "path",
            "required": True,
            "description": _KEYS[key],
            "schema": {"type": "string", "minLength": 1},
        }
        for key in keys
    ]
    methods = {
        method.lower(): _operation(method, operation, bool(keys)) for method, operation in route.operations.items()
    }
    return ({"parameters": parameters} if parameters else {}) | methods


def _operation(method: str, operation: Operation, has_keys: bool) -> dict[str, Any]:
    errors = {*_EVERYWHERE, 405, *operation.errors}
    errors |= {404} if has_keys else set()
    errors |= {413} if method == "POST" else set()
    answers = {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(errors)}
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": {str(operation.status): _success(operation)} | answers,
    }
    if method == "GET":
        described["parameters"] = [_query(field) for field in operation.fields]
    elif operation.fields:
        described["requestBody"] = _form(operation.fields)
    return described


def _success(operation: Operation) -> dict[str, Any]:
    return {
        "description": operation.summary,
        "headers": _headers(),
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{operation.answers}"}}},
    }


def _problem(status: int, description: str) -> dict[str, Any]:
    return {
        "description": description,
        "headers": _headers(),
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _headers() -> dict[str, Any]:
    return {"Twilio-Request-Id": {"$ref": "#/components/headers/RequestId"}}


def _query(field: Field) -> dict[str, Any]:
    return {"name": field.name, "in": "query", "required": field.required, "schema": dict(field.schema)}


def _form(fields: Sequence[Field]) -> dict[str, Any]:
    required = [field.name for field in fields if field.required]
    schema: Mapping[str, Any] = {
        "type": "object",
        "properties": {field.name: dict(field.schema) for field in fields},
        **({"required": required} if required else {}),
    }
    # An array is sent by repeating its name (rest.md 3).
    encoding = {field.name: {"explode": True} for field in fields if field.schema.get("type") == "array"}
    content = {"schema": schema} | ({"encoding": encoding} if encoding else {})
    return {"required": bool(required), "content": {FORM: content}}
