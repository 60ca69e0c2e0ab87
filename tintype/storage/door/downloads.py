"""How is an object served: whole, in part, or not at all because the reader has it?

RFC 9110 §13 and §14: one byte range, `If-None-Match`, `If-Range`. A page is never shown as one:
`text/html` goes out as `text/plain`; markup that can hold scripts, SVG above all, goes out in a
sandbox and as an attachment, so that `<img>` shows it and nothing runs it; and no browser may
guess another type.
"""

import re
from email.utils import format_datetime, formatdate
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tintype.storage import rows
from tintype.storage.objects import Storage
from tintype.storage.rows import FindRow, ObjectRow, StoredObject

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class Part(msgspec.Struct, frozen=True):
    """Bytes `start` to `end` (exclusive) of an object."""

    start: int
    end: int


async def serve(
    request: Request,
    storage: Storage,
    find: FindRow,
    *,
    expires_at: int | None = None,
) -> Response:
    """Answer GET or HEAD with the object that `find` returns, as it is at this moment.

    When the object is replaced between its row and its bytes, `find` is asked again. Raises
    `NotFound` when it returns None. `expires_at` (Unix seconds) takes the place of Cache-Control.
    """
    return await rows.as_it_is(find, lambda row: _answer(request, storage, row, expires_at))


async def _answer(
    request: Request, storage: Storage, row: ObjectRow, expires_at: int | None
) -> Response:
    stored = row.stored()
    headers = headers_of(request, row, stored, expires_at)
    if is_known(request.headers.get("if-none-match"), stored.etag):
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range")
    if wanted and request.headers.get("if-range", stored.etag) == stored.etag:
        part = parse_range(wanted, stored.size)
        if part is None:
            headers["content-range"] = f"bytes */{stored.size}"
            return Response(status_code=416, headers=headers)
    else:
        part = Part(0, stored.size)
    status = 200
    if part.end - part.start < stored.size:
        status = 206
        headers["content-range"] = f"bytes {part.start}-{part.end - 1}/{stored.size}"
    headers["content-length"] = str(part.end - part.start)
    headers["content-type"] = _served_type(stored.media_type)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    chunks = await storage.open(stored, part.start, part.end)
    return StreamingResponse(chunks, status, headers)


def parse_range(text: str, size: int) -> Part | None:
    """Return the one range that `text` asks for, or None when it lies outside `size` bytes.

    What is malformed, or asks for several ranges, is ignored and gives the whole.
    """
    match = _RANGE.fullmatch(text.replace(" ", ""))
    if match is None or match.groups() == ("", ""):
        return Part(0, size)
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < start:
            return Part(0, size)
    return Part(start, end) if start < end else None


def headers_of(
    request: Request, row: ObjectRow, stored: StoredObject, expires_at: int | None
) -> dict[str, str]:
    """Return what every answer with an object's bytes says of them."""
    headers = {
        "accept-ranges": "bytes",
        "etag": stored.etag,
        "last-modified": format_datetime(row.updated_at, usegmt=True),
        "x-robots-tag": "none",
        "x-content-type-options": "nosniff",
    }
    if expires_at is None:
        headers["cache-control"] = stored.cache_control
    else:
        headers["expires"] = formatdate(expires_at, usegmt=True)
    kind = stored.media_type.partition(";")[0].strip().lower()
    download = request.query_params.get("download")
    if kind.endswith(("+xml", "/xml", "/xsl", "/xslt")):
        headers["content-security-policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        )
        # An `<img>` shows it all the same; a browser that is sent to it saves it.
        headers["content-disposition"] = "attachment;"
    if download is not None:
        name = quote(download, safe="!'()*-._~")
        headers["content-disposition"] = (
            f"attachment; filename={name}; filename*=UTF-8''{name};" if name else "attachment;"
        )
    return headers


def _served_type(media_type: str) -> str:
    return (
        "text/plain" + media_type[9:] if media_type.lower().startswith("text/html") else media_type
    )


def is_known(wanted: str | None, etag: str) -> bool:
    """Return whether the reader has the bytes: `wanted` is the request's `If-None-Match`."""
    if wanted is None:
        return False
    known = [candidate.strip().removeprefix("W/") for candidate in wanted.split(",")]
    return "*" in known or etag in known
