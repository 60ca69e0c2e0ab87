"""What is an upload that has begun, and what is said of one that cannot go on?"""

from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from tintype.errors import Conflict, InvalidRequest, NotFound, TooLarge, Unavailable
from tintype.storage.drafts import Draft

# Supabase's clients send chunks of exactly this size; a longer body is cut into as many.
PART_BYTES = 6 * 1024 * 1024
# With parts of the full size an upload holds 60 GB.
PARTS_MAX = 10_000
UPLOAD_SECONDS = 24 * 3600
# Unfinished ones of one caller.
UPLOADS_OPEN_MAX = 1000


class Upload(msgspec.Struct, frozen=True):
    """An upload as it is at this moment; `offset` and `length` are in bytes.

    `length` is None while it is not known; `header` is what describes the upload to the client
    again, word for word. `role` and `owner` say who began it; `role` is None when it was the
    holder of a signed URL.
    """

    id: UUID
    draft: Draft
    role: str | None
    owner: str | None
    length: int | None
    header: str
    expires_at: datetime
    is_complete: bool
    offset: int
    parts: int


def upload_from(row: asyncpg.Record) -> Upload:
    """Return the upload that the query `upload` found."""
    return Upload(
        id=row["id"],
        draft=Draft(
            row["bucket_id"],
            row["name"],
            row["media_type"],
            row["cache_control"],
            row["user_metadata"],
            row["upsert"],
        ),
        role=row["role"],
        owner=row["owner_id"],
        length=row["length_bytes"],
        header=row["header"],
        expires_at=row["expires_at"],
        is_complete=row["is_complete"],
        offset=row["length_bytes"] if row["is_complete"] else row["offset_bytes"],
        parts=row["parts"],
    )


def upload_not_found() -> NotFound:
    """Return what says that there is no such upload, none any more, or none for this caller."""
    return NotFound("upload_not_found", "The file for this url was not found")


def offset_conflict() -> Conflict:
    """Return what says that the bytes do not go on where the upload stopped."""
    return Conflict(
        "upload_offset_conflict", "Upload-Offset conflict", hint="Ask for the offset with HEAD."
    )


def upload_busy() -> Unavailable:
    """Return what says that another request is at work on the upload."""
    return Unavailable(
        "upload_busy", "acquiring lock timeout", hint="Wait for the other request to end."
    )


def size_exceeded() -> TooLarge:
    """Return what says that an upload is over its own length or over what the bucket takes."""
    return TooLarge("object_too_large", "Maximum size exceeded")


def too_many_parts() -> TooLarge:
    """Return what says that an upload came in too many pieces."""
    return TooLarge(
        "upload_parts_exceeded",
        f"An upload comes in at most {PARTS_MAX} pieces",
        hint=f"Send chunks of {PART_BYTES} bytes.",
    )


def length_changed() -> InvalidRequest:
    """Return what says that an upload has another length already."""
    return InvalidRequest("upload_length_invalid", "Upload-Length or Upload-Defer-Length invalid")
