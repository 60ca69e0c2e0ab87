"""How do committed changes reach this process, each once and in order?

From a `Source`: the write-ahead log where the login role may replicate, else the notes that
triggers take. It is opened for the first who listens and dropped some time after the last. One
that breaks goes on behind the last delivered change; where that cannot be, everybody is told that
changes may be missing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

import asyncpg

from tintype import clock, events
from tintype.database import STATEMENT_ERRORS, Pool, is_passing, named_queries
from tintype.realtime.limits import MESSAGE_DAYS_MAX
from tintype.realtime.rows import Change

RETRY_SECONDS_FIRST = 0.05
RETRY_SECONDS_MAX = 1.0
# A client that navigates from page to page comes back within this time.
GRACE_SECONDS = 30.0
# Changes that cannot be delivered for this long are given up, out loud.
DELIVER_SECONDS_MAX = 120
SWEEP_SECONDS = 120
PRUNE_ROWS_MAX = 1_000
PUBLICATION = "supabase_realtime"


class CaptureRefused(Exception):
    """This database does not let changes be captured; the message is for the client."""


class ChangesLost(Exception):
    """Changes may be missing, and the source cannot go on; the message says why."""


class NotDelivered(Exception):
    """The changes could not be delivered now; they are to be read again."""


Deliver: TypeAlias = Callable[[list[Change]], Awaitable[None]]


class Source(Protocol):
    """Where changes are read. Used by one task.

    From when `open` has been entered, every transaction that commits is delivered by `follow`, also
    when both are called again after an error; after `ChangesLost` there is nothing to go on from.
    `cover` returns once that is true of the tables too and not only of broadcasts. `drop` gives up
    everything that was made in the database, and `sweep` what crashed servers have left of it.
    """

    @property
    def name(self) -> str | None: ...

    def open(self, publications: list[str]) -> AbstractAsyncContextManager[None]: ...

    async def cover(self) -> None: ...

    async def follow(self, deliver: Deliver) -> None: ...

    async def drop(self) -> None: ...

    async def sweep(self) -> None: ...


class Capture:
    """The stream of committed changes. Used from one event loop.

    `deliver` gets them in batches, one call at a time, and is called again with the same batch
    while the database is away. `lost` hears that changes may have been missed. `log` and `notes`
    are the sources; which one is used is decided whenever one is begun.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        log: Source,
        notes: Source,
        deliver: Deliver,
        lost: Callable[[str], None],
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._pool = pool
        self._log = log
        self._notes = notes
        self._deliver = deliver
        self._lost = lost
        self._grace_seconds = grace_seconds
        self._queries = named_queries("realtime")
        self._holders = 0
        self._closed = False
        self._source: Source | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._settled = asyncio.Event()
        self._refusal: str | None = None
        self._stuck_at: float | None = None
        self._delay_seconds = RETRY_SECONDS_FIRST

    @property
    def slot(self) -> str | None:
        """The name under which the source is known in `tintype.captures`, while there is one."""
        return self._source.name if self._source is not None else None

    def retain(self) -> None:
        """Have changes flow as soon as that can be; pair it with `release`."""
        self._holders += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._begin()

    async def hold(self, *, tables: bool = True) -> None:
        """Wait until changes flow, those of `tables` too; pair it with `release`.

        Every transaction that commits after this returned is delivered. Raises `CaptureRefused`,
        and then holds nothing.
        """
        self.retain()
        try:
            while not self._settled.is_set():
                if self._stopping is not None:
                    await asyncio.wait([self._stopping])
                self._begin()
                await self._settled.wait()
            if self._refusal is not None:
                self._settled.clear()
                raise CaptureRefused(self._refusal)
            if tables and self._source is not None:
                await self._source.cover()
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
        """End the capture for good and drop what it made in the database."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stop()
        if self._stopping is not None:
            await asyncio.wait([self._stopping])

    async def sweep(self) -> None:
        """Remove what crashed servers left, and old messages, again and again."""
        while True:
            for act in (self._log.sweep, self._notes.sweep, self._prune_messages):
                try:
                    await act()
                except STATEMENT_ERRORS as error:
                    events.emit(
                        events.LoopFailed(
                            loop="realtime sweep", error=str(error), delay_seconds=SWEEP_SECONDS
                        )
                    )
            await asyncio.sleep(SWEEP_SECONDS)

    async def _prune_messages(self) -> None:
        query = self._queries["prune_messages"]
        while await self._pool.fetchval(query, MESSAGE_DAYS_MAX, PRUNE_ROWS_MAX) == PRUNE_ROWS_MAX:
            pass

    def _begin(self) -> None:
        if self._stopping is None and (self._task is None or self._task.done()):
            self._refusal = None
            self._settled.clear()
            self._task = asyncio.create_task(self._run())

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
        if self._holders and not self._closed:
            self._begin()

    async def _run(self) -> None:
        try:
            while True:
                try:
                    publications = await self._choose()
                    assert self._source is not None
                    async with self._source.open(publications):
                        self._settled.set()
                        await self._source.follow(self._hand_over)
                except CaptureRefused as refusal:
                    self._refusal = str(refusal)
                    self._settled.set()
                    return
                except Exception as error:
                    self._settled.clear()
                    await self._recover(error)
        finally:
            await self._drop()

    async def _choose(self) -> list[str]:
        """Choose the source, if none is in use; return the publications that there are."""
        can = await self._pool.fetchrow(self._queries["can_capture"])
        assert can is not None
        publications: list[str] = can["publications"]
        if PUBLICATION not in publications:
            raise CaptureRefused(
                f"RealtimeDisabledForConfiguration: there is no publication {PUBLICATION}"
            )
        if self._source is None:
            logged = can["logs_enough"] and can["may_replicate"]
            self._source = self._log if logged else self._notes
        return publications

    async def _recover(self, error: Exception) -> None:
        """Wait before the next try; without a place to go on from, say that changes are missing."""
        reason = None
        if isinstance(error, ChangesLost):
            reason = str(error)
        elif not isinstance(error, asyncpg.PostgresError | NotDelivered) and not is_passing(error):
            reason = "they could not be read"
        if reason is not None:
            await self._drop()
            self._lost(f"Changes may have been missed: {reason}.")
        delay = self._delay_seconds
        events.emit(events.LoopFailed(loop="realtime", error=repr(error), delay_seconds=delay))
        await asyncio.sleep(delay)
        self._delay_seconds = min(delay * 2, RETRY_SECONDS_MAX)

    async def _hand_over(self, batch: list[Change]) -> None:
        self._delay_seconds = RETRY_SECONDS_FIRST
        if not batch:
            return
        now = clock.monotonic_seconds()
        try:
            await self._deliver(batch)
            self._stuck_at = None
        except Exception as error:
            self._stuck_at = now if self._stuck_at is None else self._stuck_at
            if is_passing(error) and now < self._stuck_at + DELIVER_SECONDS_MAX:
                # Read again from where it stood. A stream of the log must not stay open meanwhile:
                # a Postgres that shuts down waits for it.
                raise NotDelivered(f"{error!r}") from error
            # Going on in silence would lose changes, stopping would lose all that follow.
            events.emit(events.LoopFailed(loop="realtime", error=repr(error), delay_seconds=0))
            self._lost("Changes may have been missed: they could not be delivered.")

    async def _drop(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            await source.drop()
