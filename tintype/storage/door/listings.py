"""What do clients ask of listings?"""

from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tintype.storage import listings
from tintype.storage.door.requests import (
    LIST_ENTRIES_MAX,
    Callers,
    SortColumn,
    SortOrder,
    json_answer,
    offset_of,
    read_body,
)
from tintype.storage.listings import Column
from tintype.storage.objects import Storage
from tintype.storage.rows import ListEntry


class SortBy(msgspec.Struct, frozen=True):
    """How to sort a listing."""

    column: SortColumn | Literal[""] | None = "name"
    order: SortOrder | Literal[""] | None = "asc"


class ListBody(msgspec.Struct, frozen=True, rename="camel"):
    """`POST /object/list/{bucket}`."""

    prefix: str = ""
    limit: int = 100
    offset: int = 0
    sort_by: SortBy = SortBy()
    search: str | None = None


class SortPage(msgspec.Struct, frozen=True):
    """How to sort the pages of a listing."""

    column: Column | Literal[""] | None = "name"
    order: SortOrder | Literal[""] | None = "asc"


class PageBody(msgspec.Struct, frozen=True):
    """`POST /object/list-v2/{bucket}`."""

    prefix: str | None = None
    limit: int | None = None
    cursor: str | None = None
    with_delimiter: bool | None = None
    sort_by: SortPage | None = msgspec.field(name="sortBy", default=None)


class ListingDoor:
    """`/object/list` and `/object/list-v2`: what the caller may see of a bucket."""

    def __init__(self, storage: Storage, callers: Callers) -> None:
        self._storage = storage
        self._callers = callers

    async def list_objects(self, request: Request) -> Response:
        principal = await self._callers.caller(request)
        bucket = request.path_params["bucket"]
        body = await read_body(request, ListBody)
        await self._storage.bucket(bucket)
        entries = await self._storage.list(
            bucket,
            body.prefix,
            principal,
            search=body.search or "",
            limit=max(0, min(body.limit, LIST_ENTRIES_MAX)),
            offset=offset_of(body.offset),
            column=body.sort_by.column or "name",
            descending=body.sort_by.order == "desc",
        )
        return json_answer(entries)

    async def list_pages(self, request: Request) -> Response:
        principal = await self._callers.caller(request)
        bucket = request.path_params["bucket"]
        body = await read_body(request, PageBody)
        sort = body.sort_by or SortPage()
        await self._storage.bucket(bucket)
        limit = body.limit if body.limit is not None else LIST_ENTRIES_MAX
        page = await listings.page(
            self._storage,
            bucket,
            body.prefix or "",
            principal,
            with_delimiter=bool(body.with_delimiter),
            column=sort.column or "name",
            descending=sort.order == "desc",
            limit=max(1, min(limit, LIST_ENTRIES_MAX)),
            cursor=body.cursor,
        )
        folders = [entry for entry in page.entries if entry.id is None]
        objects = [entry for entry in page.entries if entry.id is not None]
        answer = {
            "hasNext": page.cursor is not None,
            "folders": [{"name": one.name, "key": _key(one, body)} for one in folders],
            "objects": [msgspec.structs.asdict(one) | {"key": _key(one, body)} for one in objects],
        }
        if page.cursor is not None:
            answer["nextCursor"] = page.cursor
        return json_answer(answer)


def _key(entry: ListEntry, body: PageBody) -> str:
    # As storage-api: with a delimiter the last part of the name, without one all of it.
    return entry.name.rstrip("/").rpartition("/")[2] if body.with_delimiter else entry.name
