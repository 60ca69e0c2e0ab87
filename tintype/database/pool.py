"""How does a statement reach Postgres, and as whom?

Every pooled connection acts as `service_role`, the kernel's own role. A transaction for a
caller lowers itself to the caller's role and claims for exactly its own length.
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import msgspec

from tintype.database.trouble import STATEMENT_ERRORS

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]

    class _Connection:
        async def execute(self, query: str) -> str: ...
        def get_reset_query(self) -> str: ...
else:
    # asyncpg's classes take their parameters in stubs only.
    Pool = asyncpg.Pool
    Connection = _Connection = asyncpg.Connection

CALLER_ROLES = ("anon", "authenticated", "service_role", "tintype_worker")
KERNEL_ROLE = "service_role"
STATEMENT_SECONDS_MAX = 30
CONNECT_SECONDS_MAX = 10
SETTINGS_REMEMBERED_MAX = 32
_SETTING = re.compile(r"[a-z_]+(\.[a-z_]+)*", re.A)


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
        connection_class=_Pooled,
    )


class _Pooled(_Connection):
    """A connection that a commit can leave as clean as the pool wants it back.

    The pool cleans each connection before it lends it again, which costs a round trip; `conclude`
    sends that along with the commit.
    """

    __slots__ = ("_is_clean",)

    async def conclude(self) -> None:
        """Commit, and forget all that the session was told."""
        await self.execute(f"commit; {super().get_reset_query()}")
        self._is_clean = True

    def get_reset_query(self) -> str:
        """Return what cleans the session, nothing where `conclude` just did."""
        clean, self._is_clean = getattr(self, "_is_clean", False), False
        return "" if clean else super().get_reset_query()


@asynccontextmanager
async def transaction(
    pool: Pool,
    *,
    role: str | None = None,
    claims: Mapping[str, Any] | None = None,
    settings: Mapping[str, str] | None = None,
    read_only: bool = False,
) -> AsyncIterator[Connection]:
    """Yield a connection inside one transaction, committed on exit, rolled back on any error.

    With `role` (one of `CALLER_ROLES`) row-level security sees that role and `claims` as
    `auth.uid()`, `auth.role()` and `auth.jwt()` read them. `settings` are further Postgres
    settings by name, set in the same round trip; the names are the program's own words, never a
    request's. All of it ends with the transaction, which with `read_only` can change nothing.
    There are no savepoints inside.
    """
    given = dict(settings or {})
    if role is not None:
        if role not in CALLER_ROLES:
            raise ValueError(f"not a caller's role: {role}")
        given = {"role": role, "request.jwt.claims": _json_text(dict(claims or {})), **given}
    async with pool.acquire() as connection:
        await connection.execute("begin read only" if read_only else "begin")
        try:
            if given:
                await connection.fetchrow(_setting(tuple(given)), *given.values())
            yield connection
        except BaseException:
            # What went wrong is told, and not that the rollback failed after it: a connection
            # that did not answer is not lent again.
            with suppress(*STATEMENT_ERRORS):
                await connection.execute("rollback")
            raise
        await connection.conclude()


@lru_cache(maxsize=SETTINGS_REMEMBERED_MAX)
def _setting(names: tuple[str, ...]) -> str:
    unfit = [name for name in names if _SETTING.fullmatch(name) is None]
    if unfit:
        raise ValueError(f"not a setting's name: {unfit[0]}")
    return "select " + ", ".join(
        f"set_config('{name}', ${place}, true)" for place, name in enumerate(names, 1)
    )


def _json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
