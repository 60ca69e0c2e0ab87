"""How does a job get onto a list of Redis, and how is it noticed that somebody took it?

By looking at the list, twice a second. A job that is leased to the carrier and on the list waits:
its lease is renewed. One that is leased and not on the list was popped: it is shown as processing,
and its lease lasts as long as its type may take.
"""

import asyncio
from contextlib import suppress
from uuid import UUID

import asyncpg
import msgspec

from tintype import events, jobs
from tintype.config import Config, LanesConfig
from tintype.database import Pool, named_queries
from tintype.errors import OperatorError
from tintype.jobs import Job, job_of
from tintype.workers import settlement
from tintype.workers.outside.carrying.lists import Lists, ListsFailed, RedisLists, UpstashLists
from tintype.workers.outside.lending import (
    job_document,
    lease_seconds_of,
    native_queues,
    without_expired,
)

LOOK_SECONDS = 0.5
TROUBLE_SECONDS = 1.0
# A job that waits on a list is given back this long after its carrier died.
WAITING_LEASE_SECONDS = 60
DRAIN_SECONDS_MAX = 5.0
# The first half of the advisory lock that makes a carrier the only one of its queue.
LOCK_CLASS = 730_541


class Waiting(msgspec.Struct, frozen=True):
    """A job that is leased to the carrier."""

    job: Job
    lease_id: UUID

    @property
    def element(self) -> tuple[str, int]:
        """What tells its element of the list from every other."""
        return str(self.job.id), self.job.attempt


def open_carriers(config: Config, pool: Pool, database_url: str) -> "list[Carrier]":
    """Return a carrier for each queue that the configuration wants carried; none by default.

    Raises `OperatorError` when the settings do not fit together.
    """
    settings = config.lanes
    if not settings.carried_queues:
        return []
    native = sorted(native_queues() & set(settings.carried_queues))
    if native:
        raise OperatorError(
            "queue_not_carried",
            f"carried_queues names {', '.join(native)}, whose jobs are taken over /worker/v1 only.",
        )
    return [
        Carrier(pool, database_url, _lists(settings), queue, depth_max=settings.depth_max)
        for queue in settings.carried_queues
    ]


def _lists(settings: LanesConfig) -> Lists:
    if settings.redis_url:
        return RedisLists(settings.redis_url)
    if settings.upstash_url and settings.upstash_token:
        return UpstashLists(settings.upstash_url, settings.upstash_token)
    raise OperatorError(
        "carrier_without_redis",
        "carried_queues needs redis_url, or upstash_url and upstash_token.",
    )


class Carrier:
    """Carries one queue."""

    def __init__(
        self, pool: Pool, database_url: str, lists: Lists, queue: str, *, depth_max: int
    ) -> None:
        self.queue = queue
        self._pool = pool
        self._database_url = database_url
        self._lists = lists
        self._holder = f"carrier:{queue}"
        self._depth_max = depth_max
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Carry from now on."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop; jobs that still wait on the list are taken off it and go back to their queue."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        await self._lists.close()

    async def look(self) -> None:
        """Bring the list and the leases together, once. Raises `ListsFailed`.

        A crash anywhere in here leaves a leased job that is on no list, or on the list twice: the
        first comes back when its lease expires, the second counts once.
        """
        held = await self._held()
        try:
            there = await self._there(held)
        except ListsFailed:
            # Nobody knows what was popped meanwhile: what waited stays leased.
            await self._renew([one for one in held if one.job.status == "queued"])
            raise
        await self._renew([one for one in held if one.element in there])
        popped = [one for one in held if one.element not in there]
        for one in popped:
            if one.job.status == "queued":
                await self._show_popped(one)
        for _ in range(self._depth_max - len(there)):
            if not await self._carry_one():
                break

    async def _run(self) -> None:
        while True:
            try:
                await self._run_alone()
            except Exception as error:
                events.emit(
                    events.LoopFailed(
                        loop=f"carrier {self.queue}",
                        error=repr(error),
                        delay_seconds=TROUBLE_SECONDS,
                    )
                )
            await asyncio.sleep(TROUBLE_SECONDS)

    async def _run_alone(self) -> None:
        """Carry for as long as the lock of this queue is ours; return when another has it."""
        connection = await asyncpg.connect(self._database_url, timeout=10)
        lock = "select pg_try_advisory_lock($1, hashtext($2))"
        try:
            if not await connection.fetchval(lock, LOCK_CLASS, self.queue):
                return
            try:
                while True:
                    await self.look()
                    await connection.execute("select 1")
                    await asyncio.sleep(LOOK_SECONDS)
            except asyncio.CancelledError:
                with suppress(TimeoutError, ListsFailed):
                    async with asyncio.timeout(DRAIN_SECONDS_MAX):
                        await self._drain()
                raise
        finally:
            connection.terminate()

    async def _held(self) -> list[Waiting]:
        rows = await self._pool.fetch(named_queries("outside")["carried"], self._holder)
        return [Waiting(job_of(row), row["lease_id"]) for row in rows]

    async def _there(self, held: list[Waiting]) -> set[tuple[str, int]]:
        """Return what waits on the list, and take off what nobody may start any more."""
        known = {one.element for one in held}
        there, strange = set(), {}
        for value in await self._lists.contents(self.queue):
            element = _element(value)
            if element in known:
                there.add(element)
            elif element is not None:
                strange[value] = element
        if strange:
            # A carrier whose lock was just lost may have put it there since.
            now_known = {one.element for one in await self._held()}
            for value, element in strange.items():
                if element not in now_known:
                    await self._lists.remove(self.queue, value)
        return there

    async def _renew(self, waiting: list[Waiting]) -> None:
        if waiting:
            await jobs.renew(
                self._pool,
                worker=self._holder,
                lease_ids=[one.lease_id for one in waiting],
                lease_seconds=WAITING_LEASE_SECONDS,
            )

    async def _show_popped(self, one: Waiting) -> None:
        await jobs.renew(
            self._pool,
            worker=self._holder,
            lease_ids=[one.lease_id],
            lease_seconds=lease_seconds_of(one.job),
        )
        await jobs.report(self._pool, [(one.job, 0)])

    async def _carry_one(self) -> bool:
        lease = await jobs.claim(
            self._pool,
            queue=self.queue,
            worker=self._holder,
            limit=1,
            lease_seconds=WAITING_LEASE_SECONDS,
        )
        if lease is None:
            return False
        for job in await without_expired(self._pool, lease.jobs):
            await self._push(job)
        return True

    async def _push(self, job: Job) -> None:
        try:
            await self._lists.push(self.queue, _value(job))
        except ListsFailed:
            # If it got there all the same, whoever pops it finds it taken.
            await self._give_back(job)
            raise

    async def _drain(self) -> None:
        for one in await self._held():
            if one.job.status == "queued":
                if await self._lists.remove(self.queue, _value(one.job)):
                    await self._give_back(one.job)
                else:
                    await self._show_popped(one)

    async def _give_back(self, job: Job) -> None:
        await settlement.fail(
            self._pool,
            job,
            cause="returned",
            message="Redis did not carry the job.",
            delay_seconds=0,
            spends_retry=False,
        )


def _value(job: Job) -> str:
    return msgspec.json.encode(job_document(job), order="sorted").decode()


def _element(value: str) -> tuple[str, int] | None:
    """Return which job and attempt an element is; None for what is none of ours."""
    try:
        document = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
        return msgspec.json.decode(document["id"], type=str), msgspec.json.decode(
            document["attempt"], type=int
        )
    except (msgspec.MsgspecError, KeyError, ValueError):
        return None
