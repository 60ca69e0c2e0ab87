"""How does one process work on many jobs, and stop without losing any?"""

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from tintype import clock, database, events, jobs, spans
from tintype.jobs import Job, Lease
from tintype.storage import sweep_uploads
from tintype.workers import delivery, settlement
from tintype.workers.execution import Conclusion, execute, give_back
from tintype.workers.keeper import Keeper
from tintype.workers.kernel import Kernel
from tintype.workers.settlement import Settler

# An idle worker that heard nothing looks again after this long: delayed jobs come due unheard.
IDLE_SECONDS = 1.0
RESCUE_SECONDS = 2.0
RESCUE_LEASES_MAX = 100
EXPIRE_SECONDS = 60.0
EXPIRE_JOBS_MAX = 200
PRUNE_SECONDS = 60.0
PRUNE_ROWS_MAX = 1000
BEAT_SECONDS = 1.0
SWEEP_SECONDS = 5.0
SWEEP_JOBS_MAX = 20
SWEEP_UPLOADS_SECONDS = 300.0
# A worker notices that it lost a job within one lease; this is several.
SWEEP_LEASES = 4
TROUBLE_SECONDS = 1.0
# A worker that stops does not wait longer than this for a database that is away; its leases expire.
GIVE_BACK_SECONDS_MAX = 5.0
CHANNEL = "tintype_jobs"


Perform = Callable[[Kernel, Settler, Job], Awaitable[Conclusion]]
"""Runs one attempt of a claimed job to its end, as `execution.execute` does."""


