"""A request becomes a plan, the plan a query, its result an answer.

`Rest.answer` is the whole story: who calls, what is asked (request), which names that means
(plan), how that reads in SQL (query), and what goes back (response).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from http.cookies import CookieError, SimpleCookie

import asyncpg
import msgspec
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.types import Receive, Scope, Send

from tintype import database
from tintype.auth import ANONYMOUS, Principal
from tintype.errors import Unauthenticated
from tintype.rest import openapi
from tintype.rest import plan as planning
from tintype.rest import query as querying
from tintype.rest import response as responding
from tintype.rest.catalogue import Catalogue
from tintype.rest.freshness import Keeper
from tintype.rest.methods import allowed
from tintype.rest.plan import Plan
from tintype.rest.preferences import unwelcome
from tintype.rest.query import Query
from tintype.rest.request import ROWS_MAX, Request, Shape, parse
from tintype.rest.response import Response, Result
from tintype.rest.trouble import MISSES, STALE, RestError, as_rest_error

PREFIX = "/rest/v1"
# Only what is in these can be named; the first is meant when none is.
SCHEMAS = ("public",)
BODY_BYTES_MAX = 8 * 1024 * 1024
# What more of a refused body is read, so that its sender can hear why.
DISCARD_BYTES_MAX = 64 * 1024 * 1024
STATEMENT_SECONDS_MAX = 8
# A free connection and the statement together.
REQUEST_SECONDS_MAX = 20

Authenticate = Callable[[HttpRequest], Awaitable[Principal | None]]
Headers = Mapping[str, list[str]]
Prepared = tuple[Plan, Query]


class Rest:
    """PostgREST's dialect as an ASGI application, to be mounted at `/rest/v1`."""

    def __init__(self, pool: database.Pool, keeper: Keeper, authenticate: Authenticate) -> None:
        self._pool = pool
        self._keeper = keeper
        self._authenticate = authenticate

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue in use."""
        return self._keeper.catalogue

    async def close(self) -> None:
        """Stop following the schema. Requests under way go on."""
        await self._keeper.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        role, headers = ANONYMOUS.role, _headers(scope)
        try:
            try:
                principal = await self._caller(scope, headers, receive)
                role = principal.role
                response = await self.answer(principal, scope, headers, receive)
            except Exception as error:
                told = as_rest_error(error, role, headers.get("authorization", [""])[0])
                if told is None:
                    raise
                response = responding.failure(told, bodiless=scope["method"] == "HEAD")
        except ClientDisconnect:
            return
        await send(
            {
                "type": "http.response.start",
                "status": response.status,
                "headers": response.headers,
            }
        )
        await send({"type": "http.response.body", "body": response.body})

    async def _caller(self, scope: Scope, headers: Headers, receive: Receive) -> Principal:
        try:
            return await self._authenticate(HttpRequest(scope)) or ANONYMOUS
        except Unauthenticated:
            await _read_body(headers, receive)
            raise

    async def answer(
        self, principal: Principal, scope: Scope, headers: Headers, receive: Receive
    ) -> Response:
        """Return the answer to one request; raise what `as_rest_error` can tell."""
        method, path = scope["method"], scope["path"].partition(PREFIX)[2]
        body = await _read_body(headers, receive)
        if method == "OPTIONS":
            schema = self.catalogue.schema(headers.get("accept-profile", [""])[0])
            return responding.options(allowed(path, schema, self.catalogue))
        if not path.strip("/"):
            return await self._describe(principal, method, headers)
        request = parse(method, path, scope["query_string"], headers, body)
        if request.preferences.timezone is not None:
            request = await self._in_its_zone(request)
        plan, result = await self._perform(request, principal, headers)
        return responding.render(request, plan, result)

    async def _describe(self, principal: Principal, method: str, headers: Headers) -> Response:
        if method not in ("GET", "HEAD"):
            raise RestError("PGRST117", f"Unsupported HTTP method: {method}")
        media = openapi.accepted(",".join(headers.get("accept", ())))
        schema = self.catalogue.schema(headers.get("accept-profile", [""])[0])
        async with (
            asyncio.timeout(REQUEST_SECONDS_MAX),
            database.transaction(
                self._pool,
                role=principal.role,
                claims=principal.claims,
                settings={"search_path": "", "statement_timeout": _statement_timeout()},
                read_only=True,
            ) as connection,
        ):
            body = await openapi.describe(connection, self.catalogue, schema)
        return responding.document(media, body, bodiless=method == "HEAD")

    async def _in_its_zone(self, request: Request) -> Request:
        """Return the request without a time zone that the database does not know."""
        preferences = request.preferences
        if preferences.timezone in await self._keeper.timezones():
            return request
        if preferences.handling == "strict":
            raise unwelcome(f"timezone={preferences.timezone}")
        nowhere = msgspec.structs.replace(preferences, timezone=None)
        return msgspec.structs.replace(request, preferences=nowhere)

    async def _perform(
        self, request: Request, principal: Principal, headers: Headers
    ) -> tuple[Plan, Result]:
        """Run the request; once more on a newer catalogue if names were missing from this one."""
        catalogue = self._keeper.catalogue
        try:
            return await self._try(catalogue, request, principal, headers)
        except RestError as error:
            if error.code not in MISSES:
                raise
            if not await self._keeper.reread_after_miss(catalogue):
                raise
        except asyncpg.PostgresError as error:
            if error.sqlstate not in STALE:
                raise
            if not await self._keeper.reread_after_miss(catalogue):
                raise
        return await self._try(self._keeper.catalogue, request, principal, headers)

    async def _try(
        self, catalogue: Catalogue, request: Request, principal: Principal, headers: Headers
    ) -> tuple[Plan, Result]:
        plan, query = prepare(request.shape, catalogue)
        settings = {
            "search_path": catalogue.search_path(request.shape.schema),
            "statement_timeout": _statement_timeout(),
            "request.method": request.method,
            "request.path": request.path,
            "request.headers": _json({name: ", ".join(many) for name, many in headers.items()}),
            "request.cookies": _cookies(headers),
        }
        if request.preferences.timezone is not None:
            settings["timezone"] = request.preferences.timezone
        async with (
            asyncio.timeout(REQUEST_SECONDS_MAX),
            database.transaction(
                self._pool,
                role=principal.role,
                claims=principal.claims,
                settings=settings,
                read_only=query.read_only,
            ) as connection,
        ):
            result = await _run(connection, query, request, principal.role)
            responding.check(request, result)
        return plan, result


async def open_rest(
    pool: database.Pool,
    authenticate: Authenticate,
    *,
    database_url: str,
    schemas: tuple[str, ...] = SCHEMAS,
) -> Rest:
    """Return the application, with the catalogue of `schemas` read and kept fresh.

    `authenticate` returns who calls (None: nobody, who acts as anon) and raises `Unauthenticated`.
    `database_url` is for the one connection that listens for changes of the schema. Close it.
    """
    keeper = Keeper(pool, database_url, schemas)
    await keeper.start()
    return Rest(pool, keeper, authenticate)


def prepare(shape: Shape, catalogue: Catalogue) -> Prepared:
    """Return the plan and the query of `shape`, made once for each catalogue."""
    found: Prepared | None = catalogue.remembered.get(shape)
    if found is None:
        plan = planning.plan(shape, catalogue)
        found = (plan, querying.render(plan))
        catalogue.remember(shape, found)
    return found


async def _run(
    connection: database.Connection, query: Query, request: Request, role: str
) -> Result:
    # Postgres plans a prepared statement anew whenever another role meets row-level security in
    # it; with the role's name in its text each role has its own.
    text = f"{query.text} -- {role}"
    row = await connection.fetchrow(text, *query.bind(request.values))
    result = responding.result_of(row)
    guess = query.estimate
    if guess is None:
        return result
    if result.total is not None and result.total <= ROWS_MAX:
        return result
    told = await connection.fetchval(guess.text, *guess.bind(request.values))
    rows = json.loads(told)[0]["Plan"]["Plan Rows"]
    total = max(int(rows), request.offset + result.rows)
    return msgspec.structs.replace(result, total=total)


def _headers(scope: Scope) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return headers


def _statement_timeout() -> str:
    return f"{int(STATEMENT_SECONDS_MAX * 1000)}ms"


def _cookies(headers: Headers) -> str:
    if "cookie" not in headers:
        return "{}"
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load("; ".join(headers["cookie"]))
    except CookieError:
        return "{}"
    return _json({name: one.value for name, one in cookies.items()})


def _json(value: Mapping[str, str]) -> str:
    return msgspec.json.encode(value).decode()


async def _read_body(headers: Headers, receive: Receive) -> bytes:
    """Return the body; raise 413 past `BODY_BYTES_MAX`, having heard the sender out for a while."""
    announced = headers.get("content-length", ["0"])[0]
    if announced == "0" and "transfer-encoding" not in headers:
        return b""
    chunks: list[bytes] = []
    received, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect()
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        received += len(chunk)
        if received <= BODY_BYTES_MAX:
            chunks.append(chunk)
        else:
            chunks.clear()
        if received > DISCARD_BYTES_MAX:
            break
    if received > BODY_BYTES_MAX:
        raise RestError("PGRST102", f"A body has at most {BODY_BYTES_MAX} bytes.", status=413)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
