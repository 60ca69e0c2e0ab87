"""How do bytes become an object, and how do they come back?"""

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import msgspec

from tintype.auth import Principal
from tintype.config import Config
from tintype.database import Connection, Pool
from tintype.errors import InvalidRequest, RequestError
from tintype.storage import keys, media, rows, streams
from tintype.storage.backends import Backend, open_backend
from tintype.storage.rows import CACHE_CONTROL, Bucket, ListEntry, ObjectRow, StoredObject
from tintype.storage.signatures import Signer

ROUTE_PREFIX = "/storage/v1"
# A reader whose object was replaced between row and bytes looks the row up again, this often.
REPLACED_TRIES_MAX = 5
UNRECORDED_MAX = 1000
LISTED_ROWS_MAX = 1000


def open_storage(config: Config, pool: Pool, secret: bytes) -> "Storage":
    """Return the storage on the backend that the configuration names; `secret` signs its URLs.

    `pool` acts as the kernel. Many processes may open the same backend and database. Raises
    `OperatorError` when the backend's settings do not fit.
    """
    return Storage(config, pool, open_backend(config), Signer(secret))


class Storage:
    """Objects: the rows in `pool` and the bytes in `backend`."""

    def __init__(self, config: Config, pool: Pool, backend: Backend, signer: Signer) -> None:
        self.config = config
        self.pool = pool
        self.backend = backend
        self.signer = signer

    async def put(
        self,
        principal: Principal,
        bucket: str,
        name: str,
        data: bytes | AsyncIterable[bytes],
        *,
        media_type: str,
        cache_control: str = CACHE_CONTROL,
        user_metadata: Mapping[str, Any] | None = None,
        upsert: bool = False,
        size_min: int = 0,
    ) -> StoredObject:
        """Store an object as `principal` and return it, its row committed and its bytes synced.

        A trial insert asks row-level security first: nothing is read from `data` before the caller
        may write. `size_min` is what is known of the size in bytes beforehand. Raises `Forbidden`,
        `Conflict` (`object_exists`, without `upsert`), `NotFound` (no such bucket), `TooLarge`,
        `UnsupportedMedia`, `InvalidRequest`; after any of them neither row nor bytes are left.
        """
        await self.check_put(
            principal,
            bucket,
            name,
            media_type=media_type,
            user_metadata=user_metadata,
            upsert=upsert,
        )
        return await self.put_granted(
            bucket,
            name,
            data,
            owner=principal.claims.get("sub"),
            media_type=media_type,
            cache_control=cache_control,
            user_metadata=user_metadata,
            upsert=upsert,
            size_min=size_min,
        )

    async def check_put(
        self,
        principal: Principal,
        bucket: str,
        name: str,
        *,
        media_type: str = media.UNKNOWN,
        user_metadata: Mapping[str, Any] | None = None,
        upsert: bool,
    ) -> None:
        """Raise what `put` would, as far as it is known without the bytes. Stores nothing."""
        await self.bucket(bucket)
        await rows.try_insert(
            self.pool,
            principal.role,
            principal.claims,
            self._draft(bucket, name, media_type, CACHE_CONTROL),
            user_metadata=user_metadata,
            replace=upsert,
        )

    async def put_granted(
        self,
        bucket: str,
        name: str,
        data: bytes | AsyncIterable[bytes],
        *,
        owner: str | None,
        media_type: str,
        cache_control: str = CACHE_CONTROL,
        user_metadata: Mapping[str, Any] | None = None,
        upsert: bool = False,
        size_min: int = 0,
    ) -> StoredObject:
        """Store for `owner` what row-level security has granted; the bucket's limits still hold."""
        limits = await self.bucket(bucket)
        bytes_max = self.bytes_max(limits)
        if size_min > bytes_max:
            raise streams.too_large(bytes_max)
        media.check_media_type(media_type)
        head, chunks = await streams.peek(streams.chunks_of(data), media.SNIFF_BYTES)
        stored = await self.write(
            bucket,
            name,
            chunks,
            media_type=media.decide(media_type, head, limits.allowed_mime_types),
            cache_control=cache_control,
            bytes_max=bytes_max,
        )
        try:
            async with rows.acting(self.pool, None, None) as connection:
                identity, replaced = await rows.record(
                    connection, stored, owner=owner, user_metadata=user_metadata, replace=upsert
                )
        except RequestError:
            # Refused before the commit. After any other failure the row may be there.
            await self.discard(stored)
            raise
        if replaced is not None:
            await self.backend.delete(object_key(replaced))
        return msgspec.structs.replace(stored, id=identity)

    async def write(
        self,
        bucket: str,
        name: str,
        data: bytes | AsyncIterable[bytes],
        *,
        media_type: str,
        cache_control: str = CACHE_CONTROL,
        bytes_max: int | None = None,
        version: str | None = None,
    ) -> StoredObject:
        """Store bytes under a new version, without a row, and return what to `record`.

        On return they are synced to the disk and in place whole: neither `kill -9` nor a power cut
        takes them back. Raises `TooLarge` at the byte that passes `bytes_max` and `InvalidRequest`
        for a bad name; then, and when `data` raises, nothing is left. `version` is a UUID that no
        other bytes of the name have.
        """
        draft = self._draft(bucket, name, media_type, cache_control, version)
        meter = streams.Meter(bytes_max)
        await self.backend.put(object_key(draft), meter.through(streams.chunks_of(data)))
        return msgspec.structs.replace(draft, size=meter.size, etag=meter.etag())

    async def record(
        self, connection: Connection, stored: StoredObject, *, owner: UUID | None
    ) -> StoredObject | None:
        """Make `stored` the object of its name, inside the caller's transaction.

        Locks the row. Returns what it replaced, whose bytes the caller may `discard` after the
        commit. Raises asyncpg's `ForeignKeyViolationError` when there is no such bucket.
        """
        owner_id = str(owner) if owner is not None else None
        _, replaced = await rows.record(connection, stored, owner=owner_id)
        return replaced

    async def read(self, bucket: str, name: str, *, bytes_max: int | None = None) -> bytes:
        """Return all bytes, as the kernel. Raises `NotFound`, or `TooLarge` before reading.

        `bytes_max` is `object_bytes_max` of the configuration when it is not given.
        """
        if bytes_max is None:
            bytes_max = self.config.storage.object_bytes_max
        for _ in range(REPLACED_TRIES_MAX):
            stored = await self.stat(bucket, name)
            if stored is None:
                raise rows.object_not_found()
            if stored.size > bytes_max:
                raise streams.too_large(bytes_max)
            try:
                return b"".join([chunk async for chunk in await self.open(stored)])
            except FileNotFoundError:
                continue
        raise rows.object_not_found()

    async def open(
        self, stored: StoredObject, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Return the chunks of bytes `start` to `end` (exclusive).

        Raises `FileNotFoundError` when the object was replaced or removed since `stored` was read;
        once returned, the chunks come whole in any case.
        """
        end = stored.size if end is None else end
        if end <= start:
            return streams.nothing()
        return await self.backend.get(object_key(stored), start, end)

    async def stat(
        self,
        bucket: str,
        name: str,
        *,
        role: str | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> StoredObject | None:
        """Return the object, or None; with `role`, None too when that caller may not see it."""
        row = await self.find(bucket, name, role=role, claims=claims)
        return row.stored() if row is not None else None

    async def find(
        self,
        bucket: str,
        name: str,
        *,
        role: str | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> ObjectRow | None:
        """Return the whole row where `stat` returns the object."""
        if not (keys.is_bucket(bucket) and keys.is_name(name)):
            return None
        if role is None:
            row = await self.pool.fetchrow(rows.sql("object"), bucket, name)
        else:
            async with rows.acting(self.pool, role, claims) as connection:
                row = await connection.fetchrow(rows.sql("object"), bucket, name)
        return rows.object_row(row) if row is not None else None

    async def visible(
        self,
        bucket: str,
        names: Sequence[str],
        *,
        role: str | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> set[str]:
        """Return those of `names` that are objects which the caller may see."""
        possible = [name for name in names if keys.is_name(name)]
        if not keys.is_bucket(bucket):
            return set()
        async with rows.acting(self.pool, role, claims) as connection:
            found = await connection.fetch(rows.sql("existing"), bucket, possible)
        return {row["name"] for row in found}

    async def unrecorded(self, bucket: str, prefix: str) -> list[StoredObject]:
        """Return the whole bytes below the folder `prefix` to whose name no row belongs.

        At most `UNRECORDED_MAX`, by name. A worker that was killed between `write` and `record`
        finds its work again: it records one version of a name and discards the others. Bytes that
        another task is about to record look the same, so the caller must be the only one at work
        below `prefix`. Type and etag are taken from the bytes, cache control is the default.
        """
        found: list[tuple[str, str, int]] = []
        batch: dict[tuple[str, str], int] = {}
        async for stat in self.backend.list(f"{bucket}/{prefix.strip('/')}".rstrip("/")):
            parsed = keys.parse_key(stat.key)
            if parsed is not None:
                batch[parsed[1:]] = stat.size
            if len(batch) >= LISTED_ROWS_MAX:
                found += await self._without_row(bucket, batch)
                batch = {}
            if len(found) >= UNRECORDED_MAX:
                break
        found += await self._without_row(bucket, batch)
        return [await self._from_bytes(bucket, *one) for one in sorted(found)[:UNRECORDED_MAX]]

    async def discard(self, stored: StoredObject) -> None:
        """Remove the bytes of this version unless a row points at them. Safe to repeat."""
        row = await self.find(stored.bucket, stored.name)
        if row is None or row.version != stored.version:
            await self.backend.delete(object_key(stored))

    async def sweep(self, bucket: str, prefix: str) -> int:
        """Remove all bytes below the folder `prefix` that no row points at; return how many.

        Nobody may be at work below `prefix`: bytes about to be recorded look the same. Bytes that
        were replaced go too. Safe to repeat.
        """
        found: list[tuple[str, str]] = []
        async for stat in self.backend.list(f"{bucket}/{prefix.strip('/')}"):
            parsed = keys.parse_key(stat.key)
            if parsed is not None:
                found.append(parsed[1:])
        names = sorted({name for name, _ in found})
        versions = await self.pool.fetch(rows.sql("versions"), bucket, names)
        kept = {(row["name"], row["version"]) for row in versions}
        garbage = [one for one in found if one not in kept]
        for name, version in garbage:
            await self.backend.delete(keys.key(bucket, name, version))
        return len(garbage)

    async def remove(
        self,
        bucket: str,
        names: Sequence[str],
        *,
        role: str | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> list[ObjectRow]:
        """Remove objects and return the rows really removed: those that exist for this caller.

        The rows go in one transaction, then the bytes; a crash between leaves bytes without a row.
        """
        possible = [name for name in names if keys.is_name(name)]
        if not possible or not keys.is_bucket(bucket):
            return []
        async with rows.acting(self.pool, role, claims) as connection:
            removed = await rows.delete(connection, bucket, possible)
        for row in removed:
            await self.backend.delete(object_key(row.stored()))
        return removed

    async def list(
        self,
        bucket: str,
        prefix: str,
        *,
        role: str | None = None,
        claims: Mapping[str, Any] | None = None,
        search: str = "",
        limit: int = 100,
        offset: int = 0,
        column: str = "name",
        descending: bool = False,
    ) -> list[ListEntry]:
        """Return the folders, then the files, directly below the folder `prefix` ("" is the root).

        `search` is the beginning of their names, in any case; `column` is `name`, `created_at`,
        `updated_at` or `last_accessed_at`.
        """
        folder = prefix.strip("/")
        if not keys.is_bucket(bucket) or any(
            text and not keys.is_name(text.rstrip("/")) for text in (folder, search)
        ):
            return []
        # "0" is the character after "/": the folder is one range of the index.
        start, end = (f"{folder}/", f"{folder}0") if folder else ("", "")
        async with rows.acting(self.pool, role, claims) as connection:
            found = await connection.fetch(
                rows.sql("list"), bucket, start, end, search, column, descending, limit, offset
            )
        return [ListEntry(**dict(row)) for row in found]

    async def bucket(self, bucket: str) -> Bucket:
        """Return a bucket, as the kernel sees it. Raises `NotFound` (`bucket_not_found`)."""
        if not keys.is_bucket(bucket):
            raise rows.bucket_not_found()
        row = await self.pool.fetchrow(rows.sql("bucket"), bucket)
        if row is None:
            raise rows.bucket_not_found()
        return Bucket(**dict(row))

    def bytes_max(self, bucket: Bucket) -> int:
        """Return the largest object that the bucket takes: its own limit or the server's."""
        server = self.config.storage.object_bytes_max
        return min(server, bucket.file_size_limit or server)

    def public_url(self, bucket: str, name: str) -> str:
        """Return the absolute URL at which an object of a public bucket is read."""
        return f"{self._base}/object/public/{quote(bucket)}/{quote(name)}"

    def sign(self, bucket: str, name: str, seconds: int) -> str:
        """Return an absolute URL that reads the object, without a token, for `seconds`."""
        return f"{self._base}{self.signed_path(bucket, name, seconds)}"

    def signed_path(self, bucket: str, name: str, seconds: int, transformations: str = "") -> str:
        """Return what `sign` does, relative to `/storage/v1`, as clients expect it on the wire.

        With `transformations` the URL opens the picture so rendered, and not the object itself.
        Raises `InvalidRequest` for a time below one second or over `signed_url_seconds_max`.
        """
        seconds_max = self.config.storage.signed_url_seconds_max
        if not 1 <= seconds <= seconds_max:
            raise InvalidRequest(
                "expiry_out_of_range",
                f"A signed URL lasts 1 to {seconds_max} seconds.",
                hint="The operator sets `signed_url_seconds_max` in `[tintype.storage]`.",
            )
        token = self.signer.download(bucket, name, seconds, transformations)
        route = "/render/image/sign" if transformations else "/object/sign"
        return f"{route}/{quote(bucket)}/{quote(name)}?token={token}"

    @property
    def _base(self) -> str:
        return f"{self.config.public_url}{ROUTE_PREFIX}"

    def _draft(
        self,
        bucket: str,
        name: str,
        media_type: str,
        cache_control: str,
        version: str | None = None,
    ) -> StoredObject:
        draft = StoredObject(
            bucket=bucket,
            name=name,
            version=version or str(uuid4()),
            size=0,
            etag="",
            media_type=media.check_media_type(media_type),
            cache_control=cache_control,
        )
        object_key(draft)
        media.check_cache_control(cache_control)
        return draft

    async def _without_row(
        self, bucket: str, batch: Mapping[tuple[str, str], int]
    ) -> Sequence[tuple[str, str, int]]:
        names = sorted({name for name, _ in batch})
        rows_found = await self.pool.fetch(rows.sql("existing"), bucket, names)
        recorded = {row["name"] for row in rows_found}
        return [(*found, size) for found, size in batch.items() if found[0] not in recorded]

    async def _from_bytes(self, bucket: str, name: str, version: str, size: int) -> StoredObject:
        draft = StoredObject(bucket, name, version, size, "", media.UNKNOWN, CACHE_CONTROL)
        meter = streams.Meter(None)
        head, chunks = await streams.peek(await self.open(draft), media.SNIFF_BYTES)
        async for _ in meter.through(chunks):
            pass
        return msgspec.structs.replace(draft, etag=meter.etag(), media_type=media.guess(head, name))


def object_key(stored: StoredObject) -> str:
    """Return where the bytes lie on the backend. Raises `InvalidRequest` (`invalid_key`)."""
    return keys.key(stored.bucket, stored.name, stored.version)
