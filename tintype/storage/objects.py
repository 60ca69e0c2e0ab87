"""How do bytes become an object, and how do they come back?"""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from urllib.parse import quote
from uuid import UUID

import msgspec

from tintype import spans
from tintype.auth import Principal
from tintype.config import Config
from tintype.database import Connection, Pool
from tintype.errors import InvalidRequest, RequestError
from tintype.storage import keys, media, rows, streams
from tintype.storage.backends import Backend, open_backend
from tintype.storage.drafts import Draft, Uploader
from tintype.storage.rows import CACHE_CONTROL, Bucket, ListEntry, ObjectRow, StoredObject
from tintype.storage.signatures import Signer

ROUTE_PREFIX = "/storage/v1"
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
        upsert: bool = False,
    ) -> StoredObject:
        """Store an object as `principal` and return it; as `store` does, raising what it raises."""
        draft = Draft(bucket, name, media_type, upsert=upsert)
        return await self.store(Uploader.of(principal), draft, data)

    async def store(
        self,
        uploader: Uploader,
        draft: Draft,
        data: bytes | AsyncIterable[bytes],
        *,
        size_min: int = 0,
        version: str | None = None,
        along: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> StoredObject:
        """Make `data` the object of the draft and return it, its row committed and bytes synced.

        Nothing is read from `data` before the uploader may write. `size_min` is what is known of
        the size in bytes beforehand. `along` runs in the transaction that makes the row, which is
        undone by what it raises. Raises what `check` does, `TooLarge`, `UnsupportedMedia`,
        `InvalidRequest`; after any of them neither row nor bytes are left.
        """
        limits = await self.check(uploader, draft)
        bytes_max = self.bytes_max(limits, uploader.bytes_max)
        if size_min > bytes_max:
            raise streams.too_large(bytes_max)
        head, chunks = await streams.peek(streams.chunks_of(data), media.SNIFF_BYTES)
        stored = await self.write(
            draft.bucket,
            draft.name,
            chunks,
            media_type=media.decide(draft.media_type, head, limits.allowed_mime_types),
            cache_control=draft.cache_control,
            bytes_max=bytes_max,
            version=version,
        )
        try:
            async with rows.acting(self.pool) as connection:
                await rows.confirm(
                    connection, uploader.principal, uploader.owner, draft.bucket, draft.name
                )
                identity, replaced = await rows.record(
                    connection,
                    stored,
                    owner=uploader.owner,
                    user_metadata=draft.user_metadata,
                    replace=draft.upsert,
                )
                if along is not None:
                    await along(connection)
        except RequestError:
            # Refused before the commit. After any other failure the row may be there.
            await self.discard(stored)
            raise
        if replaced is not None:
            await self.backend.delete(replaced.key())
        return msgspec.structs.replace(stored, id=identity)

    async def check(self, uploader: Uploader, draft: Draft) -> Bucket:
        """Raise what `store` would, as far as it is known without the bytes; store nothing.

        A trial insert asks row-level security as the caller; a signed URL was granted when it was
        made. Returns the bucket. Raises `NotFound` (no such bucket), `Forbidden`, `Conflict`
        (`object_exists`, without `upsert`), `InvalidRequest`.
        """
        limits = await self.bucket(draft.bucket)
        stored = draft.stored()
        if uploader.principal is not None:
            await rows.try_insert(
                self.pool,
                uploader.principal,
                stored,
                user_metadata=draft.user_metadata,
                replace=draft.upsert,
            )
        elif not draft.upsert and await self.stat(draft.bucket, draft.name):
            raise rows.object_exists()
        return limits

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
        stored = Draft(bucket, name, media_type, cache_control).stored(version)
        meter = streams.Meter(bytes_max)
        with spans.span("storage write", bucket=bucket) as span:
            await self.backend.put(stored.key(), meter.through(streams.chunks_of(data)))
            span.note(bytes=meter.size)
        return msgspec.structs.replace(stored, size=meter.size, etag=meter.etag())

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

    async def hand_over(self, connection: Connection, stored: StoredObject, *, owner: UUID) -> bool:
        """Make an object that a worker wrote `owner`'s, inside the caller's transaction.

        False, and nothing changed, when it has other bytes by now, or is a user's. Locks its row.
        """
        return await rows.hand_over(connection, stored, owner)

    async def read(self, bucket: str, name: str, *, bytes_max: int | None = None) -> bytes:
        """Return all bytes, as the kernel. Raises `NotFound`, or `TooLarge` before reading.

        `bytes_max` is `object_bytes_max` of the configuration when it is not given.
        """
        limit = self.config.storage.object_bytes_max if bytes_max is None else bytes_max

        async def whole(row: ObjectRow) -> bytes:
            stored = row.stored()
            if stored.size > limit:
                raise streams.too_large(limit)
            return b"".join([chunk async for chunk in await self.open(stored)])

        return await rows.as_it_is(lambda: self.find(bucket, name), whole)

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
        return await self.backend.get(stored.key(), start, end)

    async def stat(
        self, bucket: str, name: str, principal: Principal | None = None
    ) -> StoredObject | None:
        """Return the object, or None; as a caller, None too when it may not see it."""
        row = await self.find(bucket, name, principal)
        return row.stored() if row is not None else None

    async def find(
        self, bucket: str, name: str, principal: Principal | None = None
    ) -> ObjectRow | None:
        """Return the whole row where `stat` returns the object."""
        if not (keys.is_bucket(bucket) and keys.is_name(name)):
            return None
        found = await rows.read(self.pool, principal, "object", bucket, name)
        return rows.object_row(found[0]) if found else None

    async def visible(
        self, bucket: str, names: Sequence[str], principal: Principal | None = None
    ) -> set[str]:
        """Return those of `names` that are objects which the caller may see."""
        possible = [name for name in names if keys.is_name(name)]
        if not keys.is_bucket(bucket):
            return set()
        found = await rows.read(self.pool, principal, "existing", bucket, possible)
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
        async for name, version, size in self._below(bucket, prefix):
            batch[name, version] = size
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
            await self.backend.delete(stored.key())

    async def sweep(self, bucket: str, prefix: str) -> int:
        """Remove all bytes below the folder `prefix` that no row points at; return how many.

        Nobody may be at work below `prefix`: bytes about to be recorded look the same. Bytes that
        were replaced go too. Safe to repeat.
        """
        found = [(name, version) async for name, version, _ in self._below(bucket, prefix)]
        names = sorted({name for name, _ in found})
        versions = await self.pool.fetch(rows.sql("versions"), bucket, names)
        kept = {(row["name"], row["version"]) for row in versions}
        garbage = [one for one in found if one not in kept]
        for name, version in garbage:
            await self.backend.delete(keys.key(bucket, name, version))
        return len(garbage)

    async def remove(
        self, bucket: str, names: Sequence[str], principal: Principal | None = None
    ) -> list[ObjectRow]:
        """Remove objects and return the rows really removed: those that exist for this caller.

        The rows go in one transaction, then the bytes; a crash between leaves bytes without a row.
        """
        possible = [name for name in names if keys.is_name(name)]
        if not possible or not keys.is_bucket(bucket):
            return []
        async with rows.acting(self.pool, principal) as connection:
            removed = await rows.delete(connection, bucket, possible)
        for row in removed:
            await self.backend.delete(row.stored().key())
        return removed

    async def list(
        self,
        bucket: str,
        prefix: str,
        principal: Principal | None = None,
        *,
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
        arguments = (bucket, start, end, search, column, descending, limit, offset)
        found = await rows.read(self.pool, principal, "list", *arguments)
        return [ListEntry(**dict(row)) for row in found]

    async def bucket(self, bucket: str, principal: Principal | None = None) -> Bucket:
        """Return a bucket as the caller sees it. Raises `NotFound` (`bucket_not_found`)."""
        found = keys.is_bucket(bucket) and await rows.read(self.pool, principal, "bucket", bucket)
        if not found:
            raise rows.bucket_not_found()
        return Bucket(**dict(found[0]))

    def bytes_max(self, bucket: Bucket, granted: int | None = None) -> int:
        """Return the largest object that the bucket takes: its own limit or the server's.

        What a signed URL has `granted` takes the place of the server's.
        """
        server = granted or self.config.storage.object_bytes_max
        return min(server, bucket.file_size_limit or server)

    def public_url(self, bucket: str, name: str) -> str:
        """Return the absolute URL at which an object of a public bucket is read."""
        return f"{self._base}/object/public/{quote(bucket)}/{quote(name)}"

    def object_url(self, bucket: str, name: str) -> str:
        """Return the absolute URL at which an object is read with its owner's token."""
        return f"{self._base}/object/authenticated/{quote(bucket)}/{quote(name)}"

    def sign(self, bucket: str, name: str, seconds: int) -> str:
        """Return an absolute URL that reads the object, without a token, for `seconds`."""
        path, _, query = self.signed_path(bucket, name, seconds).rpartition("?")
        return f"{self._base}{quote(path, safe='/%')}?{query}"

    def signed_path(self, bucket: str, name: str, seconds: int, transformations: str = "") -> str:
        """Return what `sign` does, relative to `/storage/v1`, as clients expect it on the wire.

        That is unquoted, save for a `?`: supabase-js quotes it. With `transformations` the URL
        opens the picture so rendered, and not the object itself. Raises `InvalidRequest` for a
        time below one second or over `signed_url_seconds_max`.
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
        return f"{route}/{bucket}/{name}".replace("?", "%3F") + f"?token={token}"

    @property
    def _base(self) -> str:
        return f"{self.config.public_url}{ROUTE_PREFIX}"

    async def _below(self, bucket: str, prefix: str) -> AsyncIterator[tuple[str, str, int]]:
        """Yield name, version and size of all whole bytes below a folder."""
        async for stat in self.backend.list(f"{bucket}/{prefix.strip('/')}".rstrip("/")):
            parsed = keys.parse_key(stat.key)
            if parsed is not None:
                yield *parsed[1:], stat.size

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
