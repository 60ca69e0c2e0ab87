"""When is the catalogue read again?

When the database says `notify pgrst` (as migrations for Supabase end with), when its listening
connection was away, and when a request names what the catalogue does not have, at most once in
`MISS_SECONDS_MIN`.
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from tintype import clock, database, events
from tintype.database import is_passing
from tintype.rest.catalogue import Catalogue, read_catalogue

if TYPE_CHECKING:
    Listening: TypeAlias = asyncpg.Connection[asyncpg.Record]

CHANNEL = "pgrst"
MISS_SECONDS_MIN = 1.0
RECONNECT_SECONDS = 1.0
CONNECT_SECONDS_MAX = 10.0


class Keeper:
    """Keeps one `Catalogue`. Call `start` before, and `close` at the end."""

    def __init__(self, pool: database.Pool, database_url: str, schemas: tuple[str, ...]) -> None:
        self._pool = pool
        self._url = database_url
        self._schemas = schemas
        self._lock = asyncio.Lock()
        self._began_at = 0.0
        self._called = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._timezones: frozenset[str] | None = None
        self.catalogue: Catalogue

    async def start(self) -> None:
        """Listen, and read the catalogue; raise when the database is away."""
        connection = await self._connect()
        try:
            await self.read()
        except BaseException:
            connection.terminate()
            raise
        self._tasks = [
            asyncio.create_task(self._listen(connection)),
            asyncio.create_task(self._reread()),
        ]

    async def close(self) -> None:
        """Stop listening."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def read(self) -> None:
        """Read the catalogue now."""
        async with self._lock:
            await self._read()

    async def timezones(self) -> frozenset[str]:
        """Return the names of all time zones, which the first who asks waits for."""
        async with self._lock:
            if self._timezones is None:
                rows = await self._pool.fetch(database.named_queries("rest")["timezones"])
                self._timezones = frozenset(row["name"] for row in rows)
        return self._timezones

    async def reread_after_miss(self, missed: Catalogue) -> bool:
        """Return whether there is a newer catalogue than `missed`, reading one if it is time."""
        missed_at = clock.monotonic_seconds()
        async with self._lock:
            # One that began before the miss may not show what was made in between.
            if missed_at - self._began_at >= MISS_SECONDS_MIN:
                await self._read()
        return self.catalogue is not missed

    async def _read(self) -> None:
        self._began_at = clock.monotonic_seconds()
        self.catalogue = await read_catalogue(self._pool, self._schemas)

    async def _connect(self) -> "Listening":
        connection = await asyncpg.connect(self._url, timeout=CONNECT_SECONDS_MAX)
        await connection.add_listener(CHANNEL, self._hear)
        return connection

    async def _listen(self, connection: "Listening") -> None:
        while True:
            lost = asyncio.Event()
            try:
                connection.add_termination_listener(lambda *_, lost=lost: lost.set())
                if not connection.is_closed():
                    await lost.wait()
            finally:
                connection.terminate()
            while connection.is_closed():
                await asyncio.sleep(RECONNECT_SECONDS)
                try:
                    connection = await self._connect()
                except Exception as error:
                    if not is_passing(error) and not isinstance(error, asyncpg.PostgresError):
                        raise
                    _tell("rest_listener", error)
            # What was said meanwhile was not heard.
            self._called.set()

    def _hear(self, *_: Any) -> None:
        self._called.set()

    async def _reread(self) -> None:
        while True:
            await self._called.wait()
            self._called.clear()
            try:
                await self.read()
            except Exception as error:
                if not is_passing(error) and not isinstance(error, asyncpg.PostgresError):
                    raise
                _tell("rest_catalogue", error)
                self._called.set()
                await asyncio.sleep(RECONNECT_SECONDS)


def _tell(loop: str, error: Exception) -> None:
    events.emit(events.LoopFailed(loop=loop, error=str(error), delay_seconds=RECONNECT_SECONDS))
