"""`generate-image`: ask for pictures, and get a job at once."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from tintype import clock
from tintype.errors import InvalidRequest
from tintype.functions.contract import Contract
from tintype.functions.examples import EXAMPLE_REFUSALS, submit_with
from tintype.functions.function import Reply
from tintype.functions.invocation import Invocation
from tintype.functions.submission import (
    IDEMPOTENCY_KEY_CHARACTERS_MAX,
    SUBMISSION_REFUSALS,
    Acceptance,
    Submission,
    database_trouble_told,
    fingerprint,
    idempotency_key,
    wait_seconds,
)
from tintype.jobs import Job, Status
from tintype.providers import Model

methods = ("POST",)
# Larger reference pictures are uploaded first and named by their path.
body_bytes_max = 32 * 1024 * 1024

ROUTE = "generate-image"
PROMPT_CHARACTERS_MAX = 5000
QUANTITY_MAX = 4
# What every provider takes: a signed 32-bit number.
SEED_MAX = 2**31 - 1 - QUANTITY_MAX
# An aspect ratio that apps send for "as the model likes".
AUTO = "auto"


def _told(**schema: Any) -> msgspec.Meta:
    """Return what the page says of a field; the field is checked below, with codes of its own."""
    return msgspec.Meta(extra_json_schema=schema)


class GenerateImage(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The body. Only `prompt` is needed; None is the model's own default."""

    prompt: Annotated[str, _told(minLength=1, maxLength=PROMPT_CHARACTERS_MAX, pattern=r"\S")]
    aspect_ratio: str | None = None
    quantity: Annotated[int, _told(minimum=1, maximum=QUANTITY_MAX)] = 1
    image_urls: list[str] | None = None
    project_id: UUID | None = None
    template_id: UUID | None = None
    model: str | None = None
    image_size: str | None = None
    seed: Annotated[int, _told(minimum=0, maximum=SEED_MAX)] | None = None
    person_generation: str | None = None


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
    refusals=SUBMISSION_REFUSALS
    | EXAMPLE_REFUSALS
    | {
        "aspect_ratio_unknown": 400,
        "image_size_unknown": 400,
        "model_not_available": 400,
        "model_retired": 400,
        "model_unknown": 400,
        "person_generation_not_supported": 400,
        "person_generation_unknown": 400,
        "prompt_empty": 400,
        "prompt_too_long": 400,
        "quantity_out_of_range": 400,
        "references_too_many": 400,
        "seed_out_of_range": 400,
        "user_required": 403,
    },
    headers={
        "Idempotency-Key": Annotated[
            str,
            _told(
                pattern=r'^([!#-~]([ !#-~]*[!#-~])?|"[ !#-\[\]-~]+")$',
                maxLength=IDEMPOTENCY_KEY_CHARACTERS_MAX,
            ),
        ],
        "Prefer": Annotated[str, _told(examples=["wait=30"])],
    },
    answer_headers={"Preference-Applied": str},
)


async def serve(invocation: Invocation) -> Reply:
    """Hold the credits, enqueue the job and answer with it; `Prefer: wait=N` waits for its end.

    The answer is sent after one committed transaction. An `Idempotency-Key` makes it repeatable
    for 24 hours. Whatever is wrong with the request is a 4xx, and nothing is held or stored.
    """
    context = invocation.context
    user_id = invocation.principal.require_user()
    key = idempotency_key(invocation.header("idempotency-key"))
    seconds = wait_seconds(invocation.header("prefer"))
    mark = context.submitter.begin(user_id, ROUTE, key) if key is not None else None
    try:
        with database_trouble_told():
            body = await invocation.json(GenerateImage)
            model, warnings = _check(invocation, body)
            invocation.warnings.extend(warnings)
            submission = _submission(invocation, body, model, user_id)
            if key is not None:
                submission.route, submission.key = ROUTE, key
                submission.fingerprint = fingerprint(body)
            acceptance = await submit_with(
                context, invocation.principal, submission, body.image_urls or []
            )
        context.worker.nudge()
        answer = _answer(acceptance, body.quantity)
        if not seconds:
            return Reply(200, answer)
        job = await context.waiting.wait(acceptance.job_id, seconds)
        if job is not None:
            answer = _finished(answer, job)
        return Reply(200, answer, {"preference-applied": f"wait={seconds}"})
    finally:
        if mark is not None:
            context.submitter.end(mark)


def _check(invocation: Invocation, body: GenerateImage) -> tuple[Model, list[str]]:
    if not body.prompt.strip():
        raise InvalidRequest("prompt_empty", "The prompt is empty.")
    if len(body.prompt) > PROMPT_CHARACTERS_MAX:
        raise InvalidRequest(
            "prompt_too_long",
            f"The prompt has {len(body.prompt)} characters; {PROMPT_CHARACTERS_MAX} are allowed.",
        )
    if not 1 <= body.quantity <= QUANTITY_MAX:
        raise InvalidRequest("quantity_out_of_range", f"quantity is 1 to {QUANTITY_MAX}.")
    if body.seed is not None and not 0 <= body.seed <= SEED_MAX:
        raise InvalidRequest("seed_out_of_range", f"seed is 0 to {SEED_MAX}.")
    model, warnings = invocation.context.providers.catalogue.resolve(body.model, clock.now())
    model.validate(
        aspect_ratio=_aspect_ratio(body),
        image_size=body.image_size,
        reference_count=len(body.image_urls or []),
        person_generation=body.person_generation,
    )
    return model, warnings


def _aspect_ratio(body: GenerateImage) -> str | None:
    return None if body.aspect_ratio == AUTO else body.aspect_ratio


def _submission(
    invocation: Invocation, body: GenerateImage, model: Model, user_id: UUID
) -> Submission:
    worker = invocation.context.config.worker
    payload: dict[str, Any] = {
        "model": model.id,
        "aspect_ratio": _aspect_ratio(body),
        "image_size": body.image_size,
        "seed": body.seed,
        "person_generation": body.person_generation,
    }
    return Submission(
        user_id=user_id,
        amount=model.price(body.image_size) * body.quantity,
        units=body.quantity,
        quantity=body.quantity,
        prompt=body.prompt,
        payload={name: value for name, value in payload.items() if value is not None},
        expires_seconds=worker.job_seconds_max,
        max_retries=len(worker.retry_seconds),
        project_id=body.project_id,
        template_id=body.template_id,
    )


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
