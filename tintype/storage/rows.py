"""What does the database say about an object, and what may a caller do with it?

The statements of `sql/queries/storage.sql` with their refusals turned into the room's errors.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from tintype import clock
from tintype.auth import Principal
from tintype.database import Connection, Pool, named_queries, transaction
from tintype.errors import Conflict, Forbidden, InvalidRequest, NotFound
from tintype.storage import keys

CACHE_CONTROL = "max-age=3600"
# The owner of what a worker outside the server uploaded begins so, until it is handed over.
WORKER = "worker:"
# A reader whose object was replaced between row and bytes looks the row up again, this often.
REPLACED_TRIES_MAX = 5

T = TypeVar("T")


class StoredObject(msgspec.Struct, frozen=True):
    """Whole bytes on the backend under one version, and how to serve them.

    `size` is in bytes, `etag` the quoted MD5 of the bytes, `id` the row's once it is recorded.
    """

    bucket: str
    name: str
    version: str
    size: int
    etag: str
    media_type: str
    cache_control: str
    id: UUID | None = None

    def key(self) -> str:
        """Return where the bytes lie on the backend. Raises `InvalidRequest` (`invalid_key`)."""
        return keys.key(self.bucket, self.name, self.version)

    def metadata(self) -> dict[str, Any]:
        """Return the `metadata` column, as Supabase's storage-api fills it."""
        return {
            "eTag": self.etag,
            "size": self.size,
            "mimetype": self.media_type,
            "cacheControl": self.cache_control,
            "lastModified": clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "contentLength": self.size,
            "httpStatusCode": 200,
        }


class ObjectRow(msgspec.Struct, frozen=True):
    """A row of `storage.objects`, field for field as clients receive it."""

    name: str
    bucket_id: str
    owner: UUID | None
    owner_id: str | None
    version: str
    id: UUID
    updated_at: datetime
    created_at: datetime
    last_accessed_at: datetime | None
    metadata: dict[str, Any]
    user_metadata: dict[str, Any] | None

    def stored(self) -> StoredObject:
        """Return the bytes that this row points at."""
        return stored_from(self.bucket_id, self.name, self.version, self.metadata, self.id)


FindRow: TypeAlias = Callable[[], Awaitable[ObjectRow | None]]


class ListEntry(msgspec.Struct, frozen=True):
    """A file or a folder (`id` None) as a listing shows it, named relative to the listed folder."""

    name: str
    id: UUID | None
    updated_at: datetime | None
    created_at: datetime | None
    last_accessed_at: datetime | None
    metadata: dict[str, Any] | None


class Bucket(msgspec.Struct, frozen=True):
    """A row of `storage.buckets`, field for field as clients receive it; the limit is in bytes."""

    id: str
    name: str
    owner: str
    public: bool
    file_size_limit: int | None
    allowed_mime_types: list[str] | None
    created_at: datetime
    updated_at: datetime


def sql(name: str) -> str:
    """Return a statement of `sql/queries/storage.sql`."""
    return named_queries("storage")[name]


def stored_from(
    bucket: str, name: str, version: str, metadata: Mapping[str, Any], identity: UUID | None = None
) -> StoredObject:
    """Return the `StoredObject` that a row's columns describe; rows of others may lack fields."""
    return StoredObject(
        bucket=bucket,
        name=name,
        version=version,
        size=int(metadata.get("size") or metadata.get("contentLength") or 0),
        etag=str(metadata.get("eTag") or f'"{version}"'),
        media_type=str(metadata.get("mimetype") or "application/octet-stream"),
        cache_control=str(metadata.get("cacheControl") or "no-cache"),
        id=identity,
    )


def object_row(record: asyncpg.Record) -> ObjectRow:
    """Return the row with nulls of rows that others made replaced by what clients expect."""
    fields = dict(record)
    return ObjectRow(
        **fields | {"version": fields["version"] or "", "metadata": fields["metadata"] or {}}
    )


@asynccontextmanager
async def acting(pool: Pool, principal: Principal | None = None) -> AsyncIterator[Connection]:
    """Yield a transaction of the caller (None: of the kernel), its refusals as our errors."""
    role, claims = (principal.role, principal.claims) if principal is not None else (None, None)
    with_refusals = transaction(pool, role=role, claims=claims)
    try:
        async with with_refusals as connection:
            yield connection
    except asyncpg.InsufficientPrivilegeError as error:
        raise not_allowed() from error
    except asyncpg.UniqueViolationError as error:
        raise object_exists() from error
    except asyncpg.ForeignKeyViolationError as error:
        raise bucket_not_found() from error
    except asyncpg.DataError as error:
        # A policy of the app that casts a name, for instance to uuid, refuses by failing.
        raise InvalidRequest("policy_failed", f"{error}") from error


async def read(
    pool: Pool, principal: Principal | None, name: str, *arguments: Any
) -> list[asyncpg.Record]:
    """Return what the statement `name` finds for the caller (None: the kernel)."""
    found: list[asyncpg.Record]
    if principal is None:
        found = await pool.fetch(sql(name), *arguments)
    else:
        async with acting(pool, principal) as connection:
            found = await connection.fetch(sql(name), *arguments)
    return found


