"""Which functions are there, and how is each called?

An OpenAPI 3.1 document, made from what each function declares and from nothing else: the same for
every reader, and without a word of how the server is set up.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tintype import __version__
from tintype.functions.contract import READING_REFUSALS, Contract
from tintype.functions.function import METHODS, Function
from tintype.functions.wire.gateway import STATUSES

NAME = "openapi.json"
"""Where it is served; no function can have this name."""

Schema = dict[str, Any]

_UNAUTHORIZED = tuple(code for code, (status, _) in STATUSES.items() if status == 401)
_BODILESS_METHODS = ("get", "head", "delete")


class Refusal(msgspec.Struct, frozen=True):
    """The request cannot be served as it is; `code` is stable, `error` is for people."""

    error: str
    code: str
    hint: str | UnsetType = UNSET
    field: str | UnsetType = UNSET
    choices: list[str] | UnsetType = UNSET
    reference: str | UnsetType = UNSET
    limit_bytes: int | UnsetType = UNSET
    required: int | UnsetType = UNSET
    available: int | UnsetType = UNSET
    status: str | UnsetType = UNSET
    warnings: list[str] | UnsetType = UNSET


class GatewayRefusal(msgspec.Struct, frozen=True):
    """The platform answers in the function's place; `code` is in `sb-error-code` too."""

    code: str
    message: str
    msg: str


class Warned(msgspec.Struct, frozen=True):
    """Any answer that is an object may say what was odd about the request."""

    warnings: list[str] | UnsetType = UNSET


def openapi_document(functions: Sequence[Function]) -> Schema:
    """Return the document of `functions`, in their order."""
    schemas = _components("", [Refusal, GatewayRefusal, Warned])[1]
    paths: Schema = {}
    for function in functions:
        path, own = _path(function)
        paths[f"/{function.name}"] = path
        schemas |= own
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tintype functions",
            "version": __version__,
            "description": (
                "Every function also answers OPTIONS, and any path below its own. A method that "
                "is not listed is refused with 405 and `method_not_allowed`."
            ),
        },
        "servers": [{"url": "/functions/v1"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": _shared_headers(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "apikey": {"type": "apiKey", "in": "header", "name": "apikey"},
            },
        },
    }


def _path(function: Function) -> tuple[Schema, Schema]:
    contract = function.contract or Contract(summary="")
    found, schemas = _components(f"{function.name}.", contract.types)
    described = iter(found)
    request = _one_of([next(described) for _ in contract.requests])
    answers = [next(described) for _ in contract.answers]
    headers = {name: next(described) for name in contract.headers}
    answer_headers = {name: next(described) for name in contract.answer_headers}
    shared: Schema = {}
    if contract.summary:
        shared["summary"] = contract.summary
    if headers:
        shared["parameters"] = [
            {"name": name, "in": "header", "required": False, "schema": schema}
            for name, schema in headers.items()
        ]
    keys: list[Schema] = [{"bearer": []}, {"apikey": []}]
    shared["security"] = keys if function.verify_jwt else [{}, *keys]
    responses = _refusals(function, contract)
    if function.contract is None:
        responses["default"] = {"description": "Whatever the function answers."}
    else:
        for status in contract.statuses:
            responses[str(status)] = _answer(contract, answers, answer_headers)
    path: Schema = {}
    for method in (name.lower() for name in function.methods if name in METHODS):
        operation_id = function.name if method == "post" else f"{method}-{function.name}"
        operation: Schema = {"operationId": operation_id, **shared}
        if method not in _BODILESS_METHODS:
            operation |= _request_body(function, request)
        path[method] = operation | {"responses": dict(sorted(responses.items()))}
    return path, schemas


def _request_body(function: Function, request: Schema | None) -> Schema:
    if request is not None:
        return {
            "requestBody": {"required": True, "content": {"application/json": {"schema": request}}}
        }
    if function.contract is not None:
        return {}
    return {"requestBody": {"required": False, "content": {"*/*": {}}}}


def _answer(contract: Contract, answers: list[Schema], headers: Mapping[str, Schema]) -> Schema:
    described: Schema = {
        "description": "It was served.",
        "headers": _headers() | {name: {"schema": schema} for name, schema in headers.items()},
    }
    if answers:
        body = _one_of(answers)
        if contract.media_type == "application/json":
            body = {"allOf": [body, _schema("Warned")]}
        described["content"] = {contract.media_type: {"schema": body}}
    return described


def _one_of(schemas: list[Schema]) -> Schema | None:
    if not schemas:
        return None
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _refusals(function: Function, contract: Contract) -> Schema:
    own = {**contract.refusals, "body_too_large": 413}
    if contract.request is not None:
        own |= READING_REFUSALS
    gateway = {
        code: status
        for code, (status, _) in STATUSES.items()
        if function.verify_jwt or code not in _UNAUTHORIZED
    }
    return {
        str(status): _refusal(
            status,
            sorted(code for code in own if own[code] == status),
            sorted(code for code in gateway if gateway[code] == status),
        )
        for status in {*own.values(), *gateway.values()}
    }


def _refusal(status: int, own: list[str], gateway: list[str]) -> Schema:
    bodies = [
        {"allOf": [_schema(name), {"properties": {"code": {"enum": codes}}}]}
        for name, codes in (("Refusal", own), ("GatewayRefusal", gateway))
        if codes
    ]
    headers = _headers()
    if gateway:
        headers["sb-error-code"] = {"schema": {"type": "string"}, "required": not own}
    if status == 429:
        headers["Retry-After"] = {"schema": {"type": "integer", "minimum": 1}, "required": True}
    return {
        "description": ", ".join(f"`{code}`" for code in [*own, *gateway]),
        "headers": headers,
        "content": {
            "application/json": {"schema": bodies[0] if len(bodies) == 1 else {"anyOf": bodies}}
        },
    }


def _headers() -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in _shared_headers()}


def _shared_headers() -> Schema:
    return {
        "X-Request-Id": {
            "description": "The request's own, or one made for it.",
            "required": True,
            "schema": {"type": "string"},
        },
        "Server-Timing": {
            "description": "How long its stages took, in milliseconds.",
            "required": True,
            "schema": {"type": "string"},
        },
    }


def _schema(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _components(prefix: str, types: Sequence[Any]) -> tuple[tuple[Schema, ...], Schema]:
    found, components = msgspec.json.schema_components(
        types, ref_template=f"#/components/schemas/{prefix}{{name}}"
    )
    return found, {f"{prefix}{name}": schema for name, schema in components.items()}
