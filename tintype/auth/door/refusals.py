"""How does the door say no?

In one of two shapes: with `code` and `message` to clients that send
`X-Supabase-Api-Version: 2024-01-01` or later, with `code`, `error_code` and `msg` to all others.
"""

import re
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tintype.errors import RequestError, TooManyRequests, Unauthenticated

VERSION_HEADER = "X-Supabase-Api-Version"
VERSION = "2024-01-01"
_DATE = re.compile(r"2\d{3}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")
RETRY_SECONDS = 1


class BadKey(Unauthenticated):
    """The project's key is missing or wrong: the gateway's own answer, in its own shape."""


def refusal(request: Request, error: RequestError) -> Response:
    """Return the answer to a request that is refused, in the shape its client reads."""
    if isinstance(error, BadKey):
        return answer({"message": error.message, "hint": error.hint}, status=error.status)
    headers: dict[str, str] = {"X-Sb-Error-Code": error.code}
    if isinstance(error, TooManyRequests):
        headers["Retry-After"] = str(error.retry_after_seconds)
    elif error.status == 503:
        headers["Retry-After"] = str(RETRY_SECONDS)
    body = dict(error.details)
    if error.hint is not None:
        body["hint"] = error.hint
    if _is_new(request.headers.get(VERSION_HEADER, "")):
        headers[VERSION_HEADER] = VERSION
        body = {"code": error.code, "message": error.message} | body
    else:
        body = {"code": error.status, "error_code": error.code, "msg": error.message} | body
    return answer(body, status=error.status, headers=headers)


def answer(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )


def _is_new(version: str) -> bool:
    return _DATE.fullmatch(version) is not None and version >= VERSION
