"""Which buckets are there, what do they take, and who may change them?

Under row-level security like everything else: by default the service role alone.
"""

import re
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec

from tintype.auth import Principal
from tintype.database import transaction
from tintype.errors import Conflict, Forbidden, InvalidRequest
from tintype.storage import keys, rows
from tintype.storage.objects import Storage
from tintype.storage.rows import Bucket

EMPTY_BATCH_OBJECTS = 1000
MIME_TYPES_MAX = 100

_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*(b|kb|mb|gb|tb)?", re.IGNORECASE | re.ASCII)
# As storage-api counts them.
_UNITS = {"b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4}
_BYTES_MAX = 2**62


class BucketSettings(msgspec.Struct, frozen=True):
    """What a client sends to create or update a bucket. UNSET leaves a setting as it is."""

    id: str | None = None
    name: str | None = None
    public: bool | None = None
    file_size_limit: int | float | str | msgspec.UnsetType | None = msgspec.UNSET
    allowed_mime_types: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    type: str | None = None

    def bytes_max(self) -> int | None:
        """Return `file_size_limit` in bytes: a number, or text such as `20MB`."""
        limit = self.file_size_limit
        if limit is None or isinstance(limit, msgspec.UnsetType):
            return None
        match = _SIZE.fullmatch(f"{limit:.0f}" if isinstance(limit, float) else str(limit))
        size = int(Decimal(match[1]) * _UNITS[(match[2] or "b").lower()]) if match else -1
        if not 0 <= size <= _BYTES_MAX:
            raise InvalidRequest("file_size_limit_malformed", "`file_size_limit` is not a size.")
        return size or None

    def media_types(self) -> list[str] | None:
        """Return `allowed_mime_types`; None takes every type."""
        types = self.allowed_mime_types
        if not types or isinstance(types, msgspec.UnsetType):
            return None
        for kind in types:
            if not re.fullmatch(r"[\w.+-]+/([\w.+-]+|\*)|\*/\*", kind, re.ASCII):
                raise InvalidRequest("invalid_mime_type", f"{kind[:100]} is not a media type.")
        if len(types) > MIME_TYPES_MAX:
            raise InvalidRequest("invalid_mime_type", f"At most {MIME_TYPES_MAX} types are listed.")
        return types


async def find(
    storage: Storage,
    principal: Principal,
    *,
    search: str | None,
    column: str,
    descending: bool,
    limit: int,
    offset: int,
) -> list[Bucket]:
    """Return the buckets that the caller sees; `search` is a part of the name."""
    arguments = (search, column, descending, limit, offset)
    found = await rows.read(storage.pool, principal, "buckets", *arguments)
    return [Bucket(**dict(row)) for row in found]


async def create(storage: Storage, principal: Principal, settings: BucketSettings) -> str:
    """Make a bucket and return its id. Raises `Conflict` (`bucket_exists`), `Forbidden`."""
    bucket = settings.id or settings.name or ""
    keys.check_bucket(bucket)
    if settings.type not in (None, "STANDARD"):
        raise InvalidRequest("bucket_type_unknown", "Only buckets of type STANDARD can be made.")
    owner: Any = principal.claims.get("sub")
    try:
        async with rows.acting(storage.pool, principal) as connection:
            await connection.execute(
                rows.sql("create_bucket"),
                bucket,
                bool(settings.public),
                settings.bytes_max(),
                settings.media_types(),
                rows.uuid_or_none(owner),
                owner,
            )
    except Conflict as error:
        raise Conflict("bucket_exists", "The resource already exists") from error
    return bucket


async def update(
    storage: Storage, principal: Principal, bucket: str, settings: BucketSettings
) -> None:
    """Change what `settings` names. Raises `NotFound`, also when the caller may not."""
    if not keys.is_bucket(bucket):
        raise rows.bucket_not_found()
    async with rows.acting(storage.pool, principal) as connection:
        changed = await connection.fetchval(
            rows.sql("update_bucket"),
            bucket,
            settings.public,
            settings.file_size_limit is not msgspec.UNSET,
            settings.bytes_max(),
            settings.allowed_mime_types is not msgspec.UNSET,
            settings.media_types(),
        )
    if changed is None:
        raise rows.bucket_not_found()


async def delete(storage: Storage, principal: Principal, bucket: str) -> None:
    """Remove an empty bucket. Raises `Conflict` (`bucket_not_empty`), `NotFound`."""
    await storage.bucket(bucket, principal)
    if await storage.pool.fetchval(rows.sql("first_names"), bucket, 1) is not None:
        raise _not_empty()
    try:
        async with transaction(
            storage.pool, role=principal.role, claims=principal.claims
        ) as connection:
            await rows.allow_delete(connection)
            removed = await connection.fetchval(rows.sql("delete_bucket"), bucket)
    except asyncpg.ForeignKeyViolationError as error:
        raise _not_empty() from error
    if removed is None:
        raise rows.bucket_not_found()


async def empty(storage: Storage, principal: Principal, bucket: str) -> None:
    """Remove all objects of a bucket, in batches. Raises `Forbidden` for all but the service."""
    if not principal.is_service:
        raise Forbidden("service_role_required", "Only the service role empties a bucket.")
    await storage.bucket(bucket)
    while True:
        names = await storage.pool.fetch(rows.sql("first_names"), bucket, EMPTY_BATCH_OBJECTS)
        if not names:
            return
        if not await storage.remove(bucket, [row["name"] for row in names]):
            return


def _not_empty() -> Conflict:
    return Conflict(
        "bucket_not_empty",
        "The bucket you tried to delete is not empty",
        hint="Empty the bucket first.",
    )
