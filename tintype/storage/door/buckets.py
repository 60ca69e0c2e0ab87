"""What do clients say to buckets?"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tintype.storage import buckets
from tintype.storage.buckets import BucketSettings
from tintype.storage.door.requests import (
    LIST_ENTRIES_MAX,
    Callers,
    SortColumn,
    SortOrder,
    json_answer,
    offset_of,
    query_text,
    query_value,
    read_body,
)
from tintype.storage.objects import Storage


class BucketDoor:
    """`/bucket`: buckets, under row-level security."""

    def __init__(self, storage: Storage, callers: Callers) -> None:
        self._storage = storage
        self._callers = callers

    async def list_buckets(self, request: Request) -> Response:
        principal = await self._callers.caller(request)
        query = request.query_params
        found = await buckets.find(
            self._storage,
            principal,
            search=query_text(query.get("search")),
            column=query_value(query.get("sortColumn") or "name", SortColumn),
            descending=query_value(query.get("sortOrder") or "asc", SortOrder) == "desc",
            limit=max(0, min(query_value(query.get("limit") or "100", int), LIST_ENTRIES_MAX)),
            offset=offset_of(query_value(query.get("offset") or "0", int)),
        )
        return json_answer(
            [msgspec.structs.asdict(bucket) | {"type": "STANDARD"} for bucket in found]
        )

    async def get_bucket(self, request: Request) -> Response:
        principal = await self._callers.caller(request)
        return json_answer(await self._storage.bucket(request.path_params["bucket"], principal))

    async def create_bucket(self, request: Request) -> Response:
        principal = await self._callers.caller(request)
        settings = await read_body(request, BucketSettings)
        return json_answer({"name": await buckets.create(self._storage, principal, settings)})

    async def update_bucket(self, request: Request) -> Response:
        principal = await self._callers.caller(request)
        settings = await read_body(request, BucketSettings)
        await buckets.update(self._storage, principal, request.path_params["bucket"], settings)
        return json_answer({"message": "Successfully updated"})

    async def delete_bucket(self, request: Request) -> Response:
        principal = await self._callers.caller(request)
        await buckets.delete(self._storage, principal, request.path_params["bucket"])
        return json_answer({"message": "Successfully deleted"})

    async def empty_bucket(self, request: Request) -> Response:
        principal = await self._callers.caller(request)
        await buckets.empty(self._storage, principal, request.path_params["bucket"])
        message = "Empty bucket has been queued. Completion may take up to an hour."
        return json_answer({"message": message})
