"""What do the rows say?

Reads of jobs for functions, the command line and waiting callers. Named queries in
`sql/queries/jobs.sql`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from tintype.database import Connection, Pool, is_passing, named_queries
from tintype.jobs.job import Job

# How often the one shared poll of all waiting callers looks.
WAIT_POLL_SECONDS = 0.1
# A page of a list.
LIST_ROWS_MAX = 1000

_values_of = itemgetter(*(field.name for field in msgspec.structs.fields(Job)))


def job_of(row: Mapping[str, Any]) -> Job:
    """Return the job of a row of `public.jobs`."""
    return Job(*_values_of(row))


async def get(pool: Pool, job_id: UUID, *, user_id: UUID | None = None) -> Job | None:
    """Return the job, or None if there is none or it is not `user_id`'s (None: anyone's)."""
    row = await pool.fetchrow(named_queries("jobs")["get"], job_id, user_id)
    return None if row is None else job_of(row)


async def listing(
    pool: Pool, *, user_id: UUID | None = None, status: str | None = None, limit: int = 50
) -> list[Job]:
    """Return the newest jobs first, at most `limit`."""
    rows = await pool.fetch(
        named_queries("jobs")["list"], user_id, status, min(limit, LIST_ROWS_MAX)
    )
    return [job_of(row) for row in rows]


async def ended(pool: Pool, job_ids: Sequence[UUID]) -> list[Job]:
    """Return those of the jobs that have ended."""
    return [job_of(row) for row in await pool.fetch(named_queries("jobs")["ended"], job_ids)]


async def prepared(pool: Pool, job_ids: Sequence[UUID]) -> list[Job]:
    """Return those of the trainings that have been prepared, have ended, or wait for a while."""
    return [job_of(row) for row in await pool.fetch(named_queries("jobs")["prepared"], job_ids)]


async def outputs(pool: Pool | Connection, job_id: UUID) -> list[dict[str, Any]]:
    """Return the rows of `generations` of a job, by position."""
    return [dict(row) for row in await pool.fetch(named_queries("jobs")["outputs"], job_id)]


async def queue_position(pool: Pool, job: Job) -> int | None:
    """Return how many ready jobs stand before this one, or None if it does not wait."""
    value = await pool.fetchval(named_queries("jobs")["queue_position"], job.queue, job.id)
    return None if value is None else int(value)


async def waiting(pool: Pool, queue: str, *, at_most: int | None = None) -> int:
    """Return how many jobs of a queue could be claimed now; `at_most` bounds what it costs."""
    counted = int(await pool.fetchval(named_queries("jobs")["waiting"], queue, at_most))
    return counted if at_most is None else min(counted, at_most)


async def depth(pool: Pool) -> list[dict[str, Any]]:
    """Return for each queue how many jobs are ready, delayed and leased."""
    return [dict(row) for row in await pool.fetch(named_queries("jobs")["depth"])]


async def queues(pool: Pool | Connection, *, jobs_max: int) -> list[dict[str, Any]]:
    """Return for each queue how many jobs are ready, delayed and leased, and the seconds that the
    oldest ready one has waited; `jobs_max` of each are looked at, which bounds the cost."""
    return [dict(row) for row in await pool.fetch(named_queries("jobs")["queues"], jobs_max)]


async def history(pool: Pool, job_id: UUID) -> list[dict[str, Any]]:
    """Return the steps of a job that did not go the plain way, oldest first."""
    return [dict(row) for row in await pool.fetch(named_queries("jobs")["history"], job_id)]


Find: TypeAlias = Callable[[Pool, Sequence[UUID]], Awaitable[Sequence[Job]]]
"""Returns those of the jobs for which nobody has to wait any more."""


class Waiting:
    """Callers that wait for a job to end, or to be found by `find`, served by one poll for all."""

    def __init__(self, pool: Pool, find: Find = ended) -> None:
        self._pool = pool
        self._find = find
        self._waiting: dict[UUID, list[asyncio.Future[Job]]] = {}
        self._poll: asyncio.Task[None] | None = None

    async def wait(self, job_id: UUID, seconds: float) -> Job | None:
        """Return the job once it is found, or None after `seconds`."""
        future: asyncio.Future[Job] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, []).append(future)
        if self._poll is None or self._poll.done():
            self._poll = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            return None
        finally:
            futures = self._waiting.get(job_id, [])
            if future in futures:
                futures.remove(future)
            if not futures:
                self._waiting.pop(job_id, None)

    async def _run(self) -> None:
        while self._waiting:
            for job in await self._found():
                for future in self._waiting.pop(job.id, []):
                    if not future.done():
                        future.set_result(job)
            await asyncio.sleep(WAIT_POLL_SECONDS)

    async def _found(self) -> Sequence[Job]:
        try:
            return await self._find(self._pool, list(self._waiting))
        except Exception as error:
            # The next look finds them: a caller waits no longer than it wanted to anyway.
            if is_passing(error):
                return []
            raise
