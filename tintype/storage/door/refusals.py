"""How does a client of Supabase's storage-api learn that it was refused?

By HTTP 400 whatever the reason, with the true status as text in `statusCode`, and `error`,
`message` and `code` in the words of storage-api 1.70, which the clients compare.
"""

import traceback
from uuid import uuid4

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tintype import events
from tintype.database import is_passing
from tintype.errors import InvalidRequest, RequestError, Unauthenticated, Unavailable
from tintype.storage.backends import BackendFailed

TRACE_CHARACTERS_MAX = 4000

# Our code → (`error`, `code`) on the wire.
WORDS = {
    "bucket_not_found": ("Bucket not found", "NoSuchBucket"),
    "object_not_found": ("not_found", "NoSuchKey"),
    "object_exists": ("Duplicate", "KeyAlreadyExists"),
    "bucket_exists": ("Duplicate", "BucketAlreadyExists"),
    "bucket_not_empty": ("InvalidRequest", "ResourceNotEmpty"),
    "row_level_security": ("Unauthorized", "AccessDenied"),
    "service_role_required": ("Unauthorized", "AccessDenied"),
    "picture_too_large": ("Payload too large", "EntityTooLarge"),
    "picture_not_supported": ("invalid_mime_type", "InvalidMimeType"),
    "mime_type_not_supported": ("invalid_mime_type", "InvalidMimeType"),
    "invalid_mime_type": ("invalid_mime_type", "InvalidMimeType"),
    "object_too_large": ("Payload too large", "EntityTooLarge"),
    "fields_too_large": ("Payload too large", "EntityTooLarge"),
    "body_too_large": ("Payload too large", "EntityTooLarge"),
    "invalid_key": ("InvalidKey", "InvalidKey"),
    "invalid_jwt": ("InvalidJWT", "InvalidJWT"),
    "invalid_signature": ("InvalidSignature", "InvalidSignature"),
    "authorization_missing": ("Error", "InvalidRequest"),
    "route_unknown": ("Not Found", "NoSuchRoute"),
    "unexpected_failure": ("internal", "InternalError"),
}
OTHERS = ("InvalidRequest", "InvalidRequest")
# Answered with their true HTTP status, as is every 5xx.
PLAIN_STATUS = frozenset({"service_role_required", "route_unknown"})


class _Unexpected(RequestError):
    status = 500


def as_refusal(request: Request, error: Exception) -> RequestError:
    """Return what to tell the caller of an error; one of our own making is told to the operator."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, ClientDisconnect):
        # Nobody reads this; the body ended before it was whole, and nothing was stored.
        return InvalidRequest("body_truncated", "The body ended early.")
    if isinstance(error, BackendFailed):
        return Unavailable("backend_unavailable", "The object store cannot be used at the moment.")
    if is_passing(error):
        return Unavailable("database_unavailable", "The database is away for a moment.")
    trace = "".join(traceback.format_exception(error))[-TRACE_CHARACTERS_MAX:]
    where = f"{request.method} {request.scope['path'][:200]}"
    events.emit(events.FunctionFailed(function=where, error=trace, request=str(uuid4())))
    return _Unexpected("unexpected_failure", "Internal Server Error")


def refusal(error: RequestError) -> Response:
    """Return the answer for `error`; `hint` is added where there is one."""
    status, message = error.status, error.message
    words = WORDS.get(error.code, OTHERS)
    if isinstance(error, Unauthenticated):
        expired = "expired" in error.code
        status, words = 403, ("Unauthorized", "AccessDenied")
        message = '"exp" claim timestamp check failed' if expired else "Invalid Compact JWS"
    body = {
        "statusCode": str(status),
        "error": words[0],
        "message": message,
        "code": words[1],
    }
    if error.hint is not None:
        body["hint"] = error.hint
    return Response(
        msgspec.json.encode(body),
        status if status >= 500 or error.code in PLAIN_STATUS else 400,
        media_type="application/json",
    )
