"""How does a worker keep going: many jobs, dead networks, canceled jobs, its own end?"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2

from tintype.worker_client.client import (
    FETCH_BYTES_MAX,
    Claim,
    JobLost,
    WorkerClient,
    WorkerRefused,
)

LEASE_SECONDS = 60
# A lease is renewed this often in its life.
RENEWALS_PER_LEASE = 3
WAIT_SECONDS = 20.0
TROUBLE_SECONDS = 1.0
TROUBLE_SECONDS_MAX = 30.0
DRAIN_SECONDS = 20.0

logger = logging.getLogger("tintype.worker_client")


class JobFailed(Exception):
    """Raised by a handler: the job cannot be done. With `retry` it may go well another time."""

    def __init__(self, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.retry = retry


class Task:
    """One job in work. What is uploaded is reported when the handler returns.

    A training's handler sets `adapter` (`{"path", "sha256"}`) before that, and `trained`
    (`{"steps", "loss"}`) when it knows.
    """

    def __init__(self, client: WorkerClient, job: dict[str, Any]) -> None:
        self.client = client
        self.job = job
        self.outputs: dict[int, dict[str, Any]] = {}
        self.enhanced_prompt: str | None = None
        self.adapter: dict[str, Any] | None = None
        self.trained: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        """The job's id."""
        return str(self.job["id"])

    @property
    def prompt(self) -> str:
        """What to make."""
        return str(self.job["prompt"] or "")

    @property
    def config(self) -> dict[str, Any]:
        """How to make it: size, steps, guidance, frames, seed, …"""
        return dict(self.job.get("config") or {})

    @property
    def quantity(self) -> int:
        """How many outputs are wanted."""
        return int(self.job["quantity"])

    @property
    def training(self) -> dict[str, Any] | None:
        """What a training is to do: base, steps, rank, captions, checkpoint, …; None for others."""
        return self.job.get("training")

    @property
    def adapters(self) -> list[dict[str, Any]]:
        """The adapters to make the pictures with: `id`, `url`, `sha256`, `bytes`, `weight`."""
        return list(self.job.get("adapters") or [])

    async def progress(self, percent: float) -> None:
        """Show how far the job is, 0 to 100. Raises `JobLost`; it stops for no other trouble."""
        await self._tell(percent, None)

    async def training_progress(
        self,
        percent: float,
        *,
        step: int,
        steps: int,
        loss: float | None = None,
        learning_rate: float | None = None,
        sample: str | None = None,
        checkpoint: Mapping[str, Any] | None = None,
    ) -> None:
        """Show how far a training is: `step` of `steps`, and what was stored at that step.

        `sample` is the path of a stored picture; `checkpoint` is `{"path", "step"}` of a stored
        one, which takes the place of those before: another worker goes on from it. Raises as
        `progress`.
        """
        await self._tell(
            percent,
            {
                "step": step,
                "steps": steps,
                "loss": loss,
                "learning_rate": learning_rate,
                "sample": sample,
                "checkpoint": None if checkpoint is None else dict(checkpoint),
            },
        )

    async def grant(self, kind: str, step: int | None = None) -> dict[str, Any]:
        """Return a grant for one more file of a training; see `WorkerClient.grant`."""
        return await self.client.grant(self.job, kind, step=step)

    async def store(self, grant: Mapping[str, Any], data: bytes | Path) -> str:
        """Upload a file by its grant and return its path, by which it is told of."""
        await self.client.upload(grant, data)
        return str(grant["path"])

    async def fetch(self, url: str, path: Path, *, bytes_max: int = FETCH_BYTES_MAX) -> None:
        """Write what a URL of the job holds to a file; see `WorkerClient.fetch`."""
        await self.client.fetch(url, path, bytes_max=bytes_max)

    async def _tell(self, percent: float, training: Mapping[str, Any] | None) -> None:
        try:
            await self.client.progress(self.job, percent, training=training)
        except JobLost:
            raise
        except (WorkerRefused, httpx2.TransportError) as error:
            logger.warning("job %s: progress is not told: %r", self.id, error)

    async def upload(self, position: int, data: bytes | Path, *, seed: int | None = None) -> None:
        """Upload the output at `position`, from bytes or a file."""
        grant = self.job["uploads"][position]
        if self.training is not None:
            # A training may last longer than the grant that came with it.
            grant = await self.grant("sheet")
        await self.client.upload(grant, data)
        self.outputs[position] = {"path": grant["path"]} | ({} if seed is None else {"seed": seed})

    async def references(self) -> list[bytes]:
        """Return the pictures that the job starts from."""
        return [await self.client.download(url) for url in self.job.get("references", [])]


Handler = Callable[[Task], Awaitable[None]]


async def run(
    client: WorkerClient,
    handler: Handler,
    *,
    queues: Sequence[str] | None = None,
    capacity: int = 1,
    stop: asyncio.Event | None = None,
    drain_seconds: float = DRAIN_SECONDS,
) -> None:
    """Do jobs with `handler`, up to `capacity` at once, until `stop` is set.

    A handler that returns completes its job with what it uploaded; `JobFailed` ends it or sends it
    back; any other error sends it back for another try. It is canceled when its job is: whatever
    it holds must be put away in `finally`. At the end unfinished jobs get `drain_seconds`, then go
    back to their queue as they are. A key that the server refuses ends this with `WorkerRefused`.
    """
    await _Runner(client, handler, queues, capacity).run(stop or asyncio.Event(), drain_seconds)


