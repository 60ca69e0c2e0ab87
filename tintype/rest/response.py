"""What does the caller get back?

Status, headers and the body as Postgres made it.
Source: docs.postgrest.org/en/stable/references/api/pagination_count.html and preferences.html.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import msgspec

from tintype.rest.overrides import Header, headers_of, status_of
from tintype.rest.plan import Plan, labels
from tintype.rest.preferences import NONE
from tintype.rest.request import CONTENT_TYPES, Request
from tintype.rest.trouble import RestError


class Result(msgspec.Struct, frozen=True):
    """What the statement gave. `location` holds the first row's key."""

    body: bytes | None
    rows: int
    total: int | None
    status: str | None
    headers: str | None
    affected: int | None
    merged: int
    location: list[str] | None


class Response(msgspec.Struct, frozen=True):
    """An answer, as ASGI takes it."""

    status: int
    headers: list[Header]
    body: bytes


def check(request: Request, result: Result) -> None:
    """Raise PGRST116 unless one row is what `single()` was promised, PGRST124 past max-affected.

    PGRST115 when a PUT's row is not the one of its URL. Called inside the transaction, which the
    error undoes.
    """
    most = request.preferences.affected_max
    affected = result.rows if request.shape.action == "call" else result.affected
    if most is not None and affected is not None and affected > most:
        raise RestError(
            "PGRST124",
            "Query result exceeds max-affected preference constraint",
            f"The query affects {affected} rows",
        )
    if request.shape.put and affected != 1:
        raise RestError("PGRST115", "Payload values do not match URL in primary key column(s)")
    if request.shape.media == "object" and result.rows != 1:
        raise RestError(
            "PGRST116",
            "Cannot coerce the result to a single JSON object",
            f"The result contains {result.rows} rows",
        )


def render(request: Request, plan: Plan, result: Result) -> Response:
    """Return the answer; raise PGRST103 when the offset is past a counted end."""
    shape = request.shape
    reads = shape.action in ("read", "call")
    headers: list[Header] = []
    void = plan.function is not None and plan.function.returns_void
    if reads:
        status = 204 if void else _range_status(request, result)
    else:
        status = _write_status(request, result)
    headers.append((b"content-range", _content_range(request, result).encode("ascii")))
    if applied := _applied(request, plan):
        headers.append((b"preference-applied", applied.encode("ascii")))
    if result.location:
        keys = zip(plan.root.relation.primary_key, result.location, strict=True)
        query = "&".join(f"{quote(name)}=eq.{quote(value)}" for name, value in keys)
        headers.append((b"location", f"/{quote(shape.name)}?{query}".encode("ascii")))
    if result.headers is not None:
        headers += _given_headers(result.headers)
    if result.status is not None:
        status = _given_status(result.status)
    body = result.body or b""
    if shape.media == "csv" and result.body is not None:
        body = _csv_header(plan) + b"\n" + body
    if result.body is not None or (shape.bodiless and not void):
        kind = CONTENT_TYPES.get((shape.media, shape.nulls_stripped), CONTENT_TYPES["csv", False])
        if not any(name == b"content-type" for name, _ in headers):
            headers.append((b"content-type", kind.encode("ascii")))
    if status != 204 and not shape.bodiless:
        headers.append((b"content-length", b"%d" % len(body)))
    return Response(status, headers, body)


def options(methods: Iterable[str]) -> Response:
    """Return which methods there are."""
    headers = [(b"allow", ",".join(methods).encode("ascii")), (b"content-length", b"0")]
    return Response(200, headers, b"")


def document(media: str, body: bytes, *, bodiless: bool) -> Response:
    """Return a document that is no rows of anything."""
    headers = [
        (b"content-type", f"{media}; charset=utf-8".encode("ascii")),
        (b"content-length", b"%d" % len(body)),
    ]
    return Response(200, headers, b"" if bodiless else body)


def failure(error: RestError, *, bodiless: bool = False) -> Response:
    """Return the answer for `error`."""
    body = error.body()
    # A raised error's code is whatever the database says.
    code = "".join(one for one in error.code if one.isascii() and one.isprintable())
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"proxy-status", f"PostgREST; error={code}".encode("ascii")),
        *error.headers,
    ]
    return Response(error.status, headers, b"" if bodiless else body)


def _range_status(request: Request, result: Result) -> int:
    if result.total is None:
        return 200
    if request.offset > result.total:
        raise RestError(
            "PGRST103",
            "Requested range not satisfiable",
            f"An offset of {request.offset} was requested, but there are only {result.total} rows.",
            headers=((b"content-range", b"*/%d" % result.total),),
        )
    return 206 if result.rows < result.total else 200


def _write_status(request: Request, result: Result) -> int:
    shape = request.shape
    if shape.put and shape.returning != "representation":
        return 204
    if shape.action == "insert":
        merges = shape.resolution == "merge-duplicates"
        return 200 if merges and result.merged == result.affected else 201
    return 200 if shape.returning == "representation" else 204


def _content_range(request: Request, result: Result) -> str:
    total = "*" if result.total is None else str(result.total)
    rows = result.rows
    if request.shape.action in ("insert", "delete") or not rows or result.total == 0:
        return f"*/{total}"
    return f"{request.offset}-{request.offset + rows - 1}/{total}"


def _applied(request: Request, plan: Plan) -> str:
    if request.preferences is NONE:
        return ""
    action = request.shape.action
    names = ["count", "handling", "timezone"]
    if action != "read":
        names.append("max-affected")
    if action in ("insert", "update", "delete"):
        names.append("return")
    if action in ("insert", "update"):
        names.append("missing")
    if action == "insert" and plan.conflict and not request.shape.put:
        names.append("resolution")
    return request.preferences.applied(*names)


def _csv_header(plan: Plan) -> bytes:
    cells = (
        '"' + name.replace('"', '""') + '"' if any(c in name for c in ',"\r\n') else name
        for name in labels(plan.root)
    )
    return ",".join(cells).encode()


def _given_headers(text: str) -> list[Header]:
    headers = headers_of(text)
    if headers is None:
        raise RestError(
            "PGRST111",
            "response.headers guc must be a JSON array composed of objects with a"
            " single key and a string value",
        )
    return headers


def _given_status(text: str) -> int:
    status = status_of(text)
    if status is None:
        raise RestError("PGRST112", "response.status guc must be a valid status code")
    return status


def result_of(row: Any) -> Result:
    """Return the statement's one row by name."""
    return Result(*row)
