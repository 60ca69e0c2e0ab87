"""How are changes read from the write-ahead log?

Through one replication slot per server, with `pgoutput`: every committed transaction in one piece,
in the order of the commits. Slots are made and dropped by the login role, which alone may.
"""

import asyncio
import secrets
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg
import msgspec

from tintype import events
from tintype.database import STATEMENT_ERRORS, Pool, named_queries
from tintype.realtime import pgoutput
from tintype.realtime.capture import ChangesLost, Deliver, NotDelivered
from tintype.realtime.catalogue import Shape
from tintype.realtime.interests import Asked
from tintype.realtime.replication import Stream, StreamEnded, lsn_number, open_stream
from tintype.realtime.rows import Change, Row, row_of_table

SLOT_PREFIX = "tintype_"
CONNECT_SECONDS_MAX = 10
RETRY_SECONDS = 0.05
SEEN_SECONDS = 20
# So many messages at once are a busy database.
BUSY_MESSAGES = 200
BUSY_SECONDS = 0.005
# A server that was not seen for this long has crashed; its slot is dropped.
STALE_SECONDS = 120
DROP_SECONDS_MAX = 5

# No such slot (or publication), and a slot whose log is gone.
LOST = ("42704", "55000")


class LoggedChange(msgspec.Struct, frozen=True):
    """One committed change of a row as the log has it, read when somebody wants it."""

    relation: pgoutput.Relation
    data: bytes
    begin: pgoutput.Begin

    @property
    def oid(self) -> int:
        """The table."""
        return self.relation.oid

    @property
    def place(self) -> tuple[str, str]:
        """The table's schema and name, as they were then."""
        return self.relation.place

    @property
    def xid(self) -> int | None:
        """The transaction, which other sessions may not see yet."""
        return self.begin.xid

    def text(self, column: str) -> pgoutput.Value:
        """Return a column's value, read alone."""
        try:
            number = self.relation.columns.index(column)
        except ValueError:
            return pgoutput.UNCHANGED
        return pgoutput.read_value(self.data, number)

    def row(self, shape: Shape) -> Row | None:
        """Return the row, or None where it has no primary key."""
        return row_of_table(
            shape,
            self.relation.columns,
            self.relation.identity,
            pgoutput.read_row_change(self.data),
            self.begin.committed_at,
        )


