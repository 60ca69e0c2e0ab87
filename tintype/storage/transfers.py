"""How does an object come to another name, or to a second one?"""

from collections.abc import AsyncIterator
from uuid import uuid4

import msgspec

from tintype.auth import Principal
from tintype.errors import RequestError
from tintype.storage import keys, media, rows, streams
from tintype.storage.drafts import Draft, Uploader
from tintype.storage.objects import Storage
from tintype.storage.rows import ObjectRow, StoredObject


async def copy(
    storage: Storage,
    principal: Principal,
    source: tuple[str, str],
    target: tuple[str, str],
    *,
    upsert: bool = False,
) -> ObjectRow:
    """Copy an object (bucket, name) as `principal`: SELECT on the source, INSERT on the target.

    Raises `NotFound`, `Forbidden`, `Conflict`, and what the target bucket refuses.
    """
    found = await _require(storage, principal, *source)
    stored = found.stored()
    draft = Draft(*target, stored.media_type, stored.cache_control, found.user_metadata, upsert)
    await storage.store(
        Uploader.of(principal), draft, await _open(storage, stored), size_min=stored.size
    )
    copied = await storage.find(*target)
    if copied is None:
        raise rows.object_not_found()
    return copied


async def move(
    storage: Storage, principal: Principal, source: tuple[str, str], target: tuple[str, str]
) -> None:
    """Rename an object (bucket, name) as `principal`: SELECT and UPDATE.

    The bytes get their second name first, then one transaction moves the row, then the first name
    goes: the object is whole under one name or the other at every moment. Raises `NotFound`,
    `Forbidden`, `Conflict`, and what the target bucket refuses.
    """
    to_bucket, to_name = target
    keys.check_name(to_name)
    stored = (await _require(storage, principal, *source)).stored()
    await _check_target(storage, stored, to_bucket)
    moved = msgspec.structs.replace(stored, bucket=to_bucket, name=to_name, version=str(uuid4()))
    statement = (rows.sql("move"), *source, stored.version, *target, moved.version)
    # Ask row-level security before any byte is touched, as `put` does.
    await rows.try_statement(storage.pool, principal, *statement)
    try:
        await storage.backend.copy(stored.key(), moved.key())
        async with rows.acting(storage.pool, principal) as connection:
            if await connection.fetchval(*statement) is None:
                raise rows.object_not_found()
    except FileNotFoundError as error:
        raise rows.object_not_found() from error
    except RequestError:
        await storage.discard(moved)
        raise
    await storage.backend.delete(stored.key())


async def _require(storage: Storage, principal: Principal, bucket: str, name: str) -> ObjectRow:
    row = await storage.find(bucket, name, principal)
    if row is None:
        raise rows.object_not_found()
    return row


async def _check_target(storage: Storage, stored: StoredObject, bucket: str) -> None:
    limits = await storage.bucket(bucket)
    if bucket == stored.bucket:
        return
    if stored.size > storage.bytes_max(limits):
        raise streams.too_large(storage.bytes_max(limits))
    head = await _open(storage, stored, min(stored.size, media.SNIFF_BYTES))
    first_bytes = b"".join([chunk async for chunk in head])
    media.decide(stored.media_type, first_bytes, limits.allowed_mime_types)


async def _open(
    storage: Storage, stored: StoredObject, end: int | None = None
) -> AsyncIterator[bytes]:
    try:
        return await storage.open(stored, 0, end)
    except FileNotFoundError as error:
        raise rows.object_not_found() from error
