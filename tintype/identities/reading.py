"""What do the rows of identities and removals say?"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from tintype.database import Pool, named_queries

LIST_ROWS_MAX = 1000


class Identity(msgspec.Struct, frozen=True):
    """One identity, for an operator. `name` is what its user calls it."""

    id: UUID
    user_id: UUID
    name: str
    status: Literal["training", "ready", "failed"]
    progress: int
    step: int
    steps_total: int | None
    loss: float | None
    images: int
    repository: str
    url: str | None
    job_id: UUID | None
    error_code: str | None
    error_message: str | None
    consent: dict[str, Any]
    created_at: datetime
    trained_at: datetime | None


class RemovalRow(msgspec.Struct, frozen=True):
    """One removal, for an operator; done with its proof, or open with the last error."""

    id: UUID
    user_id: UUID
    kind: Literal["identity", "model", "user"]
    attempts: int
    last_error: str | None
    not_before: datetime
    created_at: datetime
    done_at: datetime | None
    proof: dict[str, Any] | None


async def listing(pool: Pool, *, user_id: UUID | None = None, limit: int = 50) -> list[Identity]:
    """Return the newest identities first, of one user or of all."""
    rows = await pool.fetch(
        named_queries("identities")["listing"], user_id, None, min(limit, LIST_ROWS_MAX)
    )
    return [Identity(**dict(row)) for row in rows]


async def get(pool: Pool, identity_id: UUID) -> Identity | None:
    """Return one identity, or None."""
    rows = await pool.fetch(named_queries("identities")["listing"], None, identity_id, 1)
    return Identity(**dict(rows[0])) if rows else None


async def delete(pool: Pool, identity_id: UUID) -> bool:
    """Delete an identity; all that it has elsewhere is left to the remover. False: no such one."""
    statement = "delete from public.trained_identities where id = $1 returning id"
    return await pool.fetchval(statement, identity_id) is not None


async def removals(pool: Pool, *, limit: int = 50) -> list[RemovalRow]:
    """Return the newest removals first, done or not."""
    rows = await pool.fetch(named_queries("identities")["removals"], min(limit, LIST_ROWS_MAX))
    return [RemovalRow(**dict(row)) for row in rows]
