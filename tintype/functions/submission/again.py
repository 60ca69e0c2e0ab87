"""How is a job that ended badly made again?

A job that has ended never changes: a new one is submitted for its user, at the old price, for what
the old one did not deliver.
"""

from typing import Any
from uuid import UUID

import msgspec

from tintype import credits, jobs, workers
from tintype.database import Pool, named_queries
from tintype.errors import Conflict, NotFound
from tintype.functions.submission.submitter import Submission, Submitter
from tintype.jobs import Job

ROUTE = "requeue"
# A training changes hands; it begins with the first.
STAGE, FIRST_STAGE = "stage", "prepare"
REQUEUED_FROM = "requeued_from"
# What an attempt wrote into the metadata of its job is not the next job's.
OF_THE_ATTEMPT = frozenset({jobs.TRACEPARENT, workers.REFUSED_POSITIONS})


async def requeue(pool: Pool, submitter: Submitter, job_id: UUID) -> UUID:
    """Submit a failed or canceled job anew, with a hold of its own; return the new job's id.

    A job is made again once: asking twice, at the same moment or a year later, finds the same new
    job, which names the old one in its metadata as `requeued_from`, and can be made again itself if
    it ends badly. It fills the row of pictures or videos that the old one failed, or one of its own
    when that is gone, and the old one's batch; a batch that was asked for again since is
    `batch_busy`. Raises `NotFound` `job_not_found`, `Conflict` `job_not_ended_badly`, and what
    `Submitter.submit` raises.
    """
    job = await jobs.get(pool, job_id)
    hold = await credits.hold(pool, job_id)
    if job is None or hold is None:
        raise NotFound("job_not_found", f"There is no job {job_id}.")
    if job.status not in ("failed", "canceled"):
        raise Conflict("job_not_ended_badly", f"It is {job.status}; it does not run again.")
    if job.result_count == job.quantity:
        raise Conflict("job_not_ended_badly", "It has delivered all that was asked for.")
    made = await pool.fetchval(named_queries("jobs")["made_again"], job.user_id, str(job.id))
    if made is not None:
        return UUID(str(made))
    order = _again(job, hold)
    try:
        acceptance = await submitter.submit(order)
    except NotFound as error:
        if error.code != "asset_not_found":
            raise
        acceptance = await submitter.submit(_without_row(order))
    return acceptance.job_id


def _without_row(order: Submission) -> Submission:
    row_id = jobs.new_id()
    return msgspec.structs.replace(
        order,
        asset_id=None,
        image_id=order.image_id and row_id,
        video_id=order.video_id and row_id,
    )


def _again(job: Job, hold: credits.Hold) -> Submission:
    left = job.quantity - job.result_count
    kept = {name: value for name, value in job.metadata.items() if name not in OF_THE_ATTEMPT}
    return Submission(
        user_id=job.user_id,
        amount=hold.amount // hold.units * left,
        units=left,
        quantity=left,
        prompt=job.prompt or "",
        payload=_payload(job, left),
        metadata=kept | {REQUEUED_FROM: str(job.id)},
        expires_seconds=round((job.expires_at - job.created_at).total_seconds()),
        max_retries=job.max_retries,
        project_id=job.project_id,
        template_id=job.template_id,
        image_id=job.image_id,
        video_id=job.video_id,
        asset_id=job.video_id or job.image_id,
        batch_id=job.batch_id,
        model_id=job.model_id,
        identity_id=job.identity_id,
        job_type=job.job_type,
        queue=_queue(job),
        priority=job.priority,
        route=ROUTE,
        key=str(job.id),
        fingerprint=ROUTE,
    )


def _queue(job: Job) -> str:
    """Return where it begins: it may have been handed on since."""
    if STAGE in job.payload:
        return jobs.IDENTITIES_QUEUE
    kind = jobs.job_types().get(job.job_type)
    return job.queue if kind is None else kind.queue


def _payload(job: Job, left: int) -> dict[str, Any]:
    if STAGE in job.payload:
        return job.payload | {STAGE: FIRST_STAGE}
    config = job.payload.get("config")
    if not isinstance(config, dict) or "num_images" not in config:
        return job.payload
    return job.payload | {"config": config | {"num_images": left}}
