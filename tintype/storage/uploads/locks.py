"""Who is at work on an upload, among all processes?

Whoever holds its advisory lock. All locks of a process are of one connection, taken from the pool
while there are any: Postgres lets them go the moment the process dies. Should the connection break
instead, the locks are lost early; then the conditions in the SQL verbs still keep every byte.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from tintype.database import STATEMENT_ERRORS, Pool
from tintype.storage.uploads.upload import upload_busy

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

LOCK = "select pg_try_advisory_lock($1)"
UNLOCK = "select pg_advisory_unlock($1)"


class UploadLocks:
    """The locks of this process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._held: set[UUID] = set()
        self._connection: PoolConnectionProxy[asyncpg.Record] | None = None
        # A connection does one thing at a time.
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def hold(self, upload: UUID) -> AsyncIterator[None]:
        """Be the only one at work on the upload. Raises `Unavailable` (`upload_busy`) at once."""
        if upload in self._held:
            raise upload_busy()
        self._held.add(upload)
        try:
            if not await self._lock(upload):
                raise upload_busy()
            yield
        finally:
            self._held.discard(upload)
            await self._unlock(upload)

    async def _lock(self, upload: UUID) -> bool:
        async with self._turn:
            if self._connection is not None and self._connection.is_closed():
                await self._let_go()
            if self._connection is None:
                self._connection = await self._pool.acquire()
            taken: bool = await self._connection.fetchval(LOCK, _number(upload))
            return taken

    async def _unlock(self, upload: UUID) -> None:
        async with self._turn:
            if self._connection is None:
                return
            if not self._held:
                # Giving the connection back lets go of every lock it holds.
                await self._let_go()
            else:
                with suppress(*STATEMENT_ERRORS):
                    await self._connection.execute(UNLOCK, _number(upload))

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*STATEMENT_ERRORS):
                await self._pool.release(connection)


def _number(upload: UUID) -> int:
    return (upload.int >> 64) - 2**63
