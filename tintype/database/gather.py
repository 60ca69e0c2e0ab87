"""How do many small writes become one transaction?

Concurrent callers each await one write. What has arrived while the previous transaction ran goes
into the next one: no timer, so a lone caller waits for nothing, and a crowd shares one commit.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import asyncpg

from tintype.database.trouble import is_passing

Item = TypeVar("Item")
Result = TypeVar("Result")

# Callers waiting beyond this are refused rather than kept in memory.
WAITING_MAX = 20_000


class Overloaded(Exception):
    """More than `WAITING_MAX` callers are waiting for the database."""


class Gatherer(Generic[Item, Result]):
    """Runs `write` on what has gathered, at most `batch_max` items at once, on `lanes` lanes.

    `write` takes a list of items and returns their results in the same order, in one
    transaction. When it fails on the data of a batch, its items are written one by one, so that
    one bad item fails alone.
    """

    def __init__(
        self,
        write: Callable[[list[Item]], Awaitable[list[Result]]],
        *,
        lanes: int = 2,
        batch_max: int = 500,
    ) -> None:
        self._write = write
        self._batch_max = batch_max
        self._lanes_free = lanes
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def add(self, item: Item) -> Result:
        """Write `item` with whatever else is waiting; return or raise what became of it.

        A caller that goes away does not take its item back: it may be written all the same.
        """
        if len(self._waiting) >= WAITING_MAX:
            raise Overloaded
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._lanes_free:
            self._lanes_free -= 1
            task = asyncio.create_task(self._run())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await future

    async def close(self) -> None:
        """Wait until what was added is written."""
        while self._running:
            await asyncio.wait(self._running)

    async def _run(self) -> None:
        try:
            while self._waiting:
                count = min(len(self._waiting), self._batch_max)
                await self._write_batch([self._waiting.popleft() for _ in range(count)])
        finally:
            self._lanes_free += 1

    async def _write_batch(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._write([item for item, _ in batch])
        except Exception as error:
            if _is_of_the_data(error) and len(batch) > 1:
                for pair in batch:
                    await self._write_batch([pair])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)


def _is_of_the_data(error: Exception) -> bool:
    return isinstance(error, asyncpg.PostgresError | ValueError) and not is_passing(error)
