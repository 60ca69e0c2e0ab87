"""Tintype: the verbs of its kernel, through the pool and the functions its server uses.

Every job holds a credit when it is queued. Settling it writes the job, captures the hold with an
entry in the ledger and moves the balance of its account, in one transaction.
"""

import asyncio
import time
from itertools import count, pairwise
from uuid import UUID

import asyncpg
import msgspec

from bench.contestants import BATCH_JOBS, called
from tintype import credits, database
from tintype.functions import Submission, Submitter
from tintype.jobs import DEFAULT_QUEUE, Lease, claim, close_leases
from tintype.workers.settlement import Completion, Settler

POOL_CONNECTIONS_MAX = 16
USERS = [UUID(int=(0xBE << 120) + number) for number in range(200)]
CREDITS_EACH = 1_000_000_000
LEASE_SECONDS = 60
CLAIM_JOBS = 1000
COMPLETERS = 2
# Leases whose jobs are being settled, while the next is claimed.
LEASES_WAITING_MAX = 4
SLICES = 10
FILLERS = 2
WARM_TURNS = 10
PICTURES = ["https://app.example/storage/v1/object/public/generations/a-robot.png"]


async def prepare(url: str) -> None:
    """Migrate, and open the accounts of 200 users."""
    await database.migrate(url)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "select tintype.grant_credits(u, $2) from unnest($1::uuid[]) as u",
            USERS,
            CREDITS_EACH,
        )
    finally:
        await connection.close()


async def fill(url: str, jobs: int) -> None:
    """Queue jobs of all users in turn through `submit`, 1,000 in a transaction."""
    pool = await database.connect(url, size_max=FILLERS, role=None)
    try:
        await top_up(pool, jobs)
    finally:
        await pool.close()


