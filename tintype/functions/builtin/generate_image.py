"""`generate-image`: ask for pictures, and get a job at once."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from tintype.errors import InvalidRequest
from tintype.functions.contract import Contract, told
from tintype.functions.function import Reply
from tintype.functions.invocation import Invocation
from tintype.functions.picturing import PICTURE_REFUSALS, PictureChoices, begin
from tintype.functions.submission import (
    IDEMPOTENCY_KEY,
    Acceptance,
    Key,
    database_trouble_told,
    keyed,
    wait_seconds,
)
from tintype.jobs import Job, Status

methods = ("POST",)
# Larger reference pictures are uploaded first and named by their path.
body_bytes_max = 32 * 1024 * 1024

ROUTE = "generate-image"
QUANTITY_MAX = 4


class GenerateImage(PictureChoices, rename="camel", frozen=True, kw_only=True):
    """The body. Only `prompt` is needed; None is the model's own default."""

    quantity: Annotated[int, told(minimum=1, maximum=QUANTITY_MAX)] = 1
    image_urls: list[str] | None = None
    template_id: UUID | None = None


class Accepted(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The answer. From `progress` on it is what `Prefer: wait` waited for."""

    job_id: UUID
    job_id_snake: UUID = msgspec.field(name="job_id")
    status: Status
    quantity: int
    credits_held: int
    credits_remaining: int
    progress: int | UnsetType = UNSET
    result_urls: list[str] | UnsetType = UNSET
    result_urls_snake: list[str] | UnsetType = msgspec.field(name="result_urls", default=UNSET)
    result_count: int | UnsetType = UNSET
    result_count_snake: int | UnsetType = msgspec.field(name="result_count", default=UNSET)
    error_code: str | UnsetType | None = UNSET
    error_code_snake: str | UnsetType | None = msgspec.field(name="error_code", default=UNSET)
    error_message: str | UnsetType | None = UNSET
    error_message_snake: str | UnsetType | None = msgspec.field(name="error_message", default=UNSET)


contract = Contract(
    summary="Ask for pictures, and get a job at once.",
    request=GenerateImage,
    answers=(Accepted,),
    refusals=PICTURE_REFUSALS | {"quantity_out_of_range": 400},
    headers={
        "Idempotency-Key": IDEMPOTENCY_KEY,
        "Prefer": Annotated[str, told(examples=["wait=30"])],
    },
    answer_headers={"Preference-Applied": str},
)


async def serve(invocation: Invocation) -> Reply:
    """Hold the credits, enqueue the job and answer with it; `Prefer: wait=N` waits for its end.

    The answer is sent after one committed transaction. An `Idempotency-Key` makes it repeatable
    for 24 hours. Whatever is wrong with the request is a 4xx, and nothing is held or stored.
    """
    context, principal = invocation.context, invocation.principal
    seconds = wait_seconds(invocation.header("prefer"))
    user_id, header = principal.require_user(), invocation.header("idempotency-key")
    with keyed(context.submitter, user_id, ROUTE, header) as key:
        with database_trouble_told():
            body = await invocation.json(GenerateImage)
            acceptance = await _accept(invocation, body, key)
        context.worker.nudge()
        answer = _answer(acceptance, body.quantity)
        if not seconds:
            return Reply(200, answer)
        job = await context.waiting.wait(acceptance.job_id, seconds)
        if job is not None:
            answer = _finished(answer, job)
        return Reply(200, answer, {"preference-applied": f"wait={seconds}"})


async def _accept(invocation: Invocation, body: GenerateImage, key: Key) -> Acceptance:
    urls = body.image_urls or []
    # What they name may have changed since.
    if (urls or body.is_personal) and (replayed := await key.replayed(body)) is not None:
        return replayed
    if not 1 <= body.quantity <= QUANTITY_MAX:
        raise InvalidRequest("quantity_out_of_range", f"quantity is 1 to {QUANTITY_MAX}.")
    context, principal = invocation.context, invocation.principal
    begun = await begin(context, principal, body, urls, body.quantity)
    invocation.warnings.extend(begun.warnings)
    begun.submission.template_id = body.template_id
    key.mark(begun.submission, body)
    return await begun.submit(context, principal, urls)


def _answer(acceptance: Acceptance, quantity: int) -> Accepted:
    return Accepted(
        job_id=acceptance.job_id,
        job_id_snake=acceptance.job_id,
        status="queued",
        quantity=quantity,
        credits_held=acceptance.held,
        credits_remaining=acceptance.available,
    )


def _finished(answer: Accepted, job: Job) -> Accepted:
    return msgspec.structs.replace(
        answer,
        status=job.status,
        progress=job.progress,
        result_urls=job.result_urls,
        result_urls_snake=job.result_urls,
        result_count=job.result_count,
        result_count_snake=job.result_count,
        error_code=job.error_code,
        error_code_snake=job.error_code,
        error_message=job.error_message,
        error_message_snake=job.error_message,
    )
