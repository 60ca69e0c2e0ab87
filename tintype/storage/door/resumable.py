"""How do tus-js-client and Uppy upload what is large, and go on after a break?

TUS 1.0.0 (https://tus.io/protocols/resumable-upload) with the extensions creation,
creation-with-upload, creation-defer-length, termination and expiration, in the words of Supabase's
storage-api: real statuses, and errors as plain text.
"""

import base64
import binascii
from email.utils import format_datetime
from uuid import UUID

import asyncpg
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tintype import clock, events
from tintype.errors import (
    InvalidRequest,
    TooLarge,
    Unauthenticated,
    UnsupportedMedia,
)
from tintype.storage import keys
from tintype.storage.backends import BackendFailed
from tintype.storage.door.refusals import as_refusal
from tintype.storage.door.requests import Callers, Handler, wants_upsert
from tintype.storage.door.uploads import content_length, draft_of
from tintype.storage.drafts import Uploader
from tintype.storage.objects import ROUTE_PREFIX, Storage
from tintype.storage.uploads import Resumable, Upload, upload_not_found

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,creation-defer-length,termination,expiration"
CHUNK_TYPE = "application/offset+octet-stream"
HEADER_CHARACTERS_MAX = 16 * 1024
LENGTH_DIGITS_MAX = 18
SWEEP_SECONDS = 300
PLACE = "/upload/resumable"
SIGNED_PLACE = "/upload/resumable/sign"


