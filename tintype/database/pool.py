"""How does a statement reach Postgres, and as whom?

Every pooled connection acts as `service_role`, the kernel's own role. A transaction for a
caller lowers itself to the caller's role and claims for exactly its own length.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import msgspec

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    # asyncpg's classes take their parameters in stubs only.
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection

CALLER_ROLES = ("anon", "authenticated", "service_role")
KERNEL_ROLE = "service_role"
STATEMENT_SECONDS_MAX = 30
CONNECT_SECONDS_MAX = 10


async def connect(url: str, *, size_max: int = 10, role: str | None = KERNEL_ROLE) -> Pool:
    """Open a pool whose connections act as `role` (None: as the login role, for migrations).

    jsonb travels as Python values. A statement is cut off after `STATEMENT_SECONDS_MAX`.
    """

    async def prepare(connection: Connection) -> None:
        await connection.set_type_codec(
            "jsonb", encoder=_json_text, decoder=msgspec.json.decode, schema="pg_catalog"
        )
        if role is not None:
            await connection.execute("select set_config('role', $1, false)", role)

    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size_max,
        init=prepare,
        timeout=CONNECT_SECONDS_MAX,
        command_timeout=STATEMENT_SECONDS_MAX,
        max_inactive_connection_lifetime=300,
        server_settings={"application_name": "tintype", "jit": "off"},
    )


@asynccontextmanager
async def transaction(
    pool: Pool, *, role: str | None = None, claims: Mapping[str, Any] | None = None
) -> AsyncIterator[Connection]:
    """Yield a connection inside one transaction, committed on exit, rolled back on any error.

    With `role` (one of `CALLER_ROLES`) row-level security sees that role and `claims` as
    `auth.uid()`, `auth.role()` and `auth.jwt()` read them; both end with the transaction.
    """
    async with pool.acquire() as connection, connection.transaction():
        if role is not None:
            if role not in CALLER_ROLES:
                raise ValueError(f"not a caller's role: {role}")
            await connection.execute(
                "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)",
                role,
                _json_text(dict(claims or {})),
            )
        yield connection


def _json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
