"""What is there, for this caller, as an OpenAPI 2.0 document?

`GET /rest/v1/`: the tables, views and functions that the caller's role has a privilege on, with
the methods it may use, in the shape that PostgREST gives them, so that generators of types and
clients find what they know.
Source: docs.postgrest.org/en/stable/references/api/openapi.html.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any
from urllib.parse import quote

import asyncpg
import msgspec

from tintype import __version__, database
from tintype.rest import methods
from tintype.rest.catalogue import Argument, Catalogue, Function
from tintype.rest.request import media_types, not_acceptable

BASE_PATH = "/rest/v1"
MEDIA = ("application/openapi+json", "application/json")
ROWS = (
    "application/json",
    "application/vnd.pgrst.object+json;nulls=stripped",
    "application/vnd.pgrst.object+json",
    "text/csv",
)
KINDS = {
    "boolean": "boolean",
    "smallint": "integer",
    "integer": "integer",
    "bigint": "integer",
    "numeric": "number",
    "real": "number",
    "double precision": "number",
}
# Parameters that are never a column's or an argument's.
RESERVED = frozenset(("select", "order", "limit", "offset", "and", "or", "columns", "on_conflict"))
_QUOTED = re.compile(r"'((?:[^']|'')*)'", re.S)
_VERBS = {"POST": "inserts", "PATCH": "updates", "DELETE": "deletes"}

Object = dict[str, Any]


def accepted(accept: str) -> str:
    """Return the media type that the document is sent as; raise PGRST107 for any other wish."""
    for kind, _ in media_types(accept):
        if kind in ("*/*", "application/*"):
            return MEDIA[0]
        if kind in MEDIA:
            return kind
    raise not_acceptable(accept)


async def describe(connection: database.Connection, catalogue: Catalogue, schema: str) -> bytes:
    """Return the document, as the connection's role may see it. Reads; changes nothing."""
    queries = database.named_queries("rest")
    comment = await connection.fetchval(queries["schema_comment"], schema)
    columns = await connection.fetch(queries["described_columns"], schema)
    functions = await connection.fetch(queries["described_functions"], schema)
    paths: Object = {"/": {"get": _introspection()}}
    definitions: Object = {}
    parameters: Object = _parameters()
    for name, rows in groupby(columns, key=lambda row: row["relation"]):
        listed = list(rows)
        if not catalogue.has(schema, name):
            continue
        paths[f"/{name}"] = _table_path(catalogue, schema, name, listed)
        definitions[name] = _definition(catalogue, schema, name, listed)
        parameters[f"body.{name}"] = {
            "name": name,
            "description": name,
            "required": False,
            "in": "body",
            "schema": {"$ref": _reference("definitions", name)},
        }
        for row in listed:
            parameters[f"rowFilter.{name}.{row['name']}"] = _query(row["name"])
    comments = {row["oid"]: row["comment"] for row in functions}
    paths.update(_function_paths(catalogue, schema, comments))
    title, about = _summary(comment)
    return msgspec.json.encode(
        {
            "swagger": "2.0",
            "info": {
                "title": title or "standard public schema",
                "description": about or "",
                "version": __version__,
            },
            "basePath": BASE_PATH,
            "consumes": ROWS,
            "produces": ROWS,
            "paths": paths,
            "definitions": definitions,
            "parameters": parameters,
        }
    )


def _introspection() -> Object:
    return {
        "tags": ["Introspection"],
        "summary": "OpenAPI description (this document)",
        "produces": MEDIA,
        "responses": {"200": {"description": "OK"}},
    }


def _table_path(catalogue: Catalogue, schema: str, name: str, rows: list[asyncpg.Record]) -> Object:
    summary, description = _summary(rows[0]["relation_comment"])
    shared = _present(tags=[name], summary=summary, description=description)
    filters = [f"rowFilter.{name}.{row['name']}" for row in rows if row["name"] not in RESERVED]
    body = f"body.{name}"
    page = ["select", "order", "range", "rangeUnit", "offset", "limit", "preferCount"]
    path: Object = {}
    if rows[0]["selects"]:
        items = {"type": "array", "items": {"$ref": _reference("definitions", name)}}
        path["get"] = shared | {
            "parameters": _references([*filters, *page]),
            "responses": {
                "200": {"description": "OK", "schema": items},
                "206": {"description": "Partial Content"},
            },
        }
    taken = {
        "POST": ([body, "select", "preferPost"], "201", "Created"),
        "PATCH": ([*filters, body, "preferReturn"], "204", "No Content"),
        "DELETE": ([*filters, "preferReturn"], "204", "No Content"),
    }
    possible = methods.of_relation(catalogue.relation(schema, name))
    for method, (names, status, words) in taken.items():
        if method in possible and rows[0][_VERBS[method]]:
            path[method.lower()] = shared | {
                "parameters": _references(names),
                "responses": {status: {"description": words}},
            }
    return path


