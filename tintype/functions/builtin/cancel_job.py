"""`cancel-job`: end a job that has not ended; what it delivered stays and is paid for."""

from typing import Annotated
from uuid import UUID

import msgspec

from tintype import credits, jobs, workers
from tintype.errors import InvalidRequest, NotFound
from tintype.functions.context import Context
from tintype.functions.contract import Contract
from tintype.functions.invocation import Invocation
from tintype.functions.submission import database_trouble_told
from tintype.jobs import Job, Status

methods = ("POST",)
body_bytes_max = 64 * 1024


class CancelJob(msgspec.Struct, frozen=True, kw_only=True):
    """The body. Both spellings of the id are known."""

    camel: UUID | None = msgspec.field(name="jobId", default=None)
    snake: UUID | None = msgspec.field(name="job_id", default=None)


class Canceled(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The answer."""

    success: bool = True
    job_id: UUID
    job_id_snake: UUID = msgspec.field(name="job_id")
    status: Status
    result_count: int
    credits_released: int


contract = Contract(
    summary="End a job that has not ended; what it delivered stays and is paid for.",
    request=Annotated[
        CancelJob,
        msgspec.Meta(
            extra_json_schema={
                "anyOf": [
                    {"required": [name], "properties": {name: {"type": "string"}}}
                    for name in ("jobId", "job_id")
                ]
            }
        ),
    ],
    answers=(Canceled,),
    refusals={
        "user_required": 403,
        "job_not_found": 404,
        "job_already_ended": 409,
        "database_unavailable": 503,
    },
)


async def serve(invocation: Invocation) -> Canceled:
    """Cancel the caller's job, or anyone's for the service role. Canceling twice is once.

    Raises `NotFound` for a job that is unknown or another user's, `Conflict` when it has ended as
    completed or failed.
    """
    principal = invocation.principal
    user_id = None if principal.is_service else principal.require_user()
    body = await invocation.json(CancelJob)
    job_id = body.camel or body.snake
    if job_id is None:
        raise InvalidRequest("field_invalid", "jobId is missing.", details={"field": "jobId"})
    with database_trouble_told():
        job, released = await _cancel(invocation.context, job_id, user_id)
    return Canceled(
        job_id=job.id,
        job_id_snake=job.id,
        status=job.status,
        result_count=job.result_count,
        credits_released=released,
    )


async def _cancel(context: Context, job_id: UUID, user_id: UUID | None) -> tuple[Job, int]:
    await workers.cancel(context.pool, job_id, user_id=user_id, message="Canceled by its owner.")
    job = await jobs.get(context.pool, job_id)
    if job is None:
        raise NotFound("job_not_found", "There is no such job.")
    hold = await credits.hold(context.pool, job_id)
    return job, hold.released if hold else 0
