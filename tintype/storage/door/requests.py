"""Who calls, and what do they ask for?

What the doors of this room share: the caller behind a request, bodies and queries within bounds.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar
from urllib.parse import unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tintype.auth import Principal
from tintype.errors import InvalidRequest, TooLarge
from tintype.storage import keys, rows
from tintype.storage.drafts import Uploader
from tintype.storage.objects import Storage
from tintype.storage.rows import FindRow

BODY_BYTES_MAX = 1024 * 1024
LIST_ENTRIES_MAX = 1000
NAMES_MAX = 1000

Authenticate = Callable[[Request], Awaitable[Principal]]
Handler = Callable[[Request], Awaitable[Response]]
SortOrder = Literal["asc", "desc"]
SortColumn = Literal["name", "created_at", "updated_at", "last_accessed_at"]
T = TypeVar("T")


class Callers:
    """Tells who calls, and what they may read."""

    def __init__(self, storage: Storage, authenticate: Authenticate) -> None:
        self._storage = storage
        self._authenticate = authenticate

    async def caller(self, request: Request) -> Principal:
        """Return who calls. Raises `InvalidRequest` without a token, `Unauthenticated`."""
        if not _has_token(request):
            raise InvalidRequest(
                "authorization_missing", "headers must have required property 'authorization'"
            )
        return await self._authenticate(request)

    def granted(self, token: str, bucket: str, name: str) -> tuple[Uploader, bool]:
        """Return who made this signed URL for an upload, and whether it may replace an object.

        Raises `InvalidRequest` (`invalid_jwt`, `invalid_signature`).
        """
        claims = self._storage.signer.verify(token, "upload", bucket, name)
        uploader = Uploader(None, claims.get("owner"), claims.get("bytes_max"))
        return uploader, claims.get("upsert") is True

    async def require_public(self, bucket: str) -> None:
        """Raise `NotFound` (`bucket_not_found`) unless the bucket is public."""
        if not (await self._storage.bucket(bucket)).public:
            raise rows.bucket_not_found()

    async def reader(self, request: Request, bucket: str, name: str) -> FindRow:
        """Return what finds the object for this caller: anybody's when the bucket is public."""
        if not _has_token(request):
            await self.require_public(bucket)
            return lambda: self._storage.find(bucket, name)
        principal = await self._authenticate(request)
        if (await self._storage.bucket(bucket)).public:
            return lambda: self._storage.find(bucket, name)
        return lambda: self._storage.find(bucket, name, principal)


def object_of(request: Request) -> tuple[str, str]:
    """Return bucket and name in the path. Raises `InvalidRequest` (`invalid_key`)."""
    bucket, name = request.path_params["bucket"], request.path_params["name"]
    keys.check_name(name)
    return bucket, name


def signed_object_of(request: Request) -> tuple[str, str]:
    """Return what `object_of` does for a signed URL, which a client may have quoted once more."""
    bucket, name = request.path_params["bucket"], unquote(request.path_params["name"])
    keys.check_name(name)
    return unquote(bucket), name


def wants_upsert(request: Request) -> bool:
    """Return whether an object of the name is to be replaced."""
    return request.headers.get("x-upsert", "").lower() == "true"


async def read_body(request: Request, kind: type[T]) -> T:
    """Return the JSON body as `kind`. Raises `InvalidRequest`, `TooLarge` (`body_too_large`)."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise TooLarge("body_too_large", f"The body is over {BODY_BYTES_MAX} bytes.")
    try:
        return msgspec.json.decode(body, type=kind, strict=False)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise InvalidRequest("body_malformed", f"The body is not as expected: {error}.") from error


def query_value(text: str, kind: Any) -> Any:
    """Return a query's value as `kind`. Raises `InvalidRequest` (`query_malformed`)."""
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest(
            "query_malformed", f"The query is not as expected: {error}."
        ) from error


def query_text(text: str | None) -> str | None:
    """Return a query's text, None when empty. Raises `InvalidRequest` (`query_malformed`)."""
    if text is not None and not text.isprintable():
        raise InvalidRequest("query_malformed", "The query holds unprintable characters.")
    return text or None


def offset_of(offset: int) -> int:
    """Return the offset. Raises `InvalidRequest` for one that no listing has."""
    if not 0 <= offset < 2**31:
        raise InvalidRequest("offset_out_of_range", "The offset is out of range.")
    return offset


def some_names(names: list[str]) -> list[str]:
    """Return the names. Raises `InvalidRequest` for more than `NAMES_MAX`."""
    if len(names) > NAMES_MAX:
        raise InvalidRequest("too_many_names", f"At most {NAMES_MAX} objects at once.")
    return names


def json_answer(body: Any) -> Response:
    """Return 200 with a JSON body."""
    return Response(msgspec.json.encode(body), media_type="application/json")


def _has_token(request: Request) -> bool:
    return "authorization" in request.headers or "apikey" in request.headers
