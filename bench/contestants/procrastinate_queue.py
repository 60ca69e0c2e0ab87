"""procrastinate: tasks on psycopg, one job per fetch.

`default` is its worker as it comes: one job at a time on asyncio. `fast` is concurrency 30 on
uvloop, with a pool as large.
"""

import asyncio
from itertools import count
from typing import Any

import asyncpg
import procrastinate
from procrastinate import PsycopgConnector

from bench.contestants import BATCH_JOBS, Clock, called

CONCURRENCY_FAST = 30
POOL_CONNECTIONS_MAX = 16
PAYLOAD: dict[str, Any] = {
    "prompt": "a robot holding a skateboard",
    "model": "sandbox",
    "aspect_ratio": "1:1",
}
QUEUE = "images"


def _app(url: str, connections_max: int) -> procrastinate.App:
    connector = PsycopgConnector(conninfo=url, min_size=connections_max, max_size=connections_max)
    return procrastinate.App(connector=connector)


async def prepare(url: str) -> None:
    """Apply its schema."""
    async with _app(url, 1).open_async() as app:
        await app.schema_manager.apply_schema_async()


async def fill(url: str, jobs: int) -> None:
    """Queue jobs with `batch_defer_async`, 1,000 at a time."""
    app = _app(url, 1)
    noop = app.task(queue=QUEUE, name="noop")(_nothing)
    async with app.open_async():
        for first in range(0, jobs, BATCH_JOBS):
            rows = [{"number": n, **PAYLOAD} for n in range(first, min(first + BATCH_JOBS, jobs))]
            await noop.batch_defer_async(*rows)


async def settle(url: str, mode: str, jobs: int, seconds_max: float) -> dict[str, float]:
    """Drain `jobs` no-op jobs with one worker; what is not done after `seconds_max` is left."""
    fast = mode == "fast"
    app = _app(url, CONCURRENCY_FAST if fast else 4)
    clock = Clock(jobs)

    @app.task(queue=QUEUE, name="noop")
    async def noop(**_: object) -> None:
        clock.tick()

    async with app.open_async():
        watch = await asyncpg.connect(url)

        async def done() -> int:
            return int(
                await watch.fetchval(
                    "select count(*) from procrastinate_jobs where status = 'succeeded'"
                )
            )

        worker = asyncio.create_task(
            app.run_worker_async(
                concurrency=CONCURRENCY_FAST if fast else 1, install_signal_handlers=False
            )
        )
        try:
            return await clock.stopped(jobs, seconds_max, done)
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
            await watch.close()


async def enqueue(url: str, mode: str, callers: int, seconds: float) -> dict[str, float]:
    """Queue jobs, `mode` one: `defer_async`; batch: `batch_defer_async` of 1,000."""
    app = _app(url, POOL_CONNECTIONS_MAX)
    noop = app.task(queue=QUEUE, name="noop")(_nothing)
    numbers = count()

    async def one(_: int) -> None:
        await noop.defer_async(number=next(numbers), **PAYLOAD)

    async def batch(_: int) -> None:
        await noop.batch_defer_async(
            *({"number": next(numbers), **PAYLOAD} for _ in range(BATCH_JOBS))
        )

    async with app.open_async():
        if mode == "one":
            return await called(callers, seconds, one)
        return await called(callers, seconds, batch, jobs=BATCH_JOBS)


async def _nothing(**_: object) -> None:
    return None
