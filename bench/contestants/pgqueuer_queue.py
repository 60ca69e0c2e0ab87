"""pgqueuer: entrypoints on asyncpg, dequeued and logged in batches.

`default` is its worker as it comes: batches of 10 on one connection. `fast500` and `fast1000` are
its best here: a pool and batches of that many. All on uvloop, as its own command line runs.
Durability stays at `durable`; its other levels keep jobs in unlogged tables.
"""

import asyncio
import json
from itertools import count

import asyncpg
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.qm import QueueManager
from pgqueuer.queries import Queries

from bench.contestants import BATCH_JOBS, Clock, called

BATCHES = {"default": 10, "fast500": 500, "fast1000": 1000}
POOL_CONNECTIONS_MAX = 16
ENTRYPOINT = "noop"
PAYLOAD = {"prompt": "a robot holding a skateboard", "model": "sandbox", "aspect_ratio": "1:1"}


async def prepare(url: str) -> None:
    """Install its schema."""
    connection = await asyncpg.connect(url)
    try:
        await Queries(AsyncpgDriver(connection)).install()
    finally:
        await connection.close()


async def fill(url: str, jobs: int) -> None:
    """Queue jobs with the list form of `enqueue`, 1,000 at a time."""
    connection = await asyncpg.connect(url)
    try:
        queries = Queries(AsyncpgDriver(connection))
        numbers = count()
        for first in range(0, jobs, BATCH_JOBS):
            await _enqueue_many(queries, numbers, min(BATCH_JOBS, jobs - first))
    finally:
        await connection.close()


async def settle(url: str, mode: str, jobs: int, seconds_max: float) -> dict[str, float]:
    """Drain `jobs` no-op jobs with one worker; what is not done after `seconds_max` is left."""
    async with asyncpg.create_pool(url, min_size=4, max_size=POOL_CONNECTIONS_MAX) as pool:
        watch = await asyncpg.connect(url)
        alone = await asyncpg.connect(url)
        fast = mode != "default"
        manager = QueueManager(Queries(AsyncpgPoolDriver(pool) if fast else AsyncpgDriver(alone)))
        clock = Clock(jobs)

        @manager.entrypoint(ENTRYPOINT)
        async def noop(_: Job) -> None:
            clock.tick()

        async def done() -> int:
            # A job that is done leaves the table.
            return jobs - int(await watch.fetchval("select count(*) from pgqueuer"))

        worker = asyncio.create_task(manager.run(batch_size=BATCHES[mode]))
        try:
            return await clock.stopped(jobs, seconds_max, done)
        finally:
            manager.shutdown.set()
            await worker
            await alone.close()
            await watch.close()


async def enqueue(url: str, mode: str, callers: int, seconds: float) -> dict[str, float]:
    """Queue jobs through a pool, `mode` one: `enqueue` of one; batch: of 1,000."""
    async with asyncpg.create_pool(
        url, min_size=POOL_CONNECTIONS_MAX, max_size=POOL_CONNECTIONS_MAX
    ) as pool:
        queries = Queries(AsyncpgPoolDriver(pool))
        numbers = count()

        async def one(_: int) -> None:
            await queries.enqueue(ENTRYPOINT, _payload(next(numbers)))

        async def batch(_: int) -> None:
            await _enqueue_many(queries, numbers, BATCH_JOBS)

        if mode == "one":
            return await called(callers, seconds, one)
        return await called(callers, seconds, batch, jobs=BATCH_JOBS)


async def _enqueue_many(queries: Queries, numbers: "count[int]", jobs: int) -> None:
    payloads: list[bytes | None] = [_payload(next(numbers)) for _ in range(jobs)]
    await queries.enqueue([ENTRYPOINT] * jobs, payloads, [0] * jobs)


def _payload(number: int) -> bytes:
    return json.dumps({"number": number, **PAYLOAD}).encode()
