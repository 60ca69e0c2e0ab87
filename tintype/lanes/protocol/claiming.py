"""How do many workers wait for work without asking the database all the time?

Waiting claims share one look per `LOOK_SECONDS` at the queues that any of them waits for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from uuid import UUID

from tintype import clock, jobs
from tintype.database import Pool, is_passing, named_queries
from tintype.jobs import Job, Lease
from tintype.workers import outside

LEASE_SECONDS = 60
LEASE_SECONDS_MAX = 3600
LOOK_SECONDS = 0.2


class Claimer:
    """Claims for workers outside the server."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._look: asyncio.Task[None] | None = None

    async def claim(
        self,
        holder: str,
        queues: Sequence[str],
        *,
        capacity: int,
        wait_seconds: float,
        lease_seconds: int,
        is_gone: Callable[[], Awaitable[bool]],
    ) -> Lease | None:
        """Lease up to `capacity` jobs of the first queue that has any; None after `wait_seconds`.

        They are shown as processing. Whoever `is_gone` when work comes is given none, and nobody
        what was canceled or waited too long. Committed when this returns; an answer that is lost
        on the way is mended by rescue.
        """
        deadline = clock.monotonic_seconds() + wait_seconds
        while True:
            for queue in queues:
                lease = await jobs.claim(
                    self._pool,
                    queue=queue,
                    worker=holder,
                    limit=capacity,
                    lease_seconds=lease_seconds,
                )
                if lease is not None and (wanted := await self._begun(lease)):
                    return Lease(lease.id, wanted)
            left = deadline - clock.monotonic_seconds()
            if left <= 0 or not await self._woken(queues, left) or await is_gone():
                return None

    async def gone(self, holder: str, lease_ids: Sequence[UUID]) -> list[UUID]:
        """Return those of the leases that the holder has no more: everything under them is lost."""
        rows = await self._pool.fetch(
            named_queries("outside")["leases_of"], holder, list(lease_ids)
        )
        there = {row["id"] for row in rows}
        return [one for one in lease_ids if one not in there]

    async def _begun(self, lease: Lease) -> list[Job]:
        wanted = await outside.without_expired(self._pool, lease.jobs)
        held = await jobs.report(self._pool, [(job, 0) for job in wanted])
        return [job for job in wanted if job.id in held]

    async def _woken(self, queues: Sequence[str], seconds: float) -> bool:
        """Wait until one of the queues has work; False when `seconds` are over first."""
        event = asyncio.Event()
        for queue in queues:
            self._waiting.setdefault(queue, set()).add(event)
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
                return True
        except TimeoutError:
            return False
        finally:
            for queue in queues:
                events = self._waiting.get(queue, set())
                events.discard(event)
                if not events:
                    self._waiting.pop(queue, None)

    async def _run(self) -> None:
        while self._waiting:
            await asyncio.sleep(LOOK_SECONDS)
            for queue in await self._ready(list(self._waiting)):
                for event in self._waiting.get(queue, ()):
                    event.set()

    async def _ready(self, queues: list[str]) -> list[str]:
        try:
            rows = await self._pool.fetch(named_queries("outside")["queues_ready"], queues)
        except Exception as error:
            # The next look finds what this one missed.
            if not is_passing(error):
                raise
            with suppress(TimeoutError):
                await asyncio.sleep(LOOK_SECONDS)
            return []
        return [row["queue"] for row in rows]
