"""`image-worker`: run one due job inside the call, as browsers of older apps ask for.

Anyone may call it, so it can only nudge: which job runs is the queue's choice, it runs as it would
anyway, and callers are held to a rate.
"""

import asyncio
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from tintype import credits, jobs
from tintype.functions.contract import Contract
from tintype.functions.invocation import Invocation
from tintype.functions.rate import RateLimit
from tintype.functions.submission import database_trouble_told
from tintype.rate import Limit, address_of
from tintype.workers import Conclusion

methods = ("POST", "GET")
body_bytes_max = 64 * 1024

# Apps call every 3 s while jobs are pending; several tabs and users share an address.
RATE = RateLimit("image-worker", Limit(20, seconds=10))
# A job that takes longer goes on without its caller, who would be cut off by the wall clock.
ANSWER_SECONDS_MAX = 120.0


class Told(msgspec.Struct, frozen=True):
    """No job ended in this call."""

    message: Literal["No jobs available", "The job goes on"]


class Completed(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The job has completed, with what could be made."""

    success: Literal[True] = True
    job_id: UUID
    images_generated: int
    images_failed: int


class Requeued(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The attempt failed and another follows."""

    success: Literal[False] = False
    job_id: UUID
    retry_scheduled: Literal[True] = True
    next_retry: int
    next_run_at: datetime | None


class Failed(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The job has ended without completing."""

    success: Literal[False] = False
    job_id: UUID
    failed: Literal[True] = True
    credits_refunded: int


Outcome: TypeAlias = Told | Completed | Requeued | Failed

NO_JOBS = Told("No jobs available")
GOES_ON = Told("The job goes on")

contract = Contract(
    summary="Run one due job inside the call; which one is the queue's choice.",
    answers=(Told, Completed, Requeued, Failed),
    refusals={"rate_limited": 429, "database_unavailable": 503},
)


async def serve(invocation: Invocation) -> Outcome:
    """Claim and run one due job; say what became of it. Answers at once when none is due."""
    context = invocation.context
    context.rate.take(RATE.name, address_of(invocation.request.scope))
    context.worker.nudge()
    # Callers share the server's own bound on jobs at once; above it they only nudge.
    if context.worker.running >= context.config.worker.concurrency:
        return NO_JOBS
    with database_trouble_told():
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX) as limit:
                conclusion = await context.worker.run_one()
        except TimeoutError:
            if limit.expired():
                return GOES_ON
            raise
        if conclusion is None or conclusion.status is None:
            return NO_JOBS
        return await _answer(invocation, conclusion)


async def _answer(invocation: Invocation, conclusion: Conclusion) -> Outcome:
    job_id = conclusion.job.id
    match conclusion.status:
        case "completed":
            return Completed(
                job_id=job_id, images_generated=conclusion.made, images_failed=conclusion.failed
            )
        case "queued":
            job = await jobs.get(invocation.context.pool, job_id)
            return Requeued(
                job_id=job_id,
                next_retry=conclusion.retries,
                next_run_at=conclusion.next_run_at or (job.next_run_at if job else None),
            )
        case _:
            hold = await credits.hold(invocation.context.pool, job_id)
            return Failed(job_id=job_id, credits_refunded=hold.released if hold else 0)
