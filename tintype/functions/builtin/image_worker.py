"""`image-worker`: run one due job inside the call, as browsers of older apps ask for.

Anyone may call it, so it can only nudge: which job runs is the queue's choice, it runs as it would
anyway, and callers are held to a rate.
"""

import asyncio
from typing import Any

from tintype import credits, jobs
from tintype.functions.invocation import Invocation
from tintype.functions.rate import RateLimit, address_of
from tintype.functions.submission import database_trouble_told
from tintype.workers import Conclusion

methods = ("POST", "GET")
body_bytes_max = 64 * 1024

# Apps call every 3 s while jobs are pending; several tabs and users share an address.
RATE = RateLimit("image-worker", per_second=2.0, burst=20)
# A job that takes longer goes on without its caller, who would be cut off by the wall clock.
ANSWER_SECONDS_MAX = 120.0
NO_JOBS = {"message": "No jobs available"}
GOES_ON = {"message": "The job goes on"}


async def serve(invocation: Invocation) -> dict[str, Any]:
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


async def _answer(invocation: Invocation, conclusion: Conclusion) -> dict[str, Any]:
    job_id = conclusion.job.id
    match conclusion.status:
        case "completed":
            return {
                "success": True,
                "jobId": job_id,
                "imagesGenerated": conclusion.made,
                "imagesFailed": conclusion.failed,
            }
        case "queued":
            job = await jobs.get(invocation.context.pool, job_id)
            return {
                "success": False,
                "jobId": job_id,
                "retryScheduled": True,
                "nextRetry": conclusion.retries,
                "nextRunAt": conclusion.next_run_at or (job.next_run_at if job else None),
            }
        case _:
            hold = await credits.hold(invocation.context.pool, job_id)
            return {
                "success": False,
                "jobId": job_id,
                "failed": True,
                "creditsRefunded": hold.released if hold else 0,
            }
