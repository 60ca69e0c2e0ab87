"""What do clients do with objects?"""

from typing import Any
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tintype.errors import Forbidden, InvalidRequest
from tintype.storage import rows, transfers, transforms
from tintype.storage.door.downloads import serve
from tintype.storage.door.requests import (
    Callers,
    json_answer,
    object_of,
    read_body,
    signed_object_of,
    some_names,
    wants_upsert,
)
from tintype.storage.door.uploads import open_upload
from tintype.storage.drafts import Draft, Uploader
from tintype.storage.objects import Storage
from tintype.storage.rows import ObjectRow, StoredObject


class RemoveBody(msgspec.Struct, frozen=True):
    """`DELETE /object/{bucket}`."""

    prefixes: list[str]


class MoveBody(msgspec.Struct, frozen=True, rename="camel"):
    """`POST /object/move` and `/object/copy`."""

    bucket_id: str
    source_key: str
    destination_key: str
    destination_bucket: str | None = None


class SignBody(msgspec.Struct, frozen=True, rename="camel"):
    """`POST /object/sign/…`: seconds, for `paths` when several objects are signed at once."""

    expires_in: int
    paths: list[str] | None = None
    transform: dict[str, Any] | None = None


class ObjectDoor:
    """`/object`: objects up, down and about."""

    def __init__(self, storage: Storage, callers: Callers) -> None:
        self._storage = storage
        self._callers = callers

    async def upload(self, request: Request) -> Response:
        principal = await self._callers.caller(request)
        return await self._store(request, Uploader.of(principal), upsert=wants_upsert(request))

    async def update(self, request: Request) -> Response:
        principal = await self._callers.caller(request)
        return await self._store(request, Uploader.of(principal), upsert=True)

    async def upload_signed(self, request: Request) -> Response:
        token = request.query_params.get("token", "")
        uploader, upsert = self._callers.granted(token, *object_of(request))
        return await self._store(request, uploader, upsert=upsert)

    async def _store(self, request: Request, uploader: Uploader, *, upsert: bool) -> Response:
        upload = await open_upload(request, *object_of(request), upsert=upsert)
        stored = await self._storage.store(
            uploader, upload.draft, upload.chunks, size_min=upload.size_min
        )
        return json_answer({"Id": stored.id, "Key": f"{stored.bucket}/{stored.name}"})

    async def sign_upload(self, request: Request) -> Response:
        principal = await self._callers.caller(request)
        if principal.worker_id is not None:
            # It would outlast the job that the worker may write for.
            raise Forbidden("row_level_security", "A worker's key does not sign uploads.")
        uploader = Uploader.of(principal)
        bucket, name = object_of(request)
        draft = Draft(bucket, name, upsert=wants_upsert(request))
        await self._storage.check(uploader, draft)
        token = self._storage.signer.upload(bucket, name, owner=uploader.owner, upsert=draft.upsert)
        url = f"/object/upload/sign/{quote(bucket)}/{quote(name)}?token={token}"
        return json_answer({"url": url, "token": token})

    async def read(self, request: Request) -> Response:
        bucket, name = object_of(request)
        return await serve(
            request, self._storage, await self._callers.reader(request, bucket, name)
        )

    async def read_public(self, request: Request) -> Response:
        bucket, name = object_of(request)
        await self._callers.require_public(bucket)
        return await serve(request, self._storage, lambda: self._storage.find(bucket, name))

    async def read_signed(self, request: Request) -> Response:
        bucket, name = signed_object_of(request)
        token = request.query_params.get("token", "")
        claims = self._storage.signer.verify(token, "download", bucket, name)
        if claims.get("transformations"):
            raise InvalidRequest("invalid_signature", "The signature was made for something else.")
        return await serve(
            request,
            self._storage,
            lambda: self._storage.find(bucket, name),
            expires_at=int(claims["exp"]),
        )

    async def info(self, request: Request) -> Response:
        bucket, name = object_of(request)
        return _info(await (await self._callers.reader(request, bucket, name))())

    async def info_public(self, request: Request) -> Response:
        bucket, name = object_of(request)
        await self._callers.require_public(bucket)
        return _info(await self._storage.find(bucket, name))

    async def sign(self, request: Request) -> Response:
        principal = await self._callers.caller(request)
        bucket, name = object_of(request)
        body = await read_body(request, SignBody)
        wanted = transforms.parse(body.transform).signed() if body.transform else ""
        url = self._storage.signed_path(bucket, name, body.expires_in, wanted)
        if await self._storage.stat(bucket, name, principal) is None:
            raise rows.object_not_found()
        return json_answer({"signedURL": url})

    async def sign_many(self, request: Request) -> Response:
        principal = await self._callers.caller(request)
        bucket = request.path_params["bucket"]
        body = await read_body(request, SignBody)
        paths = some_names(body.paths or [])
        seen = await self._storage.visible(bucket, paths, principal)
        missing = "Either the object does not exist or you do not have access to it"
        return json_answer(
            [
                {
                    "error": None if path in seen else missing,
                    "path": path,
                    "signedURL": self._storage.signed_path(bucket, path, body.expires_in)
                    if path in seen
                    else None,
                }
                for path in paths
            ]
        )

    async def remove(self, request: Request) -> Response:
        principal = await self._callers.caller(request)
        body = await read_body(request, RemoveBody)
        bucket, names = request.path_params["bucket"], some_names(body.prefixes)
        return json_answer(await self._storage.remove(bucket, names, principal))

    async def remove_one(self, request: Request) -> Response:
        principal = await self._callers.caller(request)
        bucket, name = object_of(request)
        if not await self._storage.remove(bucket, [name], principal):
            raise rows.object_not_found()
        return json_answer({"message": "Successfully deleted"})

    async def move(self, request: Request) -> Response:
        principal = await self._callers.caller(request)
        body = await read_body(request, MoveBody)
        target = body.destination_bucket or body.bucket_id
        await transfers.move(
            self._storage,
            principal,
            (body.bucket_id, body.source_key),
            (target, body.destination_key),
        )
        return json_answer({"message": "Successfully moved"})

    async def copy(self, request: Request) -> Response:
        principal = await self._callers.caller(request)
        body = await read_body(request, MoveBody)
        target = body.destination_bucket or body.bucket_id
        copied = await transfers.copy(
            self._storage,
            principal,
            (body.bucket_id, body.source_key),
            (target, body.destination_key),
            upsert=wants_upsert(request),
        )
        row = msgspec.structs.asdict(copied)
        return json_answer({"Key": f"{copied.bucket_id}/{copied.name}", "Id": copied.id} | row)


def _info(row: ObjectRow | None) -> Response:
    if row is None:
        raise rows.object_not_found()
    stored: StoredObject = row.stored()
    return json_answer(
        {
            "id": row.id,
            "name": row.name,
            "version": row.version,
            "bucket_id": row.bucket_id,
            "size": stored.size,
            "content_type": stored.media_type,
            "cache_control": stored.cache_control,
            "etag": stored.etag,
            "metadata": row.user_metadata or {},
            "last_modified": row.updated_at,
            "created_at": row.created_at,
        }
    )