class _Runner:
    def __init__(
        self,
        client: WorkerClient,
        handler: Handler,
        queues: Sequence[str] | None,
        capacity: int,
    ) -> None:
        self._client = client
        self._handler = handler
        self._queues = queues
        self._capacity = capacity
        self._running: dict[str, asyncio.Task[None]] = {}
        self._leases: dict[str, set[str]] = {}
        self._is_draining = False

    async def run(self, stop: asyncio.Event, drain_seconds: float) -> None:
        renewing = asyncio.create_task(self._renew_for_ever())
        stopping = asyncio.create_task(stop.wait())
        try:
            trouble = TROUBLE_SECONDS
            while not stop.is_set():
                if len(self._running) >= self._capacity:
                    await asyncio.wait(
                        [stopping, *self._running.values()], return_when=asyncio.FIRST_COMPLETED
                    )
                    continue
                claim = await self._claim(stopping)
                if claim is None:
                    await asyncio.wait([stopping], timeout=trouble * random.uniform(0.5, 1.5))  # noqa: S311
                    trouble = min(2 * trouble, TROUBLE_SECONDS_MAX)
                    continue
                trouble = TROUBLE_SECONDS
                self._begin(claim)
            if self._running:
                await asyncio.wait(self._running.values(), timeout=drain_seconds)
        finally:
            # The last words (a release for each unfinished job) are heard out.
            self._is_draining = True
            tasks = [*self._running.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            renewing.cancel()
            stopping.cancel()
            await asyncio.gather(renewing, stopping, return_exceptions=True)

    async def _claim(self, stopping: "asyncio.Task[bool]") -> Claim | None:
        """Claim what there is room for; None after network trouble."""
        claiming = asyncio.create_task(
            self._client.claim(
                queues=self._queues,
                capacity=self._capacity - len(self._running),
                wait_seconds=WAIT_SECONDS,
                lease_seconds=LEASE_SECONDS,
            )
        )
        await asyncio.wait([claiming, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not claiming.done():
            # What the server leases to us at this very moment comes back by itself.
            claiming.cancel()
            await asyncio.gather(claiming, return_exceptions=True)
            return Claim(None, LEASE_SECONDS, [])
        try:
            return claiming.result()
        except httpx2.TransportError as error:
            logger.warning("the server is not reached: %r", error)
        except WorkerRefused as error:
            if error.status < 500:
                raise
            logger.warning("the server cannot serve: %s", error)
        return None

    def _begin(self, claim: Claim) -> None:
        if claim.lease_id is None:
            return
        self._leases[claim.lease_id] = {str(job["id"]) for job in claim.jobs}
        for job in claim.jobs:
            task = asyncio.create_task(self._work(Task(self._client, job), claim.lease_id))
            self._running[str(job["id"])] = task

    async def _work(self, task: Task, lease_id: str) -> None:
        try:
            await self._handle(task)
        except JobLost:
            logger.info("job %s is not ours any more", task.id)
        except asyncio.CancelledError:
            if self._is_draining:
                with suppress(WorkerRefused, httpx2.TransportError):
                    await self._client.release(task.job)
        except (WorkerRefused, httpx2.TransportError) as error:
            # Nothing can be told now; the lease expires and the job goes back.
            logger.warning("job %s: %r", task.id, error)
        finally:
            self._running.pop(task.id, None)
            self._leases.get(lease_id, set()).discard(task.id)
            if not self._leases.get(lease_id):
                self._leases.pop(lease_id, None)

    async def _handle(self, task: Task) -> None:
        try:
            await self._do(task)
        except JobLost:
            raise
        except WorkerRefused as error:
            # What the server would not take, or not give: it would not the next time either.
            await self._client.fail(
                task.job, f"The server refused: {error.code}.", retry=error.status >= 500
            )
        except JobFailed as error:
            await self._client.fail(task.job, str(error), retry=error.retry)
        except Exception as error:
            logger.exception("job %s", task.id)
            await self._client.fail(
                task.job, f"The worker failed: {type(error).__name__}.", retry=True
            )

    async def _do(self, task: Task) -> None:
        await self._handler(task)
        if not task.outputs:
            await self._client.fail(task.job, "The worker made nothing.")
            return
        outputs = [task.outputs[position] for position in sorted(task.outputs)]
        await self._client.complete(
            task.job,
            outputs,
            enhanced_prompt=task.enhanced_prompt,
            adapter=task.adapter,
            training=task.trained,
        )

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / RENEWALS_PER_LEASE)
            with suppress(WorkerRefused, httpx2.TransportError):
                await self._renew()

    async def _renew(self) -> None:
        if not self._leases:
            return
        lost, gone = await self._client.renew([*self._leases], lease_seconds=LEASE_SECONDS)
        for lease_id in gone:
            lost |= self._leases.get(lease_id, set())
        for job_id in lost:
            if job_id in self._running:
                self._running[job_id].cancel()
