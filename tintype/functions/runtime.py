"""How does a request to /functions/v1/<name> become an answer?"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from tintype import clock, events, spans
from tintype.auth import ANONYMOUS, Principal
from tintype.errors import RequestError, Unauthenticated
from tintype.functions import openapi
from tintype.functions.background import Background
from tintype.functions.function import Function, Reply
from tintype.functions.invocation import Invocation
from tintype.functions.journal import Journal, heard, to_database
from tintype.functions.loader import Loader
from tintype.functions.wire.answer import (
    BODILESS,
    Packed,
    checked_headers,
    pack,
    pack_gateway,
    pack_refusal,
)
from tintype.functions.wire.body import Body
from tintype.functions.wire.failure import described
from tintype.functions.wire.gateway import GatewayError, unauthorized

if TYPE_CHECKING:
    from tintype.functions.context import Context

PREFIX = "/functions/v1/"
# To the first byte, as the hosted platform's; longer than `Prefer: wait=60`.
ANSWER_SECONDS_MAX = 150
# To the last byte of an answer that is streamed.
WALL_CLOCK_SECONDS_MAX = 400
DOCUMENT_METHODS = ("GET", "HEAD")
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

Authenticate = Callable[[Request], Awaitable[Principal | None]]
"""Returns who calls, None when no credentials came, or raises `Unauthenticated`."""


class Runtime:
    """The ASGI app of `/functions/v1/{name}{rest}`, mounted there or called with whole paths."""

    def __init__(
        self,
        functions: Loader,
        *,
        authenticate: Authenticate,
        context: "Context",
        environment: Mapping[str, str],
        journal: Journal | None = None,
        answer_seconds_max: float = ANSWER_SECONDS_MAX,
        wall_clock_seconds_max: float = WALL_CLOCK_SECONDS_MAX,
    ) -> None:
        """`journal` takes what functions say, None keeps it in the database of `context`."""
        self._functions = functions
        self._authenticate = authenticate
        self._context = context
        self._environment = MappingProxyType(dict(environment))
        self._answer_seconds_max = answer_seconds_max
        self._wall_clock_seconds_max = wall_clock_seconds_max
        self._described: tuple[list[Function], Packed] | None = None
        self._background = Background()
        self._journal = Journal(to_database(context.pool)) if journal is None else journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Every path ends in one answer, or in none when the client left."""
        if scope["type"] != "http":
            # Functions have no sockets; closed before it is accepted, an upgrade is a 403.
            await receive()
            await send({"type": "websocket.close"})
            return
        call = _Call(scope, receive, self._answer_seconds_max)
        with (
            spans.span(
                "request",
                traceparent=call.traceparent,
                function=call.name,
                request=call.request_id,
            ),
            heard(self._journal, call.name, call.request_id),
        ):
            await self._serve(call, send)
        self._note(call)

    async def _serve(self, call: "_Call", send: Send) -> None:
        try:
            async with asyncio.timeout(self._answer_seconds_max) as limit:
                answer = await self._invoke(call, limit)
                if isinstance(answer, Response):
                    beyond = self._wall_clock_seconds_max - self._answer_seconds_max
                    await call.stream(answer, send, limit, beyond)
                    return
        except ClientDisconnect as error:
            if call.body.disconnected:
                return
            answer = call.fail("WORKER_ERROR", described(error))
        except TimeoutError as error:
            if limit.expired() and call.started:
                reason = f"streamed longer than {self._wall_clock_seconds_max} s"
                answer = call.fail("WORKER_LIMIT", reason)
            elif limit.expired():
                reason = f"did not answer in {call.answer_seconds_max} s"
                answer = call.fail("IDLE_TIMEOUT", reason)
            else:
                answer = call.fail("WORKER_ERROR", described(error))
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            answer = call.fail("WORKER_ERROR", described(error))
        except MemoryError as error:
            answer = call.fail("WORKER_LIMIT", described(error))
        # A file may call sys.exit(), which would end the server.
        except (Exception, SystemExit) as error:
            answer = call.fail("WORKER_ERROR", described(error))
        if not call.started:
            await call.send(answer, send)

    async def close(self, seconds: float) -> None:
        """Wait up to `seconds` for what functions left to `wait_until`, then cancel the rest."""
        await self._background.close(seconds)
        await self._journal.close()

    def _note(self, call: "_Call") -> None:
        function, status = call.function, call.status
        if function is None or (function.is_builtin and 0 < status < 400):
            return
        self._journal.add(
            function.name,
            call.request_id,
            "info" if 0 < status < 400 else "error" if status >= 500 else "warning",
            call.refusal or (f"answered {status}" if status else "the caller left"),
            status=status or None,
            seconds=clock.monotonic_seconds() - call.began_at,
        )

    async def _invoke(self, call: "_Call", limit: asyncio.Timeout) -> Packed | Response:
        warnings: list[str] = []
        refusal_fields: Mapping[str, Any] = {}
        try:
            if call.name == openapi.NAME and not call.path:
                return await self._document(call)
            function = await self._functions.find(call.name)
            if function is None:
                raise GatewayError("NOT_FOUND")
            call.function = function
            if function.contract is not None:
                refusal_fields = function.contract.refusal_fields
            principal = await self._principal(function, call)
            if principal.user_id is not None:
                spans.note(user=str(principal.user_id))
            call.body.bytes_max = function.body_bytes_max
            call.allow(function.answer_seconds_max, limit)
            if call.scope["method"] not in function.methods:
                return _method_not_allowed(function.methods)
            call.body.check_announced()
            invocation = Invocation(
                function,
                principal,
                scope=call.scope,
                headers=call.headers,
                body=call.body,
                path=call.path,
                request_id=call.request_id,
                context=self._context,
                environment=self._environment,
                background=self._background,
            )
            warnings = invocation.warnings
            answer = await function.serve(invocation)
            return answer if isinstance(answer, Response) else pack(answer, warnings)
        except RequestError as error:
            call.refusal = f"{error.code}: {error.message}"
            return pack_refusal(error, warnings, refusal_fields)
        except GatewayError as error:
            call.refusal = error.code
            if error.detail:
                call.report(f"{error.code}: {error.detail}")
            return pack_gateway(error)
        except HTTPException as error:
            body = {"error": error.detail, "code": "http_error"}
            return pack(Reply(error.status_code, body, error.headers or {}), warnings)

    async def _document(self, call: "_Call") -> Packed:
        if call.scope["method"] not in DOCUMENT_METHODS:
            return _method_not_allowed(DOCUMENT_METHODS)
        functions = await self._functions.load_all()
        if self._described is None or self._described[0] != functions:
            self._described = functions, pack(openapi.openapi_document(functions), [])
        return self._described[1]

    async def _principal(self, function: Function, call: "_Call") -> Principal:
        principal = None
        try:
            principal = await self._authenticate(Request(call.scope))
        except Unauthenticated:
            if function.verify_jwt:
                raise unauthorized(call.headers) from None
        call.authenticated_at = clock.monotonic_seconds()
        if principal is None and function.verify_jwt:
            raise GatewayError("UNAUTHORIZED_NO_AUTH_HEADER")
        return principal or ANONYMOUS


