"""`generate-images`: ask for a batch of pictures; its row tells how far it is.

An app makes the row of the batch first and names it, or leaves that to this function.
"""

from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from tintype.auth import Principal
from tintype.database import named_queries
from tintype.errors import InvalidRequest
from tintype.functions.acting import ACTING_REFUSALS, acting_for
from tintype.functions.contract import Contract, told
from tintype.functions.function import Reply
from tintype.functions.invocation import Invocation
from tintype.functions.picturing import PICTURE_REFUSALS, PictureChoices, RowId, begin
from tintype.functions.submission import (
    IDEMPOTENCY_KEY,
    Acceptance,
    Key,
    database_trouble_told,
    keyed,
)

methods = ("POST",)
# Larger reference pictures are uploaded first and named by their path.
body_bytes_max = 32 * 1024 * 1024

ROUTE = "generate-images"
TOTAL_IMAGES_MAX = 40
# So that all that a batch's row keeps of them is small.
REFERENCE_BYTES_MAX = 2048


class GenerateImages(PictureChoices, rename="camel", frozen=True, kw_only=True):
    """The body. Without `batch_id` a batch is made; `user_id` is for the holder of the service key.

    A batch that is named is an own one without a job, or one that failed.
    """

    batch_id: RowId | None = None
    user_id: UUID | None = None
    reference_image_urls: list[str] | None = None
    total_images: Annotated[int, told(minimum=1, maximum=TOTAL_IMAGES_MAX)] = 4


class BatchAccepted(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The answer. `status` is the batch's; its row goes on from there."""

    success: bool = True
    batch_id: int
    job_id: UUID
    job_id_snake: UUID = msgspec.field(name="job_id")
    status: Literal["processing"] = "processing"
    credits_held: int
    credits_remaining: int
    message: str
    jobs_enqueued: int = 1


contract = Contract(
    summary="Ask for a batch of pictures; its row tells how far it is.",
    request=GenerateImages,
    answers=(BatchAccepted,),
    statuses=(202,),
    refusals=PICTURE_REFUSALS | ACTING_REFUSALS | {"total_images_out_of_range": 400},
    headers={"Idempotency-Key": IDEMPOTENCY_KEY},
    refusal_fields={"success": False},
)


async def serve(invocation: Invocation) -> Reply:
    """Hold the credits of all pictures, enqueue one job for them and answer 202 with its batch.

    The answer is sent after one committed transaction: job, hold and batch. Pictures that could not
    be made are not paid for. An `Idempotency-Key` makes it repeatable for 24 hours. Whatever is
    wrong with the request is a 4xx, and nothing is held or stored.
    """
    context, header = invocation.context, invocation.header("idempotency-key")
    with database_trouble_told():
        body = await invocation.json(GenerateImages)
        principal = await acting_for(invocation, body.user_id)
        with keyed(context.submitter, principal.require_user(), ROUTE, header) as key:
            acceptance = await key.replayed(body)
            if acceptance is None:
                acceptance = await _accept(invocation, principal, body, key)
            batch_id = await context.pool.fetchval(
                named_queries("functions")["batch_of_job"], acceptance.job_id
            )
    context.worker.nudge()
    answer = BatchAccepted(
        batch_id=batch_id,
        job_id=acceptance.job_id,
        job_id_snake=acceptance.job_id,
        credits_held=acceptance.held,
        credits_remaining=acceptance.available,
        message=f"{body.total_images} pictures were asked for.",
    )
    return Reply(202, answer)


async def _accept(
    invocation: Invocation, principal: Principal, body: GenerateImages, key: Key
) -> Acceptance:
    context = invocation.context
    if not 1 <= body.total_images <= TOTAL_IMAGES_MAX:
        raise InvalidRequest(
            "total_images_out_of_range", f"totalImages is 1 to {TOTAL_IMAGES_MAX}."
        )
    urls = body.reference_image_urls or []
    begun = await begin(context, principal, body, urls, body.total_images)
    invocation.warnings.extend(begun.warnings)
    submission = begun.submission
    submission.payload["reference_urls"] = _kept(urls)
    submission.is_new_batch = body.batch_id is None
    submission.batch_id = (
        await context.pool.fetchval(named_queries("functions")["new_batch_id"])
        if body.batch_id is None
        else int(body.batch_id)
    )
    key.mark(submission, body)
    return await begun.submit(context, principal, urls)


def _kept(urls: Sequence[str]) -> list[str]:
    """Return what the batch's row says of the references; a data URL's bytes are not said."""
    kept = [url for url in urls if url[:5].lower() != "data:"]
    for url in kept:
        if len(url.encode()) > REFERENCE_BYTES_MAX:
            raise InvalidRequest(
                "reference_invalid",
                f"The URL of a reference has at most {REFERENCE_BYTES_MAX} bytes.",
            )
    return kept
