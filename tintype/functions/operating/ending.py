"""What may an operator do to jobs, one or many?

Each job has an outcome of its own: one that is refused does not hold up the others, and an order
that was broken off may be given again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec

from tintype import jobs, workers
from tintype.errors import RequestError
from tintype.functions.context import Context
from tintype.functions.operating.asking import Act, Operator, Told
from tintype.functions.submission import database_trouble_told, requeue

JOBS_MAX = 500
# So many are under way at once; requests of users need connections too.
AT_ONCE_MAX = 8

JobIds: TypeAlias = Annotated[list[UUID], msgspec.Meta(min_length=1, max_length=JOBS_MAX)]


class Outcome(Told, frozen=True):
    """What became of one job: what was done, or the code and sentence of the refusal."""

    job_id: UUID
    outcome: str
    done: bool
    message: str | None = None
    new_job_id: UUID | None = None


class Outcomes(Told, frozen=True):
    """One outcome for each job, in the order given; how many were done, how many refused."""

    outcomes: list[Outcome]
    done: int
    refused: int


class Cancel(Act, tag="cancel", frozen=True):
    """End jobs that have not ended; what they delivered stays and is paid for."""

    job_ids: JobIds

    async def perform(self, context: Context, operator: Operator) -> Outcomes:
        """Cancel each job as its owner could. Outcomes: canceled, already_canceled,
        job_already_ended, job_not_found."""

        async def cancel(job_id: UUID) -> Outcome:
            is_canceled = await workers.cancel(
                context.pool, job_id, user_id=None, message="Canceled by an operator."
            )
            return _done(job_id, "canceled" if is_canceled else "already_canceled")

        return await _each(self.job_ids, cancel, operator, "cancel")


class RetryNow(Act, tag="retry_now", frozen=True):
    """Let jobs that wait for their next attempt have it now."""

    job_ids: JobIds

    async def perform(self, context: Context, operator: Operator) -> Outcomes:
        """Hasten each job. Outcomes: hastened, job_not_delayed, job_not_found. A job whose
        provider is paused goes back to waiting."""

        async def hasten(job_id: UUID) -> Outcome:
            await jobs.hasten(context.pool, job_id)
            return _done(job_id, "hastened")

        return await _each(self.job_ids, hasten, operator, "retry_now")


class Requeue(Act, tag="requeue", frozen=True):
    """Make what failed and canceled jobs did not deliver: new jobs, of the same users, at the old
    price."""

    job_ids: JobIds

    async def perform(self, context: Context, operator: Operator) -> Outcomes:
        """Submit each job anew, as `submission.requeue` says. Outcomes: requeued (with the new id),
        job_not_ended_badly, job_not_found, insufficient_credits, project_not_found and the like."""

        async def again(job_id: UUID) -> Outcome:
            new_id = await requeue(context.pool, context.submitter, job_id)
            return Outcome(job_id=job_id, outcome="requeued", done=True, new_job_id=new_id)

        found = await _each(self.job_ids, again, operator, "requeue")
        context.worker.nudge()
        return found


async def _each(
    job_ids: list[UUID],
    act: Callable[[UUID], Awaitable[Outcome]],
    operator: Operator,
    name: str,
) -> Outcomes:
    """Return the outcome of `act` for each job."""
    room = asyncio.Semaphore(AT_ONCE_MAX)

    async def one(job_id: UUID) -> Outcome:
        async with room:
            try:
                with database_trouble_told():
                    outcome = await act(job_id)
            except RequestError as error:
                outcome = _refused(job_id, error)
        operator.tell(name, job_id, outcome.outcome)
        return outcome

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(job_id)) for job_id in dict.fromkeys(job_ids)]
    outcomes = [task.result() for task in tasks]
    done = sum(outcome.done for outcome in outcomes)
    return Outcomes(outcomes=outcomes, done=done, refused=len(outcomes) - done)


def _done(job_id: UUID, outcome: str) -> Outcome:
    return Outcome(job_id=job_id, outcome=outcome, done=True)


def _refused(job_id: UUID, error: RequestError) -> Outcome:
    return Outcome(job_id=job_id, outcome=error.code, done=False, message=error.message)