class Worker:
    """Claims jobs, runs up to `concurrency` at once, renews their leases and rescues others'."""

    def __init__(
        self,
        kernel: Kernel,
        database_url: str,
        *,
        queue: str = jobs.DEFAULT_QUEUE,
        perform: Perform = execute,
        keeps_house: bool = True,
        concurrency: int | None = None,
    ) -> None:
        """`perform` runs an attempt. One worker of a process `keeps_house` for all: it rescues,
        expires, prunes and sweeps. `concurrency` is the configuration's unless it is given."""
        # A new name for every life: an old life's leases are never mistaken for this one's.
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._kernel = kernel
        self._database_url = database_url
        self._queue = queue
        self._perform = perform
        self._keeps_house = keeps_house
        self._concurrency = concurrency or kernel.config.worker.concurrency
        self._settler = Settler(kernel.pool)
        self._running: dict[UUID, asyncio.Task[Conclusion | None]] = {}
        self._lease_left: dict[UUID, int] = {}
        self._returned = 0
        self._nudged = asyncio.Event()
        self._draining = asyncio.Event()
        self._taking = asyncio.Lock()
        self._loops: list[asyncio.Task[None]] = []
        self._keeper = Keeper(
            database_url,
            worker=self.name,
            lease_seconds=kernel.config.worker.lease_seconds,
            lost=self._drop,
        )

    @property
    def running(self) -> int:
        """How many jobs run now."""
        return len(self._running)

    async def start(self, *, claims: bool = True) -> None:
        """Start the loops and return. `claims` False serves `run_one` and rescue only."""
        self._keeper.start()
        works: list[tuple[str, Callable[[], Awaitable[float]]]] = [("beat", self._beat)]
        if self._keeps_house:
            works += [
                ("rescue", self._rescue),
                ("expire", self._expire),
                ("prune", self._prune),
                ("sweep", self._sweep),
                ("sweep uploads", self._sweep_uploads),
            ]
        if claims:
            works.append(("claim", self._claim))
            self._loops.append(asyncio.create_task(self._listen()))
        self._loops += [asyncio.create_task(self._repeat(name, act)) for name, act in works]

    def nudge(self) -> None:
        """Look for due jobs now."""
        self._nudged.set()

    async def run_one(self) -> Conclusion | None:
        """Claim one job and run it to the end of its attempt; None when none is due."""
        lease = await self._take(1)
        if lease is None:
            return None
        tasks = [self._running[job.id] for job in lease.jobs if job.id in self._running]
        return await asyncio.shield(tasks[0]) if tasks else None

    async def drain(self) -> int:
        """Stop claiming, let running jobs end for `drain_seconds`, give the rest back at once.

        What is given back keeps its outputs and its retries. Returns how many were given back. Safe
        to call twice.
        """
        self._draining.set()
        self._nudged.set()
        async with self._taking:
            tasks = set(self._running.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._kernel.config.worker.drain_seconds)
            for task in late:
                task.cancel()
            await asyncio.wait(tasks)
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops.clear()
        await self._settler.close()
        await self._keeper.stop()
        events.emit(events.WorkerDrained(returned=self._returned))
        return self._returned

    async def _claim(self) -> float:
        if self._draining.is_set():
            return IDLE_SECONDS
        free = self._concurrency - len(self._running)
        if free > 0:
            self._nudged.clear()
            if await self._take(free) is not None:
                return 0
        await self._woken(IDLE_SECONDS)
        return 0

    async def _take(self, limit: int) -> Lease | None:
        # A drain waits for a claim under way, so that its jobs are given back with the others.
        async with self._taking:
            return None if self._draining.is_set() else await self._take_now(limit)

    async def _take_now(self, limit: int) -> Lease | None:
        config = self._kernel.config.worker
        lease = await jobs.claim(
            self._kernel.pool,
            queue=self._queue,
            worker=self.name,
            limit=limit,
            lease_seconds=config.lease_seconds,
        )
        if lease is None:
            return None
        self._keeper.add(lease.id)
        self._lease_left[lease.id] = len(lease.jobs)
        events.emit(events.JobsClaimed(count=len(lease.jobs), worker=self.name))
        for job in lease.jobs:
            self._running[job.id] = asyncio.create_task(self._attempt(job, lease))
        return lease

    async def _attempt(self, job: Job, lease: Lease) -> Conclusion | None:
        with spans.span("attempt", traceparent=job.traceparent, **job.words):
            return await self._run(job, lease)

    async def _run(self, job: Job, lease: Lease) -> Conclusion | None:
        try:
            if job.id not in await database.persist(
                lambda: jobs.report(self._kernel.pool, [(job, 0)]),
                seconds_max=settlement.PERSIST_SECONDS_MAX,
            ):
                return None
            # The report has just shown it as started.
            job = msgspec.structs.replace(job, started_at=job.started_at or clock.now())
            return await self._perform(self._kernel, self._settler, job)
        except asyncio.CancelledError:
            # Given back when draining; when canceled or lost the row is another's and unchanged.
            conclusion = await give_back(
                self._kernel,
                job,
                cause="drained",
                delay_seconds=0,
                persist_seconds_max=GIVE_BACK_SECONDS_MAX,
            )
            self._returned += conclusion.status == "queued"
            return conclusion
        except Exception as error:
            events.emit(events.LoopFailed(loop="job", error=repr(error), delay_seconds=0))
            return None
        finally:
            await self._finish(job, lease)

    async def _finish(self, job: Job, lease: Lease) -> None:
        self._running.pop(job.id, None)
        self._nudged.set()
        self._lease_left[lease.id] -= 1
        if self._lease_left[lease.id]:
            return
        del self._lease_left[lease.id]
        self._keeper.forget(lease.id)
        try:
            await jobs.close_leases(self._kernel.pool, [lease.id])
        except Exception as error:
            # It expires by itself; rescue then finds nothing to do under it.
            if not database.is_passing(error):
                raise

    def _drop(self, lost: set[UUID]) -> None:
        for job_id in lost:
            task = self._running.get(job_id)
            if task is not None:
                task.cancel()

    async def _rescue(self) -> float:
        count = await settlement.rescue(self._kernel.pool, limit=RESCUE_LEASES_MAX)
        if count:
            events.emit(events.JobsRescued(count=count))
            self._nudged.set()
        return RESCUE_SECONDS

    async def _expire(self) -> float:
        count = await settlement.expire(self._kernel.pool, limit=EXPIRE_JOBS_MAX)
        return 0 if count == EXPIRE_JOBS_MAX else EXPIRE_SECONDS

    async def _prune(self) -> float:
        count = await jobs.prune(self._kernel.pool, limit=PRUNE_ROWS_MAX)
        return 0 if count >= PRUNE_ROWS_MAX else PRUNE_SECONDS

    async def _sweep(self) -> float:
        lease_seconds = self._kernel.config.worker.lease_seconds
        count = await delivery.sweep(
            self._kernel, after_seconds=SWEEP_LEASES * lease_seconds, limit=SWEEP_JOBS_MAX
        )
        return 0 if count == SWEEP_JOBS_MAX else SWEEP_SECONDS

    async def _sweep_uploads(self) -> float:
        await sweep_uploads(self._kernel.storage)
        return SWEEP_UPLOADS_SECONDS

    async def _beat(self) -> float:
        self._keeper.moved()
        return BEAT_SECONDS

    async def _woken(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._nudged.wait()

    async def _repeat(self, name: str, act: Callable[[], Awaitable[float]]) -> None:
        """Run `act` for ever, each time after the seconds it returned; trouble delays it."""
        while True:
            try:
                delay = await act()
            except Exception as error:
                delay = TROUBLE_SECONDS
                events.emit(events.LoopFailed(loop=name, error=repr(error), delay_seconds=delay))
            await asyncio.sleep(delay)

    async def _listen(self) -> None:
        """Hear of new and canceled jobs; reconnect for ever."""
        while True:
            ended = asyncio.Event()
            connection: asyncpg.Connection[asyncpg.Record] | None = None
            try:
                connection = await asyncpg.connect(self._database_url, timeout=10)
                connection.add_termination_listener(lambda _, ended=ended: ended.set())
                await connection.add_listener(CHANNEL, self._hear)
                self._nudged.set()
                await ended.wait()
            except Exception as error:
                events.emit(
                    events.LoopFailed(
                        loop="listen", error=repr(error), delay_seconds=TROUBLE_SECONDS
                    )
                )
            finally:
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(TROUBLE_SECONDS)

    def _hear(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        word, _, job_id = str(payload).partition(" ")
        if word == "canceled":
            self._drop({UUID(job_id)})
        else:
            self._nudged.set()
