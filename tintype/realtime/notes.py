"""How are changes read where the log may not be?

From notes: while a server listens, triggers on the published tables add a row to
`tintype.changes` for each changed row, and every server reads them each `POLL_SECONDS`, below the
oldest running transaction. What all have read is removed; without a reader there are no triggers.

The order promised is that of the transactions' last changes, each transaction in one piece. So the
changes of one row come in the order in which they were made, and a transaction that began to write
after another had committed comes behind it; two that overlapped may come in another order than
that of their commits. `commit_timestamp` is when the row was written. A transaction that writes
for long, anywhere in the cluster, holds back everything behind it until it ends.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime

import asyncpg
import msgspec

from tintype import clock, events
from tintype.database import STATEMENT_ERRORS, Connection, Pool, named_queries
from tintype.realtime.capture import CaptureRefused, ChangesLost, Deliver
from tintype.realtime.catalogue import Shape
from tintype.realtime.pgoutput import UNCHANGED, Value
from tintype.realtime.rows import Change, Row, row_of_note

NAME_PREFIX = "tintype_notes_"
POLL_SECONDS = 0.02
ROWS_PER_READ_MAX = 500
# How often notes are removed, and triggers looked for.
KEEP_SECONDS = 2
# A server that was not seen for this long has crashed; no notes are kept for it.
STALE_SECONDS = 120
BUSY_SECONDS_FIRST = 0.05
BUSY_SECONDS_MAX = 1.0
STOP_TRIES_MAX = 3
TRIGGERS_GONE = "the triggers that note them were gone"


class NotedChange(msgspec.Struct, frozen=True):
    """One committed change of a row as a trigger noted it; `record` and `old` are JSON objects."""

    oid: int
    place: tuple[str, str]
    kind: str
    record: str | None
    old: str | None
    changed_at: datetime

    @property
    def xid(self) -> int | None:
        """Nothing is to be waited for: what is read here can be seen."""
        return None

    def text(self, column: str) -> Value:
        """Leave it to the row."""
        return UNCHANGED

    def row(self, shape: Shape) -> Row | None:
        """Return the row, or None where it has no primary key."""
        return row_of_note(shape, self.kind, self.changed_at, record=self.record, old=self.old)


class Notes:
    """A `Source`. Its triggers are made by functions that run as the owner of the tables."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._queries = named_queries("realtime")
        self._name: str | None = None
        self._connection: Connection | None = None
        self._tables = False
        self._installing = asyncio.Lock()
        # The triggers that this server relies on, by the table.
        self._triggers: dict[int, int] = {}
        # Read are all transactions before `_from`, and so many rows of those up to `_until`.
        self._from, self._until, self._done = "", "", 0
        # Whoever had committed when the reading began is nothing to tell of.
        self._snapshot = ""
        self._kept_at = 0.0

    @property
    def name(self) -> str | None:
        """The name of this reader, while it is one."""
        return self._name

    @asynccontextmanager
    async def open(self, publications: list[str]) -> AsyncIterator[None]:
        """Begin to have changes noted, if that has not begun; every later commit is read."""
        async with self._pool.acquire() as connection:
            if self._name is None:
                await self._begin(connection)
            await self._keep()
            self._connection = connection
            try:
                yield
            finally:
                self._connection = None

    async def cover(self) -> None:
        """Have the changes of all published tables noted, of those too that joined just now."""
        self._tables = True
        await self._install()

    async def follow(self, deliver: Deliver) -> None:
        """Read and deliver until an error ends it; called again, it goes on behind the last."""
        assert self._connection is not None
        connection = self._connection
        while True:
            await self._keep_if_due()
            if not self._until:
                news = await connection.fetchrow(self._queries["notes_until"], self._from)
                assert news is not None
                if not news["is_news"]:
                    self._from = news["until"]
                    await deliver([])
                    await asyncio.sleep(POLL_SECONDS)
                    continue
                self._until = news["until"]
            await self._read(connection, deliver)

    async def drop(self) -> None:
        """Have nothing noted any more, unless another server reads it."""
        name, self._name = self._name, None
        self._tables, self._triggers = False, {}
        if name is None:
            return
        try:
            await self._pool.execute(self._queries["unseen"], name)
            for _ in range(STOP_TRIES_MAX):
                if await self._pool.fetchval(self._queries["stop_notes"]):
                    return
        except STATEMENT_ERRORS as error:
            events.emit(events.LoopFailed(loop="realtime notes", error=str(error), delay_seconds=0))

    async def sweep(self) -> None:
        """Forget the servers that crashed, and with the last reader the triggers."""
        await self._pool.execute(self._queries["forget_readers"], float(STALE_SECONDS))
        await self._pool.fetchval(self._queries["stop_notes"])

    async def _begin(self, connection: Connection) -> None:
        self._name = NAME_PREFIX + secrets.token_hex(8)
        try:
            # The name first: the triggers stay while there is one.
            await connection.execute(self._queries["begin_notes"], self._name)
            await self._install()
            # Making a trigger has waited for all who were writing to the table without it.
            self._snapshot = await connection.fetchval(self._queries["snapshot"])
        except BaseException:
            await self.drop()
            raise
        self._from, self._until, self._done = self._snapshot.split(":")[0], "", 0

    async def _install(self) -> None:
        async with self._installing:
            for table in await self._pool.fetch(self._queries["noted_tables"], not self._tables):
                if table["trigger"] is None:
                    await self._note(table["relation"], table["is_message"])
            found = {
                table["relation"]: table["trigger"]
                for table in await self._pool.fetch(self._queries["noted_tables"], not self._tables)
                if table["trigger"] is not None
            }
            # One that was made anew has missed what was written in between.
            if any(self._triggers.get(table, mark) != mark for table, mark in found.items()):
                raise ChangesLost(TRIGGERS_GONE)
            self._triggers = found

    async def _note(self, relation: int, is_message: bool) -> None:
        delay = BUSY_SECONDS_FIRST
        while True:
            try:
                await self._pool.execute(self._queries["note_table"], relation, is_message)
            except asyncpg.LockNotAvailableError:
                await asyncio.sleep(delay)
                delay = min(delay * 2, BUSY_SECONDS_MAX)
            except asyncpg.InsufficientPrivilegeError as error:
                # The broadcasts of a Supabase project's database belong to its own service.
                if not is_message:
                    raise CaptureRefused(f"RealtimeDisabledForConfiguration: {error}") from error
                return
            else:
                return

    async def _read(self, connection: Connection, deliver: Deliver) -> None:
        """Deliver what is left of the transactions up to `_until`."""
        async with connection.transaction(readonly=True):
            cursor = await connection.cursor(
                self._queries["notes"], self._from, self._until, self._snapshot, self._done
            )
            while rows := await cursor.fetch(ROWS_PER_READ_MAX):
                changes: list[Change] = [
                    NotedChange(
                        row["relation"],
                        (row["schema"], row["name"]),
                        row["kind"],
                        row["record"],
                        row["old"],
                        row["changed_at"],
                    )
                    for row in rows
                    if row["name"] is not None
                ]
                await deliver(changes)
                self._done += len(rows)
                await self._keep_if_due()
        self._from, self._until, self._done = self._until, "", 0

    async def _keep_if_due(self) -> None:
        if clock.monotonic_seconds() > self._kept_at + KEEP_SECONDS:
            await self._keep()

    async def _keep(self) -> None:
        """Remove what is read, and find out whether all that was written was noted."""
        is_complete = await self._pool.fetchval(self._queries["notes_read"], self._name, self._from)
        if is_complete is None:
            raise ChangesLost("this server was not heard of for too long")
        if not is_complete:
            raise ChangesLost("they came faster than they could be read")
        if await self._pool.fetchval(
            self._queries["missing_triggers"],
            list(self._triggers),
            list(self._triggers.values()),
        ):
            raise ChangesLost(TRIGGERS_GONE)
        await self._pool.execute(self._queries["forget_notes"])
        if self._tables:
            # Whoever asks for such a table is refused at the join.
            with suppress(CaptureRefused):
                await self._install()
        self._kept_at = clock.monotonic_seconds()
