"""What does an upload's body hold, read as it arrives?

supabase-js and supabase-py send a multipart form: text fields first (`cacheControl` in seconds,
`metadata` as JSON), then one part with a file name. Everything else is the raw object, described by
its headers (`x-metadata` is base64 JSON).
"""

import base64
import binascii
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from tintype.errors import InvalidRequest, TooLarge
from tintype.storage.drafts import Draft
from tintype.storage.media import UNKNOWN

# Text fields and part headers together; what a form adds to its file is below this.
FORM_BYTES_MAX = 64 * 1024
PART_HEADERS_MAX = 16
PART_HEADER_BYTES_MAX = 4096
NO_CACHE = "no-cache"


class Upload(msgspec.Struct, frozen=True):
    """A draft whose bytes are still to be read from `chunks`; `size_min` is in bytes."""

    draft: Draft
    size_min: int
    chunks: AsyncIterator[bytes]


async def open_upload(request: Request, bucket: str, name: str, *, upsert: bool) -> Upload:
    """Read the body up to the object's first byte.

    Raises `InvalidRequest` for a malformed form or metadata, `TooLarge` for fields over
    `FORM_BYTES_MAX`. `chunks` raises `InvalidRequest` (`body_truncated`) when a form ends early,
    and Starlette's `ClientDisconnect` when the connection does.
    """
    content_type = request.headers.get("content-type", "")
    kind, options = parse_options_header(content_type)
    if kind == b"multipart/form-data":
        form = _Form(options.get(b"boundary", b""))
        chunks = await _open_form(request, form)
        draft = draft_of(bucket, name, form.media_type, form.fields, upsert=upsert)
        return Upload(draft, max(0, content_length(request) - 2 * FORM_BYTES_MAX), chunks)
    draft = Draft(
        bucket,
        name,
        content_type or UNKNOWN,
        request.headers.get("cache-control") or NO_CACHE,
        _header_metadata(request.headers.get("x-metadata")),
        upsert,
    )
    return Upload(draft, content_length(request), _raw(request))


def draft_of(
    bucket: str, name: str, media_type: str | None, given: Mapping[str, str], *, upsert: bool
) -> Draft:
    """Return the draft that a form or a TUS header describes by `cacheControl` and `metadata`.

    Raises `InvalidRequest` (`metadata_malformed`).
    """
    seconds = given.get("cacheControl", "")
    return Draft(
        bucket,
        name,
        media_type or UNKNOWN,
        f"max-age={seconds}" if seconds.isdecimal() else seconds or NO_CACHE,
        _parse_metadata(given.get("metadata")),
        upsert,
    )


async def _raw(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        if chunk:
            yield chunk


async def _open_form(request: Request, form: "_Form") -> AsyncIterator[bytes]:
    chunks = _raw(request)
    while form.media_type is None:
        chunk = await anext(chunks, None)
        if chunk is None:
            raise InvalidRequest("file_missing", "The form has no part with a file name.")
        form.feed(chunk)

    async def file() -> AsyncIterator[bytes]:
        while True:
            while form.chunks:
                yield form.chunks.popleft()
            if form.complete:
                return
            chunk = await anext(chunks, None)
            if chunk is None:
                raise InvalidRequest("body_truncated", "The form ends before its file does.")
            form.feed(chunk)

    return file()


class _Form:
    """Collects the fields before the first file, then hands out the file's bytes as they come."""

    def __init__(self, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.media_type: str | None = None
        self.complete = False
        self.chunks: deque[bytes] = deque()
        self._in_file = False
        self._headers: dict[bytes, bytes] = {}
        self._header_name = b""
        self._header_value = b""
        self._value = b""
        self._field_bytes = 0
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                },
                max_header_count=PART_HEADERS_MAX,
                max_header_size=PART_HEADER_BYTES_MAX,
            )
        except FormParserError as error:
            raise _malformed() from error
        if not boundary:
            raise _malformed()

    def feed(self, chunk: bytes) -> None:
        """Parse the next piece of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _malformed() from error

    def _on_part_begin(self) -> None:
        self._headers = {}
        self._value = b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        self._count(len(self._header_name) + len(self._header_value))
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if b"filename" in options and self.media_type is None:
            self._in_file = True
            declared = self._headers.get(b"content-type", b"").decode("latin-1")
            self.media_type = declared or UNKNOWN

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self.chunks.append(data[start:end])
        elif self.media_type is None:
            self._count(end - start)
            self._value += data[start:end]

    def _on_part_end(self) -> None:
        if self._in_file:
            self._in_file = False
            self.complete = True
        elif self.media_type is None:
            _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
            name = options.get(b"name", b"").decode("latin-1")
            self.fields[name] = self._value.decode("utf-8", "replace")

    def _count(self, size: int) -> None:
        self._field_bytes += size
        if self._field_bytes > FORM_BYTES_MAX:
            raise TooLarge(
                "fields_too_large", f"The form's fields are over {FORM_BYTES_MAX} bytes."
            )


def _header_metadata(text: str | None) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        return _parse_metadata(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise InvalidRequest("metadata_malformed", "`x-metadata` is not base64.") from error


def _parse_metadata(text: str | bytes | None) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        decoded: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
        # Postgres keeps neither NUL nor a lone surrogate in text.
        msgspec.json.encode(decoded)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise InvalidRequest("metadata_malformed", "The metadata is not a JSON object.") from error
    if b"\\u0000" in msgspec.json.encode(decoded):
        raise InvalidRequest("metadata_malformed", "The metadata holds a NUL character.")
    return decoded


def content_length(request: Request) -> int:
    """Return the bytes that the request says its body has, 0 when it does not say."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdecimal() else 0


def _malformed() -> InvalidRequest:
    return InvalidRequest("form_malformed", "The body is not a multipart form.")
