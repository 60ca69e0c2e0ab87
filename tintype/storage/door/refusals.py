"""How does a client of Supabase's storage-api learn that it was refused?

By HTTP 400 whatever the reason, with the true status as text in `statusCode`, and `error`,
`message` and `code` in the words of storage-api 1.70, which the clients compare.
"""

import msgspec
from starlette.responses import Response

from tintype.errors import RequestError, Unauthenticated

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
}
OTHERS = ("InvalidRequest", "InvalidRequest")
# Answered with their true HTTP status, as is every 5xx.
PLAIN_STATUS = frozenset({"service_role_required"})


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
