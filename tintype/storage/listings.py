"""What lies in a bucket, page by page?

A page ends with a cursor that says where the next one begins: by value and not by number, so that
objects which come and go in between neither repeat others nor hide them.
"""

import base64
import binascii
from datetime import datetime
from typing import Literal

import msgspec

from tintype.auth import Principal
from tintype.errors import InvalidRequest
from tintype.storage import keys, rows
from tintype.storage.objects import Storage
from tintype.storage.rows import ListEntry

CURSOR_CHARACTERS_MAX = 4096

Column = Literal["name", "created_at", "updated_at"]


class Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last entry of a page and the order in which it was the last."""

    column: Column
    descending: bool
    moment: datetime
    name: str

    def text(self) -> str:
        """Return the cursor as clients hand it back."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


class Page(msgspec.Struct, frozen=True):
    """Entries under their full names, folders (`id` None) with a slash at the end."""

    entries: list[ListEntry]
    cursor: str | None


async def page(
    storage: Storage,
    bucket: str,
    prefix: str,
    principal: Principal | None = None,
    *,
    with_delimiter: bool = False,
    column: Column = "name",
    descending: bool = False,
    limit: int,
    cursor: str | None = None,
) -> Page:
    """Return the objects whose names begin with `prefix`, at most `limit`, as the caller sees them.

    With `with_delimiter` all that lies behind the next slash is one folder, dated by its oldest
    and its latest object. `cursor` continues an earlier page, in that page's order. Raises
    `InvalidRequest` (`cursor_malformed`).
    """
    after = parse_cursor(cursor) if cursor else None
    if after is not None:
        column, descending = after.column, after.descending
    if not (keys.is_bucket(bucket) and keys.is_prefix(prefix)):
        return Page([], None)
    # Names are ASCII: what begins with the prefix is one range of the index.
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else ""
    found = await rows.read(
        storage.pool,
        principal,
        "list_v2",
        bucket,
        prefix,
        end,
        with_delimiter,
        column,
        descending,
        after.moment if after is not None else None,
        after.name if after is not None else None,
        limit + 1,
    )
    entries = [
        ListEntry(**{name: value for name, value in row.items() if name != "moment"})
        for row in found[:limit]
    ]
    if len(found) <= limit:
        return Page(entries, None)
    last = found[limit - 1]
    return Page(entries, Cursor(column, descending, last["moment"], last["name"]).text())


def parse_cursor(text: str) -> Cursor:
    """Return the cursor that `Cursor.text` wrote. Raises `InvalidRequest` (`cursor_malformed`)."""
    try:
        if len(text) > CURSOR_CHARACTERS_MAX:
            raise ValueError
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        cursor = msgspec.json.decode(decoded, type=Cursor)
    except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
        raise InvalidRequest("cursor_malformed", "The cursor is not one of this server.") from error
    if not keys.is_prefix(cursor.name) or cursor.moment.tzinfo is None:
        raise InvalidRequest("cursor_malformed", "The cursor is not one of this server.")
    return cursor
