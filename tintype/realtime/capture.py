"""How do committed changes reach this process, each once and in order?

One replication slot per server. It is made for the first listener and dropped some time after the
last. A connection that breaks goes on where the last delivered change was; a slot that is lost is
replaced, and everybody is told that changes may be missing.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg
import msgspec

from tintype import clock, events
from tintype.database import Pool, is_passing, named_queries
from tintype.realtime import pgoutput
from tintype.realtime.replication import Stream, StreamEnded, lsn_number, open_stream

SLOT_PREFIX = "tintype_"
CONNECT_SECONDS_MAX = 10
RETRY_SECONDS_FIRST = 0.05
RETRY_SECONDS_MAX = 1.0
# A client that navigates from page to page comes back within this time.
GRACE_SECONDS = 30.0
SEEN_SECONDS = 20
# A server that was not seen for this long has crashed; its slot is dropped.
STALE_SECONDS = 120
DROP_SECONDS_MAX = 5
# Changes that cannot be delivered for this long are given up, out loud.
DELIVER_SECONDS_MAX = 120

NO_SUCH_SLOT = "42704"
SLOT_INVALIDATED = "55000"


class CaptureRefused(Exception):
    """This database does not let changes be captured; the message is for the client."""


class Change(msgspec.Struct, frozen=True):
    """One committed change of a row, and the table as it was then."""

    relation: pgoutput.Relation
    row: pgoutput.RowChange
    begin: pgoutput.Begin


Deliver = Callable[[list[Change]], Awaitable[None]]


class Capture:
    """The stream of committed changes. Used from one event loop.

    `deliver` gets them in batches, one call at a time, and is called again with the same batch
    while the database is away. `forget` hears of a table that changed its shape, `lost` that
    changes may have been missed.
    """

    def __init__(
        self,
        database_url: str,
        pool: Pool,
        *,
        deliver: Deliver,
        forget: Callable[[int], None],
        lost: Callable[[str], None],
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._url = database_url
        self._pool = pool
        self._deliver = deliver
        self._forget = forget
        self._lost = lost
        self._grace_seconds = grace_seconds
        self._queries = named_queries("realtime")
        self._holders = 0
        self._task: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._settled = asyncio.Event()
        self._refusal: str | None = None
        self._slot: str | None = None
        # The change delivered last: its transaction's place in the log, and its own in that.
        self._position = (0, 0)
        self._log_from = 0
        self._stuck_at: float | None = None
        self._delay_seconds = RETRY_SECONDS_FIRST

    @property
    def slot(self) -> str | None:
        """The name of the slot, while there is one."""
        return self._slot

    async def hold(self) -> None:
        """Wait until changes flow, starting the capture where needed; pair it with `release`.

        Every transaction that commits after this returned is delivered. Raises `CaptureRefused`,
        and then holds nothing.
        """
        self._holders += 1
        try:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            while not self._settled.is_set():
                if self._stopping is not None:
                    await asyncio.wait([self._stopping])
                    continue
                if self._task is None or self._task.done():
                    self._refusal = None
                    self._task = asyncio.create_task(self._run())
                await self._settled.wait()
            if self._refusal is not None:
                self._settled.clear()
                raise CaptureRefused(self._refusal)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Hold no longer. After the last one the capture ends, `grace_seconds` later."""
        self._holders -= 1
        if self._holders == 0 and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._grace_seconds, self._stop_if_unheld)

    async def close(self) -> None:
        """End the capture now and drop its slot."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stop()
        if self._stopping is not None:
            await asyncio.wait([self._stopping])

    async def clean(self) -> None:
        """Drop the slots that crashed servers left, as soon as their time is over."""
        while True:
            try:
                async with self._administrator() as connection:
                    left = await self._drop_abandoned(connection)
            except (asyncpg.PostgresError, OSError) as error:
                events.emit(
                    events.LoopFailed(
                        loop="realtime slots", error=str(error), delay_seconds=STALE_SECONDS
                    )
                )
                left = True
            if not left:
                return
            await asyncio.sleep(STALE_SECONDS)

    def _stop_if_unheld(self) -> None:
        self._timer = None
        if self._holders == 0:
            self._stop()

    def _stop(self) -> None:
        task, self._task = self._task, None
        if task is None or task.done():
            return
        self._settled.clear()
        self._stopping = task
        task.add_done_callback(self._stopped)
        task.cancel()

    def _stopped(self, task: "asyncio.Task[None]") -> None:
        if self._stopping is task:
            self._stopping = None

    async def _run(self) -> None:
        try:
            while True:
                try:
                    async with self._open() as stream:
                        self._settled.set()
                        await self._follow(stream)
                except CaptureRefused as refusal:
                    self._refusal = str(refusal)
                    self._settled.set()
                    return
                except Exception as error:
                    self._settled.clear()
                    await self._recover(error)
        finally:
            await self._drop()

    async def _recover(self, error: Exception) -> None:
        """Wait before the next try; without a slot to go on from, say that changes are missing."""
        reason = None
        if isinstance(error, StreamEnded):
            if error.sqlstate in (NO_SUCH_SLOT, SLOT_INVALIDATED):
                reason = "the replication slot was lost"
        elif not isinstance(error, asyncpg.PostgresError) and not is_passing(error):
            reason = "they could not be read"
        if reason is not None:
            await self._drop()
            self._lost(f"Changes may have been missed: {reason}.")
        delay = self._delay_seconds
        events.emit(events.LoopFailed(loop="realtime", error=repr(error), delay_seconds=delay))
        await asyncio.sleep(delay)
        self._delay_seconds = min(delay * 2, RETRY_SECONDS_MAX)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Stream]:
        async with self._administrator() as connection:
            if self._slot is None:
                await self._make_slot(connection)
            else:
                # Postgres may not have noticed yet that the former connection is gone.
                await connection.execute(self._queries["free_slot"], self._slot)
        assert self._slot is not None
        stream = await open_stream(self._url, self._slot, self._log_from)
        seen = asyncio.create_task(self._be_seen(self._slot))
        try:
            yield stream
        finally:
            seen.cancel()
            stream.close()

    async def _make_slot(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        can = await connection.fetchrow(self._queries["can_capture"])
        assert can is not None
        if not (can["logs_enough"] and can["may_replicate"]):
            raise CaptureRefused(
                "RealtimeDisabledForConfiguration: the database needs wal_level = logical and a"
                " role that may replicate"
            )
        if not can["publishes"]:
            raise CaptureRefused(
                "RealtimeDisabledForConfiguration: there is no publication supabase_realtime"
            )
        await self._drop_abandoned(connection)
        slot = SLOT_PREFIX + secrets.token_hex(8)
        # The row first: a slot without one is nobody's.
        await self._pool.execute(self._queries["seen"], slot)
        self._slot = slot
        try:
            lsn = await connection.fetchval(self._queries["create_slot"], slot)
        except BaseException:
            await self._drop()
            raise
        self._log_from = lsn_number(lsn)
        self._position = (0, 0)

    async def _follow(self, stream: Stream) -> None:
        relations: dict[int, pgoutput.Relation] = {}
        begun: pgoutput.Begin | None = None
        number = 0
        while True:
            batch: list[Change] = []
            position, log_from = self._position, self._log_from
            for data in await stream.read():
                message = pgoutput.read(data)
                if isinstance(message, pgoutput.RowChange):
                    assert begun is not None
                    number += 1
                    if (begun.commit_lsn, number) > self._position:
                        relation = relations[message.oid]
                        batch.append(Change(relation, message, begun))
                        position = (begun.commit_lsn, number)
                elif isinstance(message, pgoutput.Begin):
                    begun, number = message, 0
                elif isinstance(message, pgoutput.Commit):
                    begun, log_from = None, message.end_lsn
                elif isinstance(message, pgoutput.Relation):
                    relations[message.oid] = message
                    self._forget(message.oid)
            if batch:
                await self._hand_over(batch)
            if begun is None:
                log_from = max(log_from, stream.log_end)
            self._position, self._log_from = position, log_from
            stream.acknowledge(log_from)
            self._delay_seconds = RETRY_SECONDS_FIRST

    async def _hand_over(self, batch: list[Change]) -> None:
        now = clock.monotonic_seconds()
        try:
            await self._deliver(batch)
            self._stuck_at = None
        except Exception as error:
            self._stuck_at = now if self._stuck_at is None else self._stuck_at
            if is_passing(error) and now < self._stuck_at + DELIVER_SECONDS_MAX:
                # Read again from where it stood. The stream must not stay open meanwhile: a
                # Postgres that shuts down waits for it.
                raise StreamEnded(f"The changes could not be delivered yet: {error!r}") from error
            # Going on in silence would lose changes, stopping would lose all that follow.
            events.emit(events.LoopFailed(loop="realtime", error=repr(error), delay_seconds=0))
            self._lost("Changes may have been missed: they could not be delivered.")

    async def _be_seen(self, slot: str) -> None:
        while True:
            await asyncio.sleep(SEEN_SECONDS)
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await self._pool.execute(self._queries["seen"], slot)

    async def _drop(self) -> None:
        """Drop the slot; one that cannot be dropped now is left for `clean` of any server."""
        slot, self._slot = self._slot, None
        self._position, self._log_from = (0, 0), 0
        if slot is None:
            return
        try:
            async with asyncio.timeout(DROP_SECONDS_MAX), self._administrator() as connection:
                await self._drop_slot(connection, slot)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            events.emit(events.LoopFailed(loop="realtime slots", error=str(error), delay_seconds=0))

    async def _drop_slot(self, connection: "asyncpg.Connection[asyncpg.Record]", slot: str) -> None:
        while True:
            try:
                await connection.execute(self._queries["free_slot"], slot)
                await connection.execute(self._queries["drop_slot"], slot)
            except asyncpg.ObjectInUseError:
                await asyncio.sleep(RETRY_SECONDS_FIRST)
            else:
                await self._pool.execute(self._queries["unseen"], slot)
                return

    async def _drop_abandoned(self, connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
        """Drop every slot of a crashed server; return whether some may be, but not yet surely."""
        left = False
        for row in await connection.fetch(
            self._queries["abandoned_slots"], SLOT_PREFIX, float(STALE_SECONDS)
        ):
            if row["is_stale"]:
                with suppress(asyncpg.ObjectInUseError, asyncpg.UndefinedObjectError):
                    await connection.execute(self._queries["drop_slot"], row["slot"])
                    await self._pool.execute(self._queries["unseen"], row["slot"])
            elif row["slot"] != self._slot:
                left = True
        return left

    @asynccontextmanager
    async def _administrator(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """Yield a connection of the login role, which alone may handle slots."""
        connection = await asyncpg.connect(self._url, timeout=CONNECT_SECONDS_MAX)
        try:
            yield connection
        finally:
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await connection.close(timeout=1)
