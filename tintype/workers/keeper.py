"""Who renews the leases while the work keeps everybody busy?

A thread with an event loop and a connection of its own: neither a long decode nor a busy loop
stops it. It watches the main loop in turn: one that has not moved for `STALL_SECONDS_MAX` loses
its leases, so that a hung worker does not hold jobs for ever.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import asyncpg

from tintype import clock, events, jobs

# Three chances to renew before a lease expires.
RENEWALS_PER_LEASE = 4
STALL_SECONDS_MAX = 300.0
CONNECT_SECONDS_MAX = 10.0


class Keeper:
    """Renews the leases it is told of until it is told to forget them."""

    def __init__(
        self,
        database_url: str,
        *,
        worker: str,
        lease_seconds: int,
        lost: Callable[[set[UUID]], None],
    ) -> None:
        """`lost` is called on the loop that called `start`, with ids this worker holds no more."""
        self._database_url = database_url
        self._worker = worker
        self._lease_seconds = lease_seconds
        self._lost = lost
        self._leases: set[UUID] = set()
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._own: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._moved_at = clock.monotonic_seconds()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Start the thread; call from the main loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._main, name="lease-keeper", daemon=True)
        self._thread.start()

    def moved(self) -> None:
        """Say that the main loop is alive."""
        self._moved_at = clock.monotonic_seconds()

    def add(self, lease_id: UUID) -> None:
        """Renew this lease from now on."""
        with self._guard:
            self._leases.add(lease_id)

    def forget(self, lease_id: UUID) -> None:
        """Renew it no longer."""
        with self._guard:
            self._leases.discard(lease_id)

    async def stop(self) -> None:
        """End the thread; what it was told of expires in its time."""
        self._stopping.set()
        if self._own is not None:
            loop, ended = self._own
            # Its loop may have closed at this very moment.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(ended.set)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, CONNECT_SECONDS_MAX)

    def _main(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        pause = self._lease_seconds / RENEWALS_PER_LEASE
        connection: asyncpg.Connection[asyncpg.Record] | None = None
        ended = asyncio.Event()
        self._own = asyncio.get_running_loop(), ended
        # On this loop and not in a further thread: a process that ends does not wait for it.
        while not self._stopping.is_set() and not await _is_set(ended, pause):
            try:
                if connection is None or connection.is_closed():
                    connection = await asyncpg.connect(
                        self._database_url, timeout=CONNECT_SECONDS_MAX
                    )
                    await connection.execute("set role service_role")
                await self._renew(connection)
            except Exception as error:
                events.emit(
                    events.LoopFailed(loop="keeper", error=repr(error), delay_seconds=pause)
                )
                if connection is not None:
                    connection.terminate()
                    connection = None
        if connection is not None:
            connection.terminate()

    async def _renew(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        with self._guard:
            leases = list(self._leases)
        stalled = clock.monotonic_seconds() - self._moved_at > STALL_SECONDS_MAX
        if not leases or stalled:
            return
        lost = await jobs.renew(
            connection,
            worker=self._worker,
            lease_ids=leases,
            lease_seconds=self._lease_seconds,
        )
        if lost and self._loop is not None:
            self._loop.call_soon_threadsafe(self._lost, lost)


async def _is_set(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event; False when `seconds` are over first."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