def _definition(catalogue: Catalogue, schema: str, name: str, rows: list[asyncpg.Record]) -> Object:
    relation = catalogue.relation(schema, name)
    targets = {
        one.pairs[0][0]: (one.target[1], one.pairs[0][1])
        for one in reversed(catalogue.relationships.get((schema, name), []))
        if one.holds_key and len(one.pairs) == 1
    }
    properties = {}
    for row in rows:
        notes = []
        if row["name"] in relation.primary_key:
            notes.append("This is a Primary Key.<pk/>")
        if row["name"] in targets:
            table, column = targets[row["name"]]
            notes.append(
                f"This is a Foreign Key to `{table}.{column}`."
                f"<fk table='{table}' column='{column}'/>"
            )
        note = "\n".join(["Note:", *notes]) if notes else None
        about = "\n\n".join(text for text in (row["comment"], note) if text)
        properties[row["name"]] = _present(
            description=about or None,
            default=_default(row["type"], row["default_value"]),
            maxLength=row["length_max"],
            enum=row["labels"] or None,
        ) | _type(row["type"])
    return _present(
        description=rows[0]["relation_comment"],
        required=[row["name"] for row in rows if row["not_null"]] or None,
        properties=properties,
        type="object",
    )


def _function_paths(
    catalogue: Catalogue, schema: str, comments: Mapping[int, str | None]
) -> Object:
    paths: Object = {}
    for (owner, name), several in catalogue.functions.items():
        callable_ones = [one for one in several if one.oid in comments and _is_callable(one)]
        if owner != schema or not callable_ones:
            continue
        one = callable_ones[0]
        summary, description = _summary(comments[one.oid])
        shared = _present(tags=[f"(rpc) {name}"], summary=summary, description=description)
        shared |= {"produces": ROWS, "responses": {"200": {"description": "OK"}}}
        path: Object = {}
        if "GET" in methods.of_functions(callable_ones):
            given = [_argument(each) for each in one.arguments if each.name not in RESERVED]
            path["get"] = shared | {"parameters": given}
        path["post"] = shared | {"parameters": [_arguments(one, comments[one.oid])]}
        paths[f"/rpc/{name}"] = path
    return paths


def _is_callable(function: Function) -> bool:
    return all(one.name for one in function.arguments) or function.takes_whole_body is not None


def _argument(argument: Argument) -> Object:
    given = {"name": argument.name or "body", "in": "query", "required": argument.required}
    kind = _type(argument.type)
    if kind.get("items") == {}:
        kind["items"] = {"type": "string"}
    return given | {"type": "string"} | kind


def _arguments(function: Function, comment: str | None) -> Object:
    named = [one for one in function.arguments if one.name]
    schema = _present(
        required=[one.name for one in named if one.required] or None,
        properties={one.name: _type(one.type) for one in named},
        type="object",
        description=comment,
    )
    return {"name": "args", "in": "body", "required": True, "schema": schema}


def _type(name: str) -> Object:
    """Return how JSON Schema calls a type of Postgres; nothing but its format for any JSON."""
    if name.endswith("[]"):
        items = _type(name.removesuffix("[]"))
        items.pop("format", None)
        return {"format": name, "type": "array", "items": items}
    if name in ("json", "jsonb"):
        return {"format": name}
    name = "character" if name == "bpchar" else name
    return {"format": name, "type": KINDS.get(name, "string")}


def _default(kind: str, expression: str | None) -> Any:
    """Return a column's default where it is a constant, which is what JSON can say."""
    if expression is None:
        return None
    expected = _type(kind).get("type")
    if expected == "string":
        constant = _QUOTED.fullmatch(expression.removesuffix(f"::{kind}"))
        return constant[1].replace("''", "'") if constant else None
    try:
        value = msgspec.json.decode(expression)
    except msgspec.DecodeError:
        return None
    fits = {"boolean": bool, "integer": int, "number": int | float}.get(str(expected))
    return value if fits is not None and isinstance(value, fits) else None


def _summary(comment: str | None) -> tuple[str | None, str | None]:
    first, _, rest = (comment or "").partition("\n")
    return first or None, rest.lstrip("\n") or None


def _query(name: str, description: str | None = None) -> Object:
    given = _present(name=name, description=description)
    return given | {"required": False, "in": "query", "type": "string"}


def _header(name: str, description: str, **more: Any) -> Object:
    given = {"name": name, "description": description, "required": False, "in": "header"}
    return given | {"type": "string"} | more


def _parameters() -> Object:
    returns = ["return=representation", "return=minimal", "return=headers-only"]
    upserts = ["resolution=ignore-duplicates", "resolution=merge-duplicates"]
    counts = ["count=exact", "count=planned", "count=estimated"]
    return {
        "preferReturn": _header("Prefer", "Preference", enum=returns),
        "preferPost": _header("Prefer", "Preference", enum=[*returns, *upserts]),
        "preferCount": _header("Prefer", "Preference", enum=counts),
        "select": _query("select", "Filtering Columns"),
        "on_conflict": _query("on_conflict", "On Conflict"),
        "order": _query("order", "Ordering"),
        "limit": _query("limit", "Limiting and Pagination"),
        "offset": _query("offset", "Limiting and Pagination"),
        "range": _header("Range", "Limiting and Pagination"),
        "rangeUnit": _header("Range-Unit", "Limiting and Pagination", default="items"),
    }


def _references(names: Iterable[str]) -> list[Object]:
    return [{"$ref": _reference("parameters", name)} for name in names]


def _reference(part: str, name: str) -> str:
    # A JSON pointer in a URI: first the pointer's own escapes, then the URI's.
    return f"#/{part}/" + quote(name.replace("~", "~0").replace("/", "~1"), safe="~")


def _present(**given: Any) -> Object:
    return {name: value for name, value in given.items() if value is not None}