async def top_up(pool: database.Pool, jobs: int) -> None:
    """Queue so many jobs, each with its one picture delivered, so that settling captures it.

    `pool` acts as an administrator: nobody else may write a job past the verbs.
    """
    parts = iter(
        [BATCH_JOBS] * (jobs // BATCH_JOBS) + [jobs % BATCH_JOBS] * (jobs % BATCH_JOBS > 0)
    )
    users = count()

    async def filler() -> None:
        for part in parts:
            batch = [submission(next(users)) for _ in range(part)]
            await _submit(pool, batch)
            await pool.execute(
                "update public.jobs set result_count = 1, result_urls = $2 where id = any($1)",
                [one.job_id for one in batch],
                PICTURES,
            )

    await asyncio.gather(*(filler() for _ in range(FILLERS)))


def submission(number: int) -> Submission:
    """Return a new job of one picture for one credit."""
    one = Submission(
        user_id=USERS[number % len(USERS)],
        amount=1,
        units=1,
        quantity=1,
        prompt="a robot holding a skateboard",
        payload={"model": "sandbox", "aspect_ratio": "1:1"},
        expires_seconds=36 * 3600,
        max_retries=3,
    )
    one.hold_id = one.job_id
    return one


async def _submit(pool: database.Pool, submissions: list[Submission]) -> None:
    for ordinal, one in enumerate(submissions, 1):
        one.ordinal = ordinal
    rows = await pool.fetch(
        "select outcome from tintype.submit($1)", msgspec.json.encode(submissions).decode()
    )
    if [row["outcome"] for row in rows] != ["accepted"] * len(submissions):
        raise RuntimeError(f"a fill was refused: {rows[0]['outcome']}")


async def settle(url: str, mode: str, jobs: int, seconds_max: float) -> dict[str, object]:
    """Drain `jobs` jobs. `batched`: one statement settles a lease. `gathered`: each job awaits.

    Both claim 1,000 at a time in one task and settle on two connections. `gathered` is how the
    worker does it: every job calls `Settler.complete` by itself.
    """
    del seconds_max  # it is never the one that is cut off
    pool = await database.connect(url, size_max=POOL_CONNECTIONS_MAX)
    try:
        await _warm(pool)
        drain = Drain(pool, gathered=mode == "gathered")
        await drain.run(jobs)
        done = await pool.fetchval(
            "select count(*) from public.jobs where status = 'completed' and result_count = 1"
        )
        if done != jobs or drain.settled != jobs:
            raise RuntimeError(f"{done} jobs are completed, {drain.settled} were told; not {jobs}")
        return {
            "jobs": jobs,
            "seconds": drain.seconds,
            "per_s": jobs / drain.seconds,
            "slices_per_s": drain.slices_per_s,
        }
    finally:
        await pool.close()


class Drain:
    """Claims in one task and settles in two, until so many jobs are done."""

    def __init__(self, pool: database.Pool, *, gathered: bool = False) -> None:
        self.gathered = gathered
        self.settled = 0
        self.seconds = 0.0
        self._pool = pool
        self._times: list[tuple[float, int]] = []

    async def run(self, jobs: int) -> None:
        """Drain `jobs` jobs and add the time it took to `seconds`."""
        leases: asyncio.Queue[Lease | None] = asyncio.Queue(LEASES_WAITING_MAX)
        settler = Settler(self._pool)
        began = time.perf_counter()
        self._times = [(began, self.settled)]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._claim(jobs, leases))
            for _ in range(COMPLETERS):
                group.create_task(self._settle(leases, settler))
        await settler.close()
        self.seconds += time.perf_counter() - began

    @property
    def slices_per_s(self) -> list[float]:
        """The rate in each tenth of the last drain."""
        step = max(1, (len(self._times) - 1) // SLICES)
        ends = self._times[::step]
        return [
            (after - before) / (ended - began) for (began, before), (ended, after) in pairwise(ends)
        ]

    async def _claim(self, jobs_left: int, leases: "asyncio.Queue[Lease | None]") -> None:
        while jobs_left > 0:
            lease = await claim(
                self._pool,
                queue=DEFAULT_QUEUE,
                worker="bench",
                limit=min(CLAIM_JOBS, jobs_left),
                lease_seconds=LEASE_SECONDS,
            )
            if lease is None:
                raise RuntimeError(f"the queue is empty, {jobs_left} jobs are missing")
            jobs_left -= len(lease.jobs)
            await leases.put(lease)
        for _ in range(COMPLETERS):
            await leases.put(None)

    async def _settle(self, leases: "asyncio.Queue[Lease | None]", settler: Settler) -> None:
        while (lease := await leases.get()) is not None:
            if self.gathered:
                ended_each = await asyncio.gather(
                    *(settler.complete(Completion(job)) for job in lease.jobs)
                )
                await close_leases(self._pool, [lease.id])
                ended = sum(ended_each)
            else:
                ended = await _settle_at_once(self._pool, lease)
            self.settled += ended
            self._times.append((time.perf_counter(), self.settled))


async def _settle_at_once(pool: database.Pool, lease: Lease) -> int:
    nothing = [None] * len(lease.jobs)
    rows = await pool.fetch(
        "select job_id from tintype.settle_complete($1, $2, $3, $4, $5)",
        [job.id for job in lease.jobs],
        [job.attempt for job in lease.jobs],
        nothing,
        nothing,
        [lease.id],
    )
    return len(rows)


async def turns(urls: dict[str, str], turns: int, turn_jobs: int) -> dict[str, float]:
    """Work on several databases in turn; return the rate of each, topping up not counted.

    A turn settles `turn_jobs` jobs, and then as many are queued again. The first `WARM_TURNS` turns
    of each database are not counted: a connection plans its first statements anew each time.
    """
    pools = {name: await database.connect(url, size_max=4) for name, url in urls.items()}
    fillers = {
        name: await database.connect(url, size_max=FILLERS, role=None) for name, url in urls.items()
    }
    drains = {name: Drain(pool) for name, pool in pools.items()}
    try:
        for turn in range(WARM_TURNS + turns):
            for name in pools:
                await drains[name].run(turn_jobs)
                await top_up(fillers[name], turn_jobs)
                if turn < WARM_TURNS:
                    drains[name].seconds = 0.0
        return {name: turns * turn_jobs / drain.seconds for name, drain in drains.items()}
    finally:
        for pool in (*pools.values(), *fillers.values()):
            await pool.close()


async def drain(url: str, jobs: int) -> dict[str, object]:
    """Settle `jobs` of the jobs that are queued, batched."""
    pool = await database.connect(url, size_max=POOL_CONNECTIONS_MAX)
    try:
        await _warm(pool)
        one = Drain(pool)
        await one.run(jobs)
        return {"per_s": jobs / one.seconds, "slices_per_s": one.slices_per_s}
    finally:
        await pool.close()


async def enqueue(url: str, mode: str, callers: int, seconds: float) -> dict[str, float]:
    """Queue jobs, `mode` one: each caller awaits `Submitter.submit`; batch: 1,000 at a time."""
    pool = await database.connect(url, size_max=POOL_CONNECTIONS_MAX)
    try:
        await _warm(pool)
        submitter = Submitter(pool, welcome=0)
        users = count()

        async def one(_: int) -> None:
            await submitter.submit(submission(next(users)))

        async def batch(_: int) -> None:
            await _submit(pool, [submission(next(users)) for _ in range(BATCH_JOBS)])

        if mode == "one":
            return await called(callers, seconds, one)
        return await called(callers, seconds, batch, jobs=BATCH_JOBS)
    finally:
        await pool.close()


async def verify(url: str) -> dict[str, object]:
    """Prove the ledger and that nothing is left held, leased or queued twice."""
    pool = await database.connect(url, size_max=1)
    try:
        verification = await credits.verify(pool)
        return {
            "holds_true": verification.holds_true,
            "open_holds": verification.open_holds,
            "jobs": verification.jobs,
            "holds": verification.holds,
            "leases": await pool.fetchval("select count(*) from tintype.leases"),
            "ready": await pool.fetchval("select count(*) from tintype.ready"),
            "findings": [msgspec.to_builtins(finding) for finding in verification.findings[:5]],
        }
    finally:
        await pool.close()


async def _warm(pool: database.Pool) -> None:
    held = [await pool.acquire() for _ in range(POOL_CONNECTIONS_MAX)]
    for connection in held:
        await pool.release(connection)
