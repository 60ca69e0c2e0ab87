"""`train-model`: train a model of the caller's own on pictures; its row tells how far it is.

An app makes the row of the model first, with the status "training", and names it here.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from tintype import jobs
from tintype.auth import Principal
from tintype.errors import InvalidRequest, NotFound, RequestError, Unavailable
from tintype.functions.acting import ACTING_REFUSALS, acting_for
from tintype.functions.contract import Contract, told
from tintype.functions.examples import object_of
from tintype.functions.function import Reply
from tintype.functions.invocation import Invocation
from tintype.functions.personal import own_row
from tintype.functions.picturing import RowId
from tintype.functions.submission import (
    IDEMPOTENCY_KEY,
    SUBMISSION_REFUSALS,
    Acceptance,
    Key,
    Submission,
    database_trouble_told,
    keyed,
)
from tintype.functions.training import (
    IMAGES_MAX,
    TRAINING_REFUSALS,
    TRAINING_SECONDS_MAX,
    TrainingChoices,
    training_price,
    training_settings,
    trigger_word_of,
)
from tintype.storage import BackendFailed
from tintype.workers import STORAGE_SCHEME

methods = ("POST",)
body_bytes_max = 256 * 1024

ROUTE = "train-model"
JOB_TYPE = "train_model"
URL_CHARACTERS_MAX = 2048
URL_CHARACTERS_SHOWN_MAX = 200
LOOKS_AT_ONCE_MAX = 4


class TrainModel(TrainingChoices, rename="camel", frozen=True, kw_only=True):
    """The body. `user_id` is for the holder of the service key."""

    model_id: RowId
    user_id: UUID | None = None
    training_image_urls: Annotated[list[str], told(minItems=1, maxItems=IMAGES_MAX)]


class TrainingAccepted(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The answer. `status` is the model's; its row goes on from there."""

    success: bool = True
    model_id: int
    job_id: UUID
    job_id_snake: UUID = msgspec.field(name="job_id")
    status: Literal["training"] = "training"
    message: str = "The training was asked for."
    credits_held: int
    credits_remaining: int


contract = Contract(
    summary="Train a model of one's own on pictures; its row tells how far it is.",
    request=TrainModel,
    answers=(TrainingAccepted,),
    statuses=(202,),
    refusals=SUBMISSION_REFUSALS
    | ACTING_REFUSALS
    | TRAINING_REFUSALS
    | {
        "training_images_out_of_range": 400,
        "training_images_unavailable": 404,
        "backend_unavailable": 503,
    },
    headers={"Idempotency-Key": IDEMPOTENCY_KEY},
    refusal_fields={"success": False},
)


async def serve(invocation: Invocation) -> Reply:
    """Hold the credits, enqueue the training and answer 202.

    The answer is sent after one committed transaction: job, hold and the model's row. A training
    that fails is not paid for. Pictures in storage must be there and the caller's to read; those
    elsewhere are fetched when the training is prepared. An `Idempotency-Key` makes it repeatable
    for 24 hours. Whatever is wrong with the request is a 4xx, and nothing is held or stored.
    """
    context, header = invocation.context, invocation.header("idempotency-key")
    with database_trouble_told():
        body = await invocation.json(TrainModel)
        principal = await acting_for(invocation, body.user_id)
        with keyed(context.submitter, principal.require_user(), ROUTE, header) as key:
            acceptance = await key.replayed(body)
            if acceptance is None:
                acceptance = await _accept(invocation, principal, body, key)
    answer = TrainingAccepted(
        model_id=int(body.model_id),
        job_id=acceptance.job_id,
        job_id_snake=acceptance.job_id,
        credits_held=acceptance.held,
        credits_remaining=acceptance.available,
    )
    return Reply(202, answer)


async def _accept(
    invocation: Invocation, principal: Principal, body: TrainModel, key: Key
) -> Acceptance:
    context = invocation.context
    if not 1 <= len(body.training_image_urls) <= IMAGES_MAX:
        raise InvalidRequest(
            "training_images_out_of_range", f"A training takes 1 to {IMAGES_MAX} pictures."
        )
    model_id = int(body.model_id)
    model = await own_row(context, principal, model_id)
    user_id = principal.require_user()
    settings = training_settings(
        body,
        context.config.identities,
        trigger_word=model["trigger_word"] or trigger_word_of(model["name"], user_id),
        base=model["base_model"],
        images=len(body.training_image_urls),
    )
    references = await _references(invocation, principal, body.training_image_urls)
    submission = _submission(invocation, user_id, model_id, settings, references)
    key.mark(submission, body)
    return await context.submitter.submit(submission)


def _submission(
    invocation: Invocation,
    user_id: UUID,
    model_id: int,
    settings: dict[str, Any],
    references: Sequence[str],
) -> Submission:
    kind = jobs.job_types()[JOB_TYPE]
    return Submission(
        user_id=user_id,
        amount=training_price(kind, settings["steps"]),
        units=1,
        quantity=1,
        prompt=settings["sample_prompts"][0],
        payload={
            "bucket": kind.bucket,
            "training": settings,
            "references": references,
            "stage": "prepare",
        },
        expires_seconds=TRAINING_SECONDS_MAX,
        max_retries=len(invocation.context.config.worker.retry_seconds),
        model_id=model_id,
        job_type=kind.name,
        queue=jobs.IDENTITIES_QUEUE,
    )


async def _references(
    invocation: Invocation, principal: Principal, urls: Sequence[str]
) -> list[str]:
    """Return the pictures as a payload names them; raises when one cannot be had."""
    places = asyncio.Semaphore(LOOKS_AT_ONCE_MAX)

    async def look(url: str) -> str | None:
        async with places:
            try:
                return await _reference(invocation, principal, url)
            except Unavailable:
                raise
            except RequestError:
                return None

    found = await asyncio.gather(*(look(url) for url in urls))
    missing = [url for url, reference in zip(urls, found, strict=True) if reference is None]
    if missing:
        raise NotFound(
            "training_images_unavailable",
            "Failed to download training images",
            hint="Upload them to the bucket model-training-images, or give https URLs.",
            details={"reference": missing[0][:URL_CHARACTERS_SHOWN_MAX]},
        )
    return [reference for reference in found if reference is not None]


async def _reference(invocation: Invocation, principal: Principal, url: str) -> str | None:
    context = invocation.context
    if len(url) > URL_CHARACTERS_MAX:
        return None
    bucket, name = object_of(context, url)
    if not bucket:
        await context.providers.fetcher.check(url)
        return url
    try:
        stored = await context.storage.stat(bucket, name, principal)
    except BackendFailed as error:
        raise Unavailable(
            "backend_unavailable", "The object store cannot be used at the moment."
        ) from error
    return None if stored is None else f"{STORAGE_SCHEME}{bucket}/{name}"