class _Call:
    """One request and how far it is: its parts, its stages, whether the answer has begun."""

    __slots__ = (
        "answer_seconds_max",
        "authenticated_at",
        "began_at",
        "body",
        "function",
        "headers",
        "name",
        "path",
        "refusal",
        "request_id",
        "scope",
        "started",
        "status",
    )

    def __init__(self, scope: Scope, receive: Receive, answer_seconds_max: float) -> None:
        self.answer_seconds_max = answer_seconds_max
        self.began_at = self.authenticated_at = clock.monotonic_seconds()
        self.scope = scope
        self.function: Function | None = None
        self.status = 0
        self.refusal = ""
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.body = Body(self.headers, receive)
        self.started = False
        route = scope["path"].partition(PREFIX)[2]
        self.name, slash, rest = route.partition("/")
        self.path = slash + rest
        given = self.headers.get(b"x-request-id", b"")
        known = REQUEST_ID.fullmatch(given)
        self.request_id = given.decode() if known else secrets.token_hex(16)

    @property
    def traceparent(self) -> str:
        """The trace that the caller says this belongs to."""
        return self.headers.get(b"traceparent", b"").decode("latin-1")

    def allow(self, answer_seconds_max: float | None, limit: asyncio.Timeout) -> None:
        """Let `limit` be the function's own, counted from the same beginning, if it has one."""
        when = limit.when()
        if answer_seconds_max is not None and when is not None and not limit.expired():
            limit.reschedule(when - self.answer_seconds_max + answer_seconds_max)
            self.answer_seconds_max = answer_seconds_max

    def report(self, reason: str) -> None:
        """Tell the operator why the function did not answer."""
        events.emit(
            events.FunctionFailed(function=self.name, error=reason, request=self.request_id)
        )

    def fail(self, code: str, reason: str) -> Packed:
        """Report `reason` to the operator and return the answer, which does not hold it."""
        self.report(f"{code}: {reason}")
        answer = pack_gateway(GatewayError(code))
        self.refusal, self.status = code, answer.status
        return answer

    async def send(self, answer: Packed, send: Send) -> None:
        """Send the answer, then hear out a client that is still sending."""
        headers = [*answer.headers, *self._own_headers()]
        if answer.status not in BODILESS:
            headers.append((b"content-length", b"%d" % len(answer.body)))
        still_sending = self.body.unread
        if still_sending:
            headers.append((b"connection", b"close"))
        self.started = True
        self.status = answer.status
        spans.note(status=answer.status)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if still_sending:
            await send({"type": "http.response.body", "body": answer.body, "more_body": True})
            await self.body.discard()
            await send({"type": "http.response.body", "body": b""})
        else:
            await send({"type": "http.response.body", "body": answer.body})

    async def stream(
        self, response: Response, send: Send, limit: asyncio.Timeout, beyond_seconds: float
    ) -> None:
        """Send a response that the function made itself; once it has begun, it may go on for
        `beyond_seconds` longer than `limit` says."""
        checked_headers(dict(response.headers.items()))
        response.raw_headers.extend(self._own_headers())

        async def noting(message: Message) -> None:
            when = limit.when()
            if not self.started and not limit.expired() and when is not None:
                limit.reschedule(when + beyond_seconds)
            if not self.started:
                self.status = message["status"]
            self.started = True
            await send(message)

        await response(self.scope, self.body.receive, noting)

    def _own_headers(self) -> list[tuple[bytes, bytes]]:
        auth = self.authenticated_at - self.began_at
        body = self.body.seconds
        serve = clock.monotonic_seconds() - self.authenticated_at - body
        stages = b"auth;dur=%.2f, body;dur=%.2f, serve;dur=%.2f"
        timing = stages % (auth * 1000, body * 1000, serve * 1000)
        return [(b"x-request-id", self.request_id.encode()), (b"server-timing", timing)]


def _method_not_allowed(methods: Sequence[str]) -> Packed:
    allowed = ", ".join(methods)
    body = {
        "error": f"This answers {allowed}.",
        "code": "method_not_allowed",
    }
    return pack(Reply(405, body, {"allow": allowed}), [])
