"""`delete-generation`: remove finished pictures and videos, with everything stored of them."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Annotated, Any
from urllib.parse import unquote
from uuid import UUID

import msgspec

from tintype.database import named_queries
from tintype.errors import NotFound
from tintype.functions.context import Context
from tintype.functions.contract import Contract
from tintype.functions.invocation import Invocation
from tintype.functions.submission import database_trouble_told

methods = ("POST",)
body_bytes_max = 64 * 1024

IDS_MAX = 100


class DeleteGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """The body: up to 100 rows of `generations`."""

    ids: Annotated[list[UUID], msgspec.Meta(min_length=1, max_length=IDS_MAX)]


class Deleted(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The answer. What a job has `under_way` stays until it ends."""

    success: bool = True
    deleted: list[UUID]
    under_way: list[UUID]


contract = Contract(
    summary="Remove finished pictures and videos, with everything stored of them.",
    request=DeleteGeneration,
    answers=(Deleted,),
    refusals={
        "user_required": 403,
        "generation_not_found": 404,
        "database_unavailable": 503,
    },
)


async def serve(invocation: Invocation) -> Deleted:
    """Remove the caller's pictures, or anybody's for the service role, objects first, then rows.

    A crash in the middle leaves rows without a picture; asking again removes those. Ids that are
    unknown or another user's are passed over; `NotFound` when there is no other. Credits stay as
    they are: what was made is paid for.
    """
    principal = invocation.principal
    user_id = None if principal.is_service else principal.require_user()
    body = await invocation.json(DeleteGeneration)
    context, known = invocation.context, named_queries("pictures")
    with database_trouble_told():
        found = await context.pool.fetch(known["to_remove"], body.ids, user_id)
        if not found:
            raise NotFound("generation_not_found", "There is no such picture of yours.")
        ended = [row for row in found if not row["is_under_way"]]
        await _remove_objects(context, ended)
        rows = await context.pool.fetch(known["remove"], [row["id"] for row in ended], user_id)
    deleted = {row[0] for row in rows}
    return Deleted(
        deleted=sorted(deleted),
        under_way=[row["id"] for row in found if row["id"] not in deleted],
    )


async def _remove_objects(context: Context, rows: Iterable[Any]) -> None:
    names: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["bucket"] is None:
            continue
        small = row["thumbnail_path"] or _name_in(context, row["bucket"], row["thumbnail_url"])
        # The metadata of a row begins as its owner wrote it: it may name an object of another's.
        own = f"{row['user_id']}/"
        names[row["bucket"]] |= {
            name for name in (row["path"], small) if name and name.startswith(own)
        }
    for bucket, known in names.items():
        await context.storage.remove(bucket, sorted(known))


def _name_in(context: Context, bucket: str, url: str | None) -> str | None:
    """Return the name of the object behind a public URL of the bucket; None for another URL."""
    # The server may have had another address when it wrote the URL.
    start = context.storage.public_url(bucket, "").removeprefix(context.config.public_url)
    _, found, name = (url or "").partition(start)
    return unquote(name) if found else None
