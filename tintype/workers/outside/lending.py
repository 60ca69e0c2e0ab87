"""How does a worker outside the server get a job, and how does it give one back?

A job is lent: it is leased to the worker for as long as its type may take, and returns to its
queue by itself when nothing is reported by then.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import msgspec

from tintype import clock, jobs
from tintype.database import Pool, named_queries
from tintype.jobs import Job, job_of, lease_seconds_by_type
from tintype.workers import settlement
from tintype.workers.outside.identity import OutsideWorker

# What of a payload is the server's own business, or is told in another way.
PAYLOAD_KEPT = frozenset(("adapters", "identity", "sample", "training"))
DEFAULT_BUCKET = "generations"
# As long as `tintype.pop` lends a job whose type is in no table.
LEASE_SECONDS_DEFAULT = 600
# A request looks no further than through so many jobs that waited too long.
EXPIRED_JOBS_MAX = 200


class Held(msgspec.Struct, frozen=True):
    """A job that a worker has, under one lease. `holder` is the worker or the queue's carrier."""

    job: Job
    lease_id: UUID
    holder: str


async def pop(pool: Pool, holder: str, queue: str, *, limit: int = 1) -> list[Job]:
    """Lend up to `limit` due jobs of `queue` to `holder`; they are shown as processing.

    Committed when this returns: a worker that dies before it reads the answer loses the jobs to
    rescue when their type's time is over. Jobs that waited too long end on the way, as expired.
    """
    seen = 0
    while seen < EXPIRED_JOBS_MAX:
        rows = await pool.fetch(
            "select * from tintype.pop($1, $2, $3, $4, $5)",
            uuid4(),
            queue,
            holder,
            limit,
            dict(lease_seconds_by_type()),
        )
        found = await without_expired(pool, [job_of(row) for row in rows])
        if found or not rows:
            return found
        seen += len(rows)
    return []


async def without_expired(pool: Pool, held_jobs: Sequence[Job]) -> list[Job]:
    """End those of the jobs just leased that waited too long, and return the others."""
    now = clock.now()
    for job in held_jobs:
        if job.expires_at <= now:
            failure = await settlement.fail(
                pool,
                job,
                cause="expired",
                message="The job waited longer than jobs may wait.",
                delay_seconds=None,
                spends_retry=False,
            )
            if failure is not None:
                settlement.tell(
                    job, status=failure.status, outputs=failure.delivered, cause="expired"
                )
    return [job for job in held_jobs if job.expires_at > now]


async def held(pool: Pool, worker: OutsideWorker, job_id: UUID) -> Held | None:
    """Return the job with its lease if this worker has it now, else None."""
    row = await pool.fetchrow(named_queries("outside")["held"], worker.holders, job_id)
    return None if row is None else Held(job_of(row), row["lease_id"], row["holder"])


async def prolong(pool: Pool, lent: Held, seconds: int) -> None:
    """Let a lease that has not expired last `seconds` from now at least."""
    await pool.execute("select tintype.prolong($1, $2)", lent.lease_id, seconds)


def lease_seconds_of(job: Job) -> int:
    """Return how long a job is lent to a worker that cannot renew."""
    return lease_seconds_by_type().get(job.job_type, LEASE_SECONDS_DEFAULT)


async def give_back(pool: Pool, lent: Held, *, cause: str = "returned") -> None:
    """Return a job to its queue at once, without spending a retry."""
    await settlement.fail(
        pool,
        lent.job,
        cause=cause,
        message="The worker gave the job back.",
        delay_seconds=0,
        spends_retry=False,
    )
    await jobs.close_leases(pool, [lent.lease_id])


async def held_counts(pool: Pool) -> dict[str, int]:
    """Return by holder how many jobs workers outside the server have."""
    rows = await pool.fetch(named_queries("outside")["held_counts"])
    return {row["holder"]: row["jobs"] for row in rows}


def is_native(job_type: str) -> bool:
    """Return whether only workers of `/worker/v1` know jobs of this type: trainings, adapters."""
    kind = jobs.job_types().get(job_type)
    return kind is not None and not kind.is_offered


@cache
def native_queues() -> frozenset[str]:
    """Return the queues that no worker of the original's dialect may take from."""
    kinds = jobs.job_types().values()
    return frozenset(kind.queue for kind in kinds if not kind.is_offered) - {
        kind.queue for kind in kinds if kind.is_offered
    }


def bucket_of(job: Job) -> str:
    """Return the bucket that a job's outputs lie in."""
    return str(job.payload.get("bucket", DEFAULT_BUCKET))


def job_document(job: Job) -> dict[str, Any]:
    """Return what a worker reads of a job, under the names of both of the original's dialects.

    A picture that is made with an adapter has the adapter's trigger word in its prompt.
    """
    config: Mapping[str, Any] = job.payload.get("config", {})
    variant = job.payload.get("model_variant")
    created_at = job.created_at.isoformat()
    return {
        "id": job.id,
        "jobId": job.id,
        "job_id": job.id,
        "type": job.job_type,
        "jobType": job.job_type,
        "job_type": job.job_type,
        "userId": job.user_id,
        "user_id": job.user_id,
        "projectId": job.project_id,
        "imageId": job.image_id,
        "image_id": job.image_id,
        "videoId": job.video_id,
        "video_id": job.video_id,
        "prompt": _prompt(job),
        "negative_prompt": job.payload.get("negative_prompt"),
        "modelVariant": variant,
        "model_variant": variant,
        "isSDXL": job.job_type.startswith("sdxl_"),
        "numImages": job.quantity,
        "num_images": job.quantity,
        "bucket": bucket_of(job),
        "config": dict(config),
        "metadata": job.metadata,
        "attempt": job.attempt,
        "traceparent": job.traceparent,
        "created_at": created_at,
        "timestamp": created_at,
    }


def shown_payload(job: Job) -> dict[str, Any]:
    """Return what a worker sees of a job's payload."""
    return {name: value for name, value in job.payload.items() if name not in PAYLOAD_KEPT}


def _prompt(job: Job) -> str | None:
    word = job.payload.get("trigger_word")
    if not word or word.lower() in (job.prompt or "").lower():
        return job.prompt
    return f"{word}, {job.prompt}" if job.prompt else str(word)
