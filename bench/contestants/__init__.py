"""Who is measured?

Each module is one queue and has the same acts, run in a process of their own by `bench.subject`:

    prepare(url)                         make the schema in an empty database
    fill(url, jobs)                      queue so many jobs, as fast as it can
    settle(url, mode, jobs, seconds_max) drain them with one worker, to the last row
    enqueue(url, mode, callers, seconds) queue one at a time with so many callers, or in batches

A peer gets the settings its own documentation names as fast, and every doubt: its clock starts
when its first job starts, ours before the first claim.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from bench.figures import percentile

BATCH_JOBS = 1000
POLL_SECONDS = 0.005


async def called(
    callers: int, seconds: float, act: Callable[[int], Awaitable[None]], *, jobs: int = 1
) -> dict[str, float]:
    """Let `callers` callers await `act` again and again for `seconds`; return rate and waits.

    `act` gets its caller's number and makes `jobs` jobs.
    """
    waits: list[float] = []
    began = time.perf_counter()
    ends = began + seconds

    async def caller(number: int) -> None:
        sent = time.perf_counter()
        while sent < ends:
            await act(number)
            now = time.perf_counter()
            waits.append(now - sent)
            sent = now

    await asyncio.gather(*(caller(number) for number in range(callers)))
    elapsed = time.perf_counter() - began
    waits.sort()
    return {
        "jobs": len(waits) * jobs,
        "per_s": len(waits) * jobs / elapsed,
        "p50_ms": percentile(waits, 0.50) * 1000,
        "p99_ms": percentile(waits, 0.99) * 1000,
    }


class Clock:
    """Times a worker by its jobs: from the first that starts to the last row that says done."""

    def __init__(self, jobs: int) -> None:
        self._left = jobs
        self._began: float | None = None
        self.all_started = asyncio.Event()

    def tick(self) -> None:
        """A job has started."""
        if self._began is None:
            self._began = time.perf_counter()
        self._left -= 1
        if self._left <= 0:
            self.all_started.set()

    async def stopped(
        self, jobs: int, seconds_max: float, done: Callable[[], Awaitable[int]]
    ) -> dict[str, float]:
        """Wait until the database says that all `jobs` are done, or until the time is over.

        `done` counts them in the database. It is not asked before the last job has started.
        """
        try:
            async with asyncio.timeout(seconds_max):
                await self.all_started.wait()
        except TimeoutError:
            finished = await done()
        else:
            while (finished := await done()) < jobs:
                await asyncio.sleep(POLL_SECONDS)
        elapsed = time.perf_counter() - (self._began or 0)
        return {"jobs": finished, "seconds": elapsed, "per_s": finished / elapsed}
