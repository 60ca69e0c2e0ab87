"""How does an upload begin, go on, become an object, or end?"""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import msgspec

from tintype.database import Connection
from tintype.errors import RequestError, TooManyRequests
from tintype.storage import media, rows, streams
from tintype.storage.drafts import Draft, Uploader
from tintype.storage.objects import Storage
from tintype.storage.rows import StoredObject
from tintype.storage.uploads import upload as uploads
from tintype.storage.uploads.locks import UploadLocks
from tintype.storage.uploads.parts import Body
from tintype.storage.uploads.upload import PART_BYTES, UPLOAD_SECONDS, Upload, upload_from

# Beside the buckets on the backend: no bucket's name begins with a dot.
FOLDER = ".uploads"
SWEEP_UPLOADS_MAX = 100
BUSY_RETRY_SECONDS = 60


class Resumable:
    """The uploads of a storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._locks = UploadLocks(storage.pool)

    async def begin(
        self, uploader: Uploader, draft: Draft, length: int | None, header: str
    ) -> Upload:
        """Begin an upload; what is said to be empty becomes an object at once.

        `length` is in bytes, None while it is not known; `header` describes the upload to the
        client again. Raises what `Storage.store` would, as far as it is known without the bytes,
        and `TooManyRequests` (`uploads_open_exceeded`).
        """
        limits = await self._storage.bucket(draft.bucket)
        if length is not None and length > self._storage.bytes_max(limits):
            raise uploads.size_exceeded()
        media.check_declared(draft.media_type, limits.allowed_mime_types)
        await self._storage.check(uploader, draft)
        identity = uuid4()
        expires_at = await self._storage.pool.fetchval(
            "select tintype.begin_upload($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            identity,
            draft.bucket,
            draft.name,
            uploader.role,
            uploader.owner,
            draft.upsert,
            length,
            draft.media_type,
            draft.cache_control,
            draft.user_metadata,
            header,
            UPLOAD_SECONDS,
            uploads.UPLOADS_OPEN_MAX,
        )
        if expires_at is None:
            raise TooManyRequests(
                "uploads_open_exceeded",
                f"At most {uploads.UPLOADS_OPEN_MAX} uploads are open at once.",
                retry_after_seconds=BUSY_RETRY_SECONDS,
            )
        if length == 0:
            async with self._locks.hold(identity):
                await self._complete(uploader, await self._get(identity), [])
        return await self._get(identity)

    async def find(self, uploader: Uploader, identity: UUID) -> Upload:
        """Return the upload. Raises `NotFound` (`upload_not_found`) unless `uploader` began it."""
        upload = await self._get(identity)
        if (upload.role, upload.owner) != (uploader.role, uploader.owner):
            raise uploads.upload_not_found()
        return upload

    async def append(
        self,
        uploader: Uploader,
        identity: UUID,
        offset: int,
        chunks: AsyncIterator[bytes],
        *,
        size_min: int = 0,
        length: int | None = None,
    ) -> Upload:
        """Add bytes from `offset` on and return the upload, complete when its last byte came.

        What arrived before `chunks` breaks off is kept, a part at a time. `size_min` is what is
        known of their size, `length` that of an upload begun without one. Raises `NotFound`,
        `Unavailable` (`upload_busy`), `Conflict` (`upload_offset_conflict`), `TooLarge`,
        `InvalidRequest`, and at the end what `Storage.put` raises; the last part may then be sent
        again.
        """
        await self.find(uploader, identity)
        async with self._locks.hold(identity):
            upload = await self.find(uploader, identity)
            if offset != upload.offset or (upload.is_complete and size_min):
                raise uploads.offset_conflict()
            if upload.is_complete:
                return upload
            size_max = self._storage.bytes_max(await self._storage.bucket(upload.draft.bucket))
            if length is not None:
                upload = await self._set_length(upload, length, size_max)
            size_max = upload.length if upload.length is not None else size_max
            if offset + size_min > size_max:
                raise uploads.size_exceeded()
            await self._extend(uploader, upload, Body(chunks), size_max)
            return await self._get(identity)

    async def end(self, uploader: Uploader, identity: UUID) -> None:
        """End an unfinished upload and remove its bytes.

        Raises `NotFound`, `Unavailable` (`upload_busy`). A crash leaves the rest to `sweep`.
        """
        async with self._locks.hold(identity):
            upload = await self.find(uploader, identity)
            if upload.is_complete:
                raise uploads.upload_not_found()
            await self._drop(identity, upload.draft.bucket, upload.draft.name)

    async def drop(self, identity: UUID, bucket: str, name: str) -> None:
        """End anybody's unfinished upload of `name`, as `end` does. Raises `Unavailable`."""
        async with self._locks.hold(identity):
            await self._drop(identity, bucket, name)

    async def sweep(self) -> int:
        """Remove what has ended, at most `SWEEP_UPLOADS_MAX`; return how many. Safe to repeat."""
        swept = 0
        for row in await self._storage.pool.fetch(rows.sql("expired_uploads"), SWEEP_UPLOADS_MAX):
            try:
                async with self._locks.hold(row["id"]):
                    await self._forget(
                        row["id"], row["bucket_id"], row["name"], is_complete=row["is_complete"]
                    )
            except RequestError:
                continue
            swept += 1
        return swept

    async def _extend(self, uploader: Uploader, upload: Upload, body: Body, size_max: int) -> None:
        offset, parts = upload.offset, upload.parts
        while await body.has_more():
            if parts >= uploads.PARTS_MAX:
                raise uploads.too_many_parts()
            key = f"{FOLDER}/{upload.id}/{offset:020d}-{uuid4().hex}"
            size = await self._put(key, body, min(PART_BYTES, size_max - offset))
            if offset + size == size_max and await body.has_more():
                await self._storage.backend.delete(key)
                raise uploads.size_exceeded()
            if offset + size == upload.length:
                try:
                    await self._complete(uploader, upload, [(key, size)])
                except RequestError:
                    await self._storage.backend.delete(key)
                    raise
                return
            added = await self._storage.pool.fetchval(
                "select tintype.extend_upload($1, $2, $3, $4, $5)",
                upload.id,
                offset,
                size,
                key,
                UPLOAD_SECONDS,
            )
            if added is None:
                await self._storage.backend.delete(key)
                raise uploads.offset_conflict()
            offset, parts = offset + size, parts + 1
        if offset == upload.length:
            await self._complete(uploader, upload, [])

    async def _put(self, key: str, body: Body, size_max: int) -> int:
        meter = streams.Meter(None)
        await self._storage.backend.put(key, meter.through(body.take(size_max)))
        return meter.size

    async def _complete(
        self, uploader: Uploader, upload: Upload, last: list[tuple[str, int]]
    ) -> None:
        """Make the recorded parts and `last` the object, under the upload's id as its version."""
        found = await self._storage.pool.fetch(rows.sql("upload_parts"), upload.id)
        parts = [(row["key"], row["size_bytes"]) for row in found] + last

        async def complete(connection: Connection) -> None:
            if not await connection.fetchval(
                "select tintype.complete_upload($1, $2)", upload.id, UPLOAD_SECONDS
            ):
                raise uploads.upload_not_found()

        await self._storage.store(
            uploader, upload.draft, self._read(parts), version=str(upload.id), along=complete
        )
        await self._remove_parts(upload.id)

    async def _read(self, parts: list[tuple[str, int]]) -> AsyncIterator[bytes]:
        for key, size in parts:
            async for chunk in await self._storage.backend.get(key, 0, size):
                yield chunk

    async def _set_length(self, upload: Upload, length: int, size_max: int) -> Upload:
        if length > size_max:
            raise uploads.size_exceeded()
        if not await self._storage.pool.fetchval(
            "select tintype.set_upload_length($1, $2)", upload.id, length
        ):
            raise uploads.length_changed()
        return msgspec.structs.replace(upload, length=length)

    async def _get(self, identity: UUID) -> Upload:
        row = await self._storage.pool.fetchrow(rows.sql("upload"), identity)
        if row is None:
            raise uploads.upload_not_found()
        return upload_from(row)

    async def _drop(self, identity: UUID, bucket: str, name: str) -> None:
        await self._storage.pool.execute("select tintype.end_upload($1)", identity)
        await self._forget(identity, bucket, name, is_complete=False)

    async def _forget(self, identity: UUID, bucket: str, name: str, *, is_complete: bool) -> None:
        # The row goes last: while it is there, a sweep finds what is left.
        await self._remove_parts(identity)
        if not is_complete:
            left = StoredObject(bucket, name, str(identity), 0, "", media.UNKNOWN, "")
            await self._storage.discard(left)
        await self._storage.pool.execute("select tintype.forget_upload($1)", identity)

    async def _remove_parts(self, identity: UUID) -> None:
        async for stat in self._storage.backend.list(f"{FOLDER}/{identity}"):
            await self._storage.backend.delete(stat.key)


async def sweep_uploads(storage: Storage) -> int:
    """Remove uploads that have ended, at most `SWEEP_UPLOADS_MAX`; return how many.

    Any process may, at any time: what another is at work on is left alone. The routes do it too,
    now and then, while uploads begin.
    """
    return await Resumable(storage).sweep()
