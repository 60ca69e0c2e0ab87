"""May a page of another origin read this?

Yes, everywhere: who may do what is decided by tokens, never by origin, and no cookie is used. The
lists are those that supabase-js and its companions send and read.
"""

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALLOW_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
ALLOW_HEADERS = (
    b"authorization, apikey, content-type, x-client-info, x-supabase-api-version, prefer, accept, "
    b"accept-profile, content-profile, range, range-unit, x-upsert, x-metadata, cache-control, "
    b"if-none-match, x-region, x-retry-count, traceparent, tracestate, baggage, tus-resumable, "
    b"upload-length, upload-offset, upload-metadata, upload-defer-length, x-signature, "
    b"x-http-method-override, idempotency-key, x-request-id"
)
EXPOSE_HEADERS = (
    b"Content-Range, Content-Location, Location, Preference-Applied, Proxy-Status, Range-Unit, "
    b"X-Total-Count, Link, X-Supabase-Api-Version, sb-error-code, x-relay-error, "
    b"Content-Disposition, ETag, Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, "
    b"Upload-Offset, Upload-Length, Upload-Metadata, Upload-Expires, Retry-After, Server-Timing, "
    b"X-Request-Id"
)
PREFLIGHT_SECONDS = b"86400"
RESUMABLE_PATH = "/storage/v1/upload/resumable"
REQUESTED_HEADERS = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,4096}")

_ORIGIN = (b"access-control-allow-origin", b"*")
_EXPOSE = (b"access-control-expose-headers", EXPOSE_HEADERS)
_FAILED = b'{"message":"Internal Server Error","code":"internal_error"}'


class Cors:
    """Wraps the whole app: answers every OPTIONS, and marks every answer, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection. An app that raises before it answers is answered for with 500,
        marked like the rest, and the error goes on to the server's log."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and not _is_question(scope):
            await _preflight(scope, send)
            return
        started = False

        async def marked(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = _marked(list(message.get("headers", ())))
            await send(message)

        try:
            await self._app(scope, receive, marked)
        except Exception:
            if not started:
                await _fail(marked)
            raise


def _is_question(scope: Scope) -> bool:
    # A TUS client asks what the server can do, PostgREST's what can be done with a table. A
    # browser's preflight names the method it wants.
    asks = scope["path"].startswith((RESUMABLE_PATH, "/rest/v1/"))
    return asks and b"access-control-request-method" not in dict(scope["headers"])


def _marked(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    # A function may set its own, as upstream every one must; two of a kind are an error.
    present = {name.lower() for name, _ in headers}
    return headers + [pair for pair in (_ORIGIN, _EXPOSE) if pair[0] not in present]


async def _preflight(scope: Scope, send: Send) -> None:
    requested = dict(scope["headers"]).get(b"access-control-request-headers", b"")
    allowed = requested if REQUESTED_HEADERS.fullmatch(requested) else ALLOW_HEADERS
    headers = [
        _ORIGIN,
        (b"access-control-allow-methods", ALLOW_METHODS),
        (b"access-control-allow-headers", allowed),
        (b"access-control-max-age", PREFLIGHT_SECONDS),
        (b"vary", b"Access-Control-Request-Headers"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _fail(send: Send) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(_FAILED)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": _FAILED})