class Log:
    """A `Source`. `interest` tells what is asked of a table, `forget` hears of a changed one."""

    def __init__(
        self, database_url: str, pool: Pool, *, interest: Asked, forget: Callable[[int], None]
    ) -> None:
        self._url = database_url
        self._pool = pool
        self._interest = interest
        self._forget = forget
        self._queries = named_queries("realtime")
        self._slot: str | None = None
        self._stream: Stream | None = None
        # The change delivered last: its transaction's place in the log, and its own in that.
        self._position = (0, 0)
        self._log_from = 0

    @property
    def name(self) -> str | None:
        """The name of the slot, while there is one."""
        return self._slot

    @asynccontextmanager
    async def open(self, publications: list[str]) -> AsyncIterator[None]:
        """Connect to the slot, made where there is none; every later commit is read."""
        async with self._administrator() as connection:
            if self._slot is None:
                await self._make_slot(connection)
            else:
                # Postgres may not have noticed yet that the former connection is gone.
                await connection.execute(self._queries["free_slot"], self._slot)
        assert self._slot is not None
        try:
            stream = await open_stream(self._url, self._slot, self._log_from, publications)
        except StreamEnded as error:
            raise _trouble(error) from error
        self._stream = stream
        seen = asyncio.create_task(self._be_seen(self._slot))
        try:
            yield
        finally:
            seen.cancel()
            stream.close()

    async def cover(self) -> None:
        """Nothing is to be done: the log has every table."""

    async def follow(self, deliver: Deliver) -> None:
        """Read and deliver until the connection ends (`NotDelivered`, `ChangesLost`)."""
        assert self._stream is not None
        stream = self._stream
        relations: dict[int, pgoutput.Relation] = {}
        begun: pgoutput.Begin | None = None
        number = 0
        while True:
            batch: list[Change] = []
            position, log_from = self._position, self._log_from
            messages = await self._read(stream)
            for data in messages:
                if data[0] in pgoutput.ROW_KINDS:
                    assert begun is not None
                    number += 1
                    relation = relations[_oid(data)]
                    place = (begun.commit_lsn, number)
                    # Most rows are nobody's business: of those hardly more than the table is read.
                    interest = self._interest(relation.oid, relation.place)
                    if interest is not None and place > self._position:
                        change = LoggedChange(relation, data, begun)
                        if interest.fits(change):
                            batch.append(change)
                            position = place
                    continue
                message = pgoutput.read(data)
                if isinstance(message, pgoutput.Begin):
                    begun, number = message, 0
                elif isinstance(message, pgoutput.Commit):
                    begun, log_from = None, message.end_lsn
                elif isinstance(message, pgoutput.Relation):
                    relations[message.oid] = message
                    self._forget(message.oid)
            await deliver(batch)
            if begun is None:
                log_from = max(log_from, stream.log_end)
            self._position, self._log_from = position, log_from
            stream.acknowledge(log_from)
            if len(messages) >= BUSY_MESSAGES:
                # Fewer, larger batches leave the processor to those who write.
                await asyncio.sleep(BUSY_SECONDS)

    async def drop(self) -> None:
        """Drop the slot; one that cannot be dropped now is left for `sweep` of any server."""
        slot, self._slot = self._slot, None
        self._position, self._log_from = (0, 0), 0
        if slot is None:
            return
        try:
            async with asyncio.timeout(DROP_SECONDS_MAX), self._administrator() as connection:
                await self._drop_slot(connection, slot)
        except STATEMENT_ERRORS as error:
            events.emit(events.LoopFailed(loop="realtime slots", error=str(error), delay_seconds=0))

    async def sweep(self) -> None:
        """Drop the slots of crashed servers, as soon as their time is over."""
        async with self._administrator() as connection:
            await self._drop_abandoned(connection)

    async def _read(self, stream: Stream) -> list[bytes]:
        try:
            return await stream.read()
        except StreamEnded as error:
            raise _trouble(error) from error

    async def _make_slot(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        await self._drop_abandoned(connection)
        slot = SLOT_PREFIX + secrets.token_hex(8)
        # The row first: a slot without one is nobody's.
        await self._pool.execute(self._queries["seen"], slot)
        self._slot = slot
        try:
            lsn = await connection.fetchval(self._queries["create_slot"], slot)
        except BaseException:
            await self.drop()
            raise
        self._log_from = lsn_number(lsn)
        self._position = (0, 0)

    async def _be_seen(self, slot: str) -> None:
        while True:
            await asyncio.sleep(SEEN_SECONDS)
            with suppress(*STATEMENT_ERRORS):
                await self._pool.execute(self._queries["seen"], slot)

    async def _drop_slot(self, connection: "asyncpg.Connection[asyncpg.Record]", slot: str) -> None:
        while True:
            try:
                await connection.execute(self._queries["free_slot"], slot)
                await connection.execute(self._queries["drop_slot"], slot)
            except asyncpg.ObjectInUseError:
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await self._pool.execute(self._queries["unseen"], slot)
                return

    async def _drop_abandoned(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        for slot in await connection.fetch(
            self._queries["abandoned_slots"], SLOT_PREFIX, float(STALE_SECONDS)
        ):
            with suppress(asyncpg.ObjectInUseError, asyncpg.UndefinedObjectError):
                await connection.execute(self._queries["drop_slot"], slot["slot"])
                await self._pool.execute(self._queries["unseen"], slot["slot"])

    @asynccontextmanager
    async def _administrator(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """Yield a connection of the login role, which alone may handle slots."""
        connection = await asyncpg.connect(self._url, timeout=CONNECT_SECONDS_MAX)
        try:
            yield connection
        finally:
            with suppress(*STATEMENT_ERRORS):
                await connection.close(timeout=1)


def _oid(data: bytes) -> int:
    number: int = struct.unpack_from("!I", data, 1)[0]
    return number


def _trouble(error: StreamEnded) -> Exception:
    if error.sqlstate in LOST:
        return ChangesLost("the replication slot was lost")
    return NotDelivered(str(error))
