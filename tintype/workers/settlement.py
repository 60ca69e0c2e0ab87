"""How does a job end, and its hold with it?

Python's hands for the verbs complete, fail, cancel and rescue of `sql/verbs/settlement.sql`:
each ends the job and resolves its hold in one transaction, fenced by the attempt number.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from tintype import clock, events, jobs, spans
from tintype.database import Connection, Gatherer, Pool, is_passing, persist
from tintype.errors import Conflict, NotFound, TintypeError
from tintype.jobs import TERMINAL, Job, Status

# How long a settlement is repeated while the database is away. After that the lease expires, and
# whoever takes the job next finds its outputs delivered.
PERSIST_SECONDS_MAX = 300.0


class Completion(msgspec.Struct, frozen=True):
    """A job whose outputs are delivered, with the reason when some are missing."""

    job: Job
    error_code: str | None = None
    error_message: str | None = None


class Failure(msgspec.Struct, frozen=True):
    """What became of a job whose attempt failed."""

    status: Status
    next_run_at: datetime | None
    retries: int
    delivered: int


class Settler:
    """Completes jobs, many in one transaction when many finish at once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._gatherer: Gatherer[Completion, bool] = Gatherer(self._write)

    async def complete(self, completion: Completion) -> bool:
        """End the job as completed, capture what was delivered and release the rest.

        Returns False when the job had ended or was another's by then; nothing changed. Outlasts a
        database that is away for up to `PERSIST_SECONDS_MAX`.
        """

        async def attempt() -> bool:
            return await self._gatherer.add(completion)

        with spans.span("settle"):
            return await persist(attempt, seconds_max=PERSIST_SECONDS_MAX)

    async def close(self) -> None:
        """Wait until every completion handed in is written."""
        await self._gatherer.close()

    async def _write(self, completions: list[Completion]) -> list[bool]:
        rows = await self._pool.fetch(
            "select job_id from tintype.settle_complete($1, $2, $3, $4, '{}')",
            [one.job.id for one in completions],
            [one.job.attempt for one in completions],
            [one.error_code for one in completions],
            [one.error_message for one in completions],
        )
        ended = {row["job_id"] for row in rows}
        return [one.job.id in ended for one in completions]


async def complete(connection: Connection, completion: Completion, *, lease_id: UUID) -> bool:
    """Do what `Settler.complete` does in the caller's transaction, and close the lease.

    Returns False when the job had ended or was another's by then; nothing changed.
    """
    job = completion.job
    with spans.span("settle"):
        row = await connection.fetchrow(
            "select job_id from tintype.settle_complete($1, $2, $3, $4, $5)",
            [job.id],
            [job.attempt],
            [completion.error_code],
            [completion.error_message],
            [lease_id],
        )
    return row is not None


async def fail(
    pool: Pool,
    job: Job,
    *,
    cause: str,
    message: str,
    delay_seconds: float | None,
    spends_retry: bool,
    metadata: dict[str, Any] | None = None,
    persist_seconds_max: float = PERSIST_SECONDS_MAX,
) -> Failure | None:
    """Give up this attempt: back to the queue after `delay_seconds`, or ended when that is None.

    `spends_retry` counts it against the job's retries; when none is left the job ends, completed
    with what was delivered or failed, and its hold resolves. `metadata` is merged into the job's.
    Returns None when the attempt is not the job's own any more; nothing changed.
    """

    async def attempt() -> Any:
        return await pool.fetchrow(
            "select * from tintype.settle_fail($1, $2, $3, $4, $5, $6, $7)",
            job.id,
            job.attempt,
            cause,
            message,
            delay_seconds,
            spends_retry,
            metadata or {},
        )

    with spans.span("settle", cause=cause):
        row = await persist(attempt, seconds_max=persist_seconds_max)
    return None if row is None else Failure(**dict(row))


async def cancel(pool: Pool, job_id: UUID, *, user_id: UUID | None, message: str) -> bool:
    """End the job as canceled, keep and capture what was delivered, release the rest.

    `user_id` None cancels anyone's. Returns False when it was canceled already. Raises `NotFound`
    for a job that is unknown or another user's, `Conflict` for one that has ended otherwise.
    """
    try:
        rows = await pool.fetch(
            "select job_id from tintype.settle_cancel($1, $2, $3)", job_id, user_id, message
        )
    except asyncpg.PostgresError as error:
        raise _told(error) from error
    await _tell_ended(pool, [row["job_id"] for row in rows])
    return bool(rows)


async def rescue(pool: Pool, *, limit: int) -> int:
    """Take the jobs of up to `limit` expired leases from their workers; return how many jobs.

    Each goes back to its queue at once, which spends a retry, or ends when none is left.
    """
    rows = await pool.fetch("select job_id, status from tintype.settle_rescue($1)", limit)
    await _tell_ended(pool, [row["job_id"] for row in rows if row["status"] in TERMINAL])
    return len(rows)


async def expire(pool: Pool, *, limit: int) -> int:
    """End up to `limit` jobs that waited longer than jobs may on queues that nobody works on.

    Their credits are released, less what was delivered. Returns how many.
    """
    rows = await pool.fetch("select job_id from tintype.settle_expired($1)", limit)
    await _tell_ended(pool, [row["job_id"] for row in rows])
    return len(rows)


def tell(job: Job, *, status: str, outputs: int, cause: str | None) -> None:
    """Emit `JobSettled` for a job that has just ended so; `job` may be the row before its end."""
    now = job.completed_at or clock.now()
    started_at = job.started_at
    events.emit(
        events.JobSettled(
            job=str(job.id),
            user=str(job.user_id),
            job_type=job.job_type,
            queue=job.queue,
            status=status,
            outputs=outputs,
            cause=cause,
            attempt=job.attempt,
            # Two machines' clocks may tell it.
            seconds=max(0.0, (now - job.created_at).total_seconds()),
            running_seconds=max(0.0, (now - started_at).total_seconds()) if started_at else None,
        )
    )


async def _tell_ended(pool: Pool, job_ids: Sequence[UUID]) -> None:
    """Tell of jobs that a verb has just ended by itself, if the database still answers."""
    if not job_ids:
        return
    try:
        ended = await jobs.ended(pool, job_ids)
    except Exception as error:
        # What was done stands, whoever could be told of it.
        if not is_passing(error):
            raise
        return
    for job in ended:
        tell(job, status=job.status, outputs=job.result_count, cause=job.error_code)


def _told(error: asyncpg.PostgresError) -> TintypeError | asyncpg.PostgresError:
    message = str(error.args[0]) if error.args else ""
    if error.sqlstate == "TT404":
        return NotFound("job_not_found", message)
    if error.sqlstate == "TT409":
        status = getattr(error, "detail", None)
        return Conflict("job_already_ended", message, details={"status": status})
    return error
