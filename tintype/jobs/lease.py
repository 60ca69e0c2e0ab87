"""Who works on what, and for how long?

Python's hands for the verbs claim, renew, report, deliver, rescue's counterpart and prune in
`sql/verbs/jobs.sql`, under the same names. The verbs that end a job also move money; their
hands are in `tintype.workers.settlement`.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec

from tintype.database import Connection, Pool
from tintype.errors import Conflict, Fenced, NotFound
from tintype.jobs.job import Job
from tintype.jobs.reading import job_of

# A claim takes at most this many jobs, so that a lease row stays small.
CLAIM_JOBS_MAX = 1000
# Jobs without a queue of their own wait here.
DEFAULT_QUEUE = "images"
# A training is prepared and finished by the server's own worker, and made by one with a GPU.
IDENTITIES_QUEUE = "identities"
TRAINING_QUEUE = "training"


class Lease(msgspec.Struct, frozen=True):
    """The jobs one claim took. They are the worker's until the lease is not renewed in time."""

    id: UUID
    jobs: list[Job]


async def claim(
    pool: Pool, *, queue: str, worker: str, limit: int, lease_seconds: int
) -> Lease | None:
    """Take up to `limit` due jobs of `queue` for `lease_seconds`; None when there are none.

    Highest priority first, then users in turn, then the oldest. Committed when this returns: if
    the process dies before it begins, rescue returns the jobs when the lease expires.
    """
    lease_id = uuid4()
    rows = await pool.fetch(
        "select * from tintype.claim($1, $2, $3, $4, $5)",
        lease_id,
        queue,
        worker,
        min(limit, CLAIM_JOBS_MAX),
        lease_seconds,
    )
    return Lease(lease_id, [job_of(row) for row in rows]) if rows else None


async def renew(
    connection: Connection | Pool, *, worker: str, lease_ids: Sequence[UUID], lease_seconds: int
) -> set[UUID]:
    """Extend `lease_ids` to `lease_seconds` from now; return the jobs under them that are lost.

    A lost job was canceled or given to another worker: stop working on it.
    """
    rows = await connection.fetch(
        "select lost_job_id from tintype.renew($1, $2, $3)", worker, list(lease_ids), lease_seconds
    )
    return {row["lost_job_id"] for row in rows}


async def report(connection: Connection | Pool, reports: Iterable[tuple[Job, int]]) -> set[UUID]:
    """Show the progress, in per cent, of each job; return the ids that are still held.

    The first report of an attempt shows the job as processing.
    """
    held = list(reports)
    rows = await connection.fetch(
        "select job_id from tintype.report($1, $2, $3)",
        [job.id for job, _ in held],
        [job.attempt for job, _ in held],
        [progress for _, progress in held],
    )
    return {row["job_id"] for row in rows}


async def deliver(connection: Connection, job: Job, output: dict[str, Any]) -> bool:
    """Record one finished output in the caller's transaction; False if its position has one.

    `output` has position, bucket, path, url, thumbnail_url, width, height, seed, provider, model
    and metadata. Locks the job. Raises `Fenced` when this attempt no longer holds the job.
    """
    try:
        return bool(
            await connection.fetchval(
                "select tintype.deliver($1, $2, $3)", job.id, job.attempt, output
            )
        )
    except asyncpg.PostgresError as error:
        if error.sqlstate == "TT409":
            raise Fenced() from error
        raise


async def forward(
    connection: Connection | Pool, job: Job, queue: str, payload: dict[str, Any] | None = None
) -> bool:
    """Move a held job on to another queue, for other hands; False when it is held no longer.

    The same job and the same hold, with a new attempt number and its retries anew; `payload` is
    merged into its own. Locks the job, then the user's share of the queue.
    """
    return bool(
        await connection.fetchval(
            "select tintype.forward($1, $2, $3, $4)", job.id, job.attempt, queue, payload
        )
    )


async def close_leases(connection: Connection | Pool, lease_ids: Sequence[UUID]) -> None:
    """Drop those of the leases whose jobs have all ended or moved on."""
    await connection.execute("select tintype.close_leases($1)", list(lease_ids))


async def hasten(pool: Pool, job_id: UUID) -> None:
    """Let a job that waits for a time run now.

    Raises `NotFound` for an unknown job, `Conflict` for one that does not wait for a time.
    """
    try:
        await pool.execute("select tintype.hasten($1)", job_id)
    except asyncpg.PostgresError as error:
        if error.sqlstate == "TT404":
            raise NotFound("job_not_found", str(error.args[0])) from error
        if error.sqlstate == "TT409":
            status = getattr(error, "detail", None)
            raise Conflict(
                "job_not_delayed", str(error.args[0]), details={"status": status}
            ) from error
        raise


async def prune(pool: Pool, *, limit: int) -> int:
    """Forget expired answers, stale shares and pauses, old history and logs, up to `limit` rows
    of each."""
    return int(await pool.fetchval("select tintype.prune($1)", limit))