class ResumableDoor:
    """`/upload/resumable` for callers, `/upload/resumable/sign` for holders of a signed URL."""

    def __init__(self, storage: Storage, callers: Callers) -> None:
        self._storage = storage
        self._callers = callers
        self._uploads = Resumable(storage)
        self._swept_at = clock.monotonic_seconds()

    def routes(self) -> list[Route]:
        """Return the routes of both places."""
        return [
            route
            for place in (SIGNED_PLACE, PLACE)
            for route in (
                Route(place, self._guard(self._begin), methods=["POST"]),
                Route(place, self._tell, methods=["OPTIONS"]),
                Route(f"{place}/{{upload}}", self._tell, methods=["OPTIONS"]),
                Route(
                    f"{place}/{{upload}}",
                    self._guard(self._one),
                    methods=["HEAD", "PATCH", "DELETE", "POST"],
                ),
            )
        ]

    async def _tell(self, request: Request) -> Response:
        headers = {
            "tus-version": VERSION,
            "tus-extension": EXTENSIONS,
            "tus-max-size": str(self._storage.config.storage.object_bytes_max),
        }
        return _answer(204, headers)

    async def _begin(self, request: Request) -> Response:
        length = _length(request)
        header = request.headers.get("upload-metadata", "")
        given = parse_header(header)
        bucket, name = given.get("bucketName", ""), given.get("objectName", "")
        keys.check_name(name)
        uploader, upsert = await self._uploader(request, bucket, name)
        draft = draft_of(bucket, name, given.get("contentType"), given, upsert=upsert)
        upload = await self._uploads.begin(uploader, draft, length, header)
        headers = {"location": self._location(request, upload)}
        if request.headers.get("content-type") == CHUNK_TYPE and not upload.is_complete:
            upload = await self._uploads.append(
                uploader, upload.id, 0, request.stream(), size_min=content_length(request)
            )
            headers["upload-offset"] = str(upload.offset)
        answer = _answer(201, headers | _state(upload))
        if clock.monotonic_seconds() - self._swept_at > SWEEP_SECONDS:
            self._swept_at = clock.monotonic_seconds()
            answer.background = BackgroundTask(self._sweep)
        return answer

    async def _sweep(self) -> None:
        try:
            await self._uploads.sweep()
        except (BackendFailed, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            events.emit(
                events.LoopFailed(loop="uploads", error=str(error), delay_seconds=SWEEP_SECONDS)
            )

    async def _one(self, request: Request) -> Response:
        bucket, name, identity = _parse_id(request.path_params["upload"])
        uploader, _ = await self._uploader(request, bucket, name)
        method = request.method
        if method == "POST":
            # What a proxy in between does not let through comes so.
            method = request.headers.get("x-http-method-override", "").upper()
        upload = await self._uploads.find(uploader, identity)
        if (upload.draft.bucket, upload.draft.name) != (bucket, name):
            raise upload_not_found()
        if method == "HEAD":
            return _head(upload)
        if method == "PATCH":
            return await self._append(request, uploader, identity)
        if method == "DELETE":
            await self._uploads.end(uploader, identity)
            return _answer(204, {})
        raise InvalidRequest("method_unknown", "Only PATCH and DELETE can be sent so.")

    async def _append(self, request: Request, uploader: Uploader, identity: UUID) -> Response:
        if request.headers.get("content-type") != CHUNK_TYPE:
            raise UnsupportedMedia("chunk_type_invalid", f"Content-Type must be {CHUNK_TYPE}")
        offset = _number(request, "upload-offset")
        if offset is None:
            raise InvalidRequest("upload_offset_missing", "Upload-Offset is missing or malformed")
        upload = await self._uploads.append(
            uploader,
            identity,
            offset,
            request.stream(),
            size_min=content_length(request),
            length=_number(request, "upload-length"),
        )
        headers = {"upload-offset": str(upload.offset)} | _state(upload)
        return _answer(204, headers)

    async def _uploader(self, request: Request, bucket: str, name: str) -> tuple[Uploader, bool]:
        if _is_signed(request):
            return self._callers.granted(request.headers.get("x-signature", ""), bucket, name)
        return Uploader.of(await self._callers.caller(request)), wants_upsert(request)

    def _location(self, request: Request, upload: Upload) -> str:
        place = SIGNED_PLACE if _is_signed(request) else PLACE
        text = f"{upload.draft.bucket}/{upload.draft.name}/{upload.id}"
        identity = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        return f"{self._storage.config.public_url}{ROUTE_PREFIX}{place}/{identity}"

    def _guard(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            try:
                if request.headers.get("tus-resumable") != VERSION:
                    return _answer(412, {"tus-version": VERSION}, "Tus-Resumable Required\n")
                return await handler(request)
            except Unauthenticated:
                return _answer(403, {}, "Invalid Compact JWS")
            except Exception as error:
                told = as_refusal(request, error)
                return _answer(told.status, {}, told.message)

        return answer


def _length(request: Request) -> int | None:
    length = _number(request, "upload-length")
    is_deferred = request.headers.get("upload-defer-length") == "1"
    if (length is None) != is_deferred:
        raise InvalidRequest(
            "upload_length_invalid", "Upload-Length or Upload-Defer-Length header invalid"
        )
    return length


def parse_header(header: str) -> dict[str, str]:
    """Return what an `Upload-Metadata` header says: keys with base64 values, between commas.

    Raises `InvalidRequest` (`upload_metadata_invalid`), `TooLarge`.
    """
    if len(header) > HEADER_CHARACTERS_MAX:
        raise TooLarge("upload_metadata_too_large", "Upload-Metadata is too large")
    given = {}
    try:
        for pair in header.split(",") if header.strip() else []:
            name, _, value = pair.strip().partition(" ")
            given[name] = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise InvalidRequest("upload_metadata_invalid", "Upload-Metadata invalid") from error
    return given


def _parse_id(text: str) -> tuple[str, str, UUID]:
    try:
        padded = text + "=" * (-len(text) % 4)
        decoded = base64.b64decode(padded, b"-_", validate=True).decode("ascii")
        parsed = keys.parse_key(decoded)
    except (binascii.Error, ValueError):
        parsed = None
    if parsed is None:
        raise upload_not_found()
    bucket, name, version = parsed
    return bucket, name, UUID(version)


def _number(request: Request, header: str) -> int | None:
    text = request.headers.get(header, "")
    is_number = text.isascii() and text.isdecimal() and len(text) <= LENGTH_DIGITS_MAX
    return int(text) if is_number else None


def _is_signed(request: Request) -> bool:
    return "x-signature" in request.headers or f"{SIGNED_PLACE}/" in f"{request.url.path}/"


def _state(upload: Upload) -> dict[str, str]:
    if upload.is_complete:
        return {"tus-complete": "1"}
    return {"upload-expires": format_datetime(upload.expires_at, usegmt=True)}


def _head(upload: Upload) -> Response:
    headers = {"upload-offset": str(upload.offset), "cache-control": "no-store"}
    # All bytes and yet no object: the client has to say once more that this is the end.
    if upload.length is None or (upload.offset == upload.length and not upload.is_complete):
        headers["upload-defer-length"] = "1"
    else:
        headers["upload-length"] = str(upload.length)
    if upload.header:
        headers["upload-metadata"] = upload.header
    return _answer(200, headers | _state(upload))


def _answer(status: int, headers: dict[str, str], text: str = "") -> Response:
    answer = Response(text or None, status, headers | {"tus-resumable": VERSION})
    if text:
        answer.headers["content-type"] = "text/plain; charset=utf-8"
    return answer