async def as_it_is(find: FindRow, use: Callable[[ObjectRow], Awaitable[T]]) -> T:
    """Return what `use` makes of the row and its bytes, both of one moment.

    Where the bytes are gone because the object was replaced since, `find` is asked again. Raises
    `NotFound` when it finds nothing.
    """
    for _ in range(REPLACED_TRIES_MAX):
        row = await find()
        if row is None:
            break
        with suppress(FileNotFoundError):
            return await use(row)
    raise object_not_found()


async def record(
    connection: Connection,
    stored: StoredObject,
    *,
    owner: str | None,
    user_metadata: Mapping[str, Any] | None = None,
    replace: bool = True,
) -> tuple[UUID, StoredObject | None]:
    """Call `tintype.record_object`: return the row's id and what it replaced."""
    row = await connection.fetchrow(
        "select * from tintype.record_object($1, $2, $3, $4, $5, $6, $7)",
        stored.bucket,
        stored.name,
        stored.version,
        stored.metadata(),
        dict(user_metadata) if user_metadata is not None else None,
        owner,
        replace,
    )
    assert row is not None
    if row["replaced_version"] is None:
        return row["object_id"], None
    replaced = stored_from(
        stored.bucket, stored.name, row["replaced_version"], row["replaced_metadata"] or {}
    )
    return row["object_id"], replaced


async def confirm(
    connection: Connection, principal: Principal | None, owner: str | None, bucket: str, name: str
) -> None:
    """Ask once more, in the transaction that records an object, whether its writer still may.

    Row-level security said so before the bytes came. A user's own folder stays a user's own; a
    worker's job may have ended or gone to another meanwhile, and that of a worker's grant may have
    been removed with all that it had. Locks that job until the commit. Raises `Forbidden`.
    """
    if principal is None and (owner or "").startswith(WORKER):
        is_right = await connection.fetchval("select tintype.confirm_grant($1, $2)", bucket, name)
    elif principal is not None and principal.worker_id is not None:
        key_id = UUID(principal.claims["key_id"])
        statement = "select tintype.confirm_write($1, $2, $3, $4)"
        is_right = await connection.fetchval(statement, principal.worker_id, key_id, bucket, name)
    else:
        return
    if not is_right:
        raise Forbidden("row_level_security", "new row violates row-level security policy")


async def hand_over(connection: Connection, stored: StoredObject, owner: UUID) -> bool:
    """Make a worker's object `owner`'s, if it still has these bytes. Locks its row."""
    return (
        await connection.fetchval(
            sql("hand_over"), stored.bucket, stored.name, stored.version, owner, str(owner)
        )
        is not None
    )


class _Tried(Exception):
    """Rolls a trial back."""


async def try_insert(
    pool: Pool,
    principal: Principal,
    stored: StoredObject,
    *,
    user_metadata: Mapping[str, Any] | None,
    replace: bool,
) -> None:
    """Insert the row as the caller and roll it back, so that a refusal comes before the bytes.

    Raises `Forbidden` (`row_level_security`), `Conflict` (`object_exists`) or `NotFound`.
    """
    owner = principal.owner
    arguments = (
        stored.bucket,
        stored.name,
        stored.version,
        stored.metadata(),
        dict(user_metadata) if user_metadata is not None else None,
        uuid_or_none(owner),
        owner,
    )
    if not replace:
        await try_statement(pool, principal, sql("add"), *arguments)
        return
    # A row that somebody adds meanwhile is seen the next time; one that is never seen is hidden.
    for _ in range(REPLACED_TRIES_MAX):
        if await try_statement(pool, principal, sql("add_or_replace"), *arguments):
            return
    raise not_allowed()


async def try_statement(pool: Pool, principal: Principal, statement: str, *arguments: Any) -> bool:
    """Run a statement as the caller and roll it back; return whether it found or returned a row.

    Its refusals come out as `acting` says.
    """
    found = None
    with suppress(_Tried):
        async with acting(pool, principal) as connection:
            found = await connection.fetchrow(statement, *arguments)
            raise _Tried
    return found is not None


async def delete(connection: Connection, bucket: str, names: Sequence[str]) -> list[ObjectRow]:
    """Delete the rows that the acting role may, and return them."""
    await allow_delete(connection)
    rows = await connection.fetch(sql("remove"), bucket, list(names))
    return [object_row(row) for row in rows]


async def allow_delete(connection: Connection) -> None:
    """Say that this transaction takes care of the bytes: a Supabase project asks for it."""
    await connection.execute("select set_config('storage.allow_delete_query', 'true', true)")


def uuid_or_none(text: Any) -> UUID | None:
    """Return `text` as a UUID when it is one: a token's `sub` need not be."""
    try:
        return UUID(str(text)) if text is not None else None
    except ValueError:
        return None


def not_allowed() -> Forbidden:
    """Return what says that no policy grants this."""
    return Forbidden("row_level_security", "new row violates row-level security policy")


def object_exists() -> Conflict:
    """Return what says that the name is taken."""
    return Conflict(
        "object_exists", "The resource already exists", hint="Send `x-upsert: true` to replace it."
    )


def object_not_found() -> NotFound:
    """Return what says that there is no such object, or none for this caller."""
    return NotFound("object_not_found", "Object not found")


def bucket_not_found() -> NotFound:
    """Return what says that there is no such bucket, or none for this caller."""
    return NotFound("bucket_not_found", "Bucket not found")
