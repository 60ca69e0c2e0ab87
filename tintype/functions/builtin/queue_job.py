"""`queue-job`: ask for a picture or video of one of the job types that GPU workers do.

The type decides queue, size, steps, bucket and price; nothing of these is taken from the caller.
"""

import re
from datetime import datetime
from typing import Annotated, Any, TypeGuard
from uuid import UUID

import msgspec

from tintype import clock, jobs
from tintype.database import transaction
from tintype.errors import InvalidRequest, NotFound
from tintype.functions.contract import Contract
from tintype.functions.examples import EXAMPLE_REFUSALS, submit_with
from tintype.functions.invocation import Invocation
from tintype.functions.ordering import worker_config
from tintype.functions.prompting import negative_prompt
from tintype.functions.submission import (
    IDEMPOTENCY_KEY,
    OUTSIDE_WAITING_SECONDS_MAX,
    SUBMISSION_REFUSALS,
    Acceptance,
    Key,
    Submission,
    database_trouble_told,
    keyed,
)
from tintype.jobs import JobType

methods = ("POST",)
body_bytes_max = 256 * 1024

ROUTE = "queue-job"
PROMPT_CHARACTERS_MAX = 5000
METADATA_BYTES_MAX = 16 * 1024
SEED_MAX = 2**31 - 1
# What a caller may say of these is the server's to say.
DECIDED_HERE = frozenset(
    ("bucket", "credits", "queue", "model_variant", "modelVariant", jobs.TRACEPARENT)
)
# Counting on would cost every submission more, the longer the queue is.
QUEUE_LENGTH_MAX = 10_000
# A file of the worker's own folder of adapters, never a path and never a repository.
LORA_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\.safetensors")
LORA_WEIGHT_MAX = 4.0


class QueueJob(msgspec.Struct, frozen=True, kw_only=True):
    """The body. `metadata.prompt` wins over the project's; the ids name own rows.

    Of `metadata`, `num_images`, `seed` and `negative_prompt` count too, and for SDXL
    `reference_image_url` (an own object, or a small data URL) with `denoise_strength`, and `lora`
    (`{"name", "weight"}`: an adapter that the worker has).
    """

    jobType: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(jobs.offered_types())})]
    metadata: dict[str, Any] = {}
    projectId: UUID | None = None
    videoId: UUID | None = None
    imageId: UUID | None = None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the original told for debugging."""

    userId: UUID
    hasPrompt: bool
    redisConfigured: bool
    timestamp: datetime


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. `job` is the job's row; `queueLength` counts the jobs that wait with it."""

    success: bool = True
    job: dict[str, Any]
    message: str
    queueLength: int
    modelVariant: str
    jobType: str
    queue: str
    isSDXL: bool
    jobId: UUID
    creditsHeld: int
    creditsRemaining: int
    debug: Told


contract = Contract(
    summary="Ask for a picture or video of one of the job types that GPU workers do.",
    request=QueueJob,
    answers=(Queued,),
    refusals=SUBMISSION_REFUSALS
    | EXAMPLE_REFUSALS
    | {
        "asset_of_other_type": 400,
        "job_type_unknown": 400,
        "lora_invalid": 400,
        "metadata_too_large": 400,
        "prompt_empty": 400,
        "prompt_too_long": 400,
        "quantity_out_of_range": 400,
        "reference_elsewhere": 400,
        "reference_not_taken": 400,
        "seed_out_of_range": 400,
        "strength_out_of_range": 400,
        "user_required": 403,
        "asset_not_found": 404,
    },
    headers={"Idempotency-Key": IDEMPOTENCY_KEY},
)


async def serve(invocation: Invocation) -> Queued:
    """Hold the credits, put the job on its type's queue and answer with it.

    The answer is sent after one committed transaction, which also holds the rows of `images` or
    `videos` that the job fills. An `Idempotency-Key` makes it repeatable for 24 hours. Whatever is
    wrong with the request is a 4xx, and nothing is held or stored.
    """
    user_id = invocation.principal.require_user()
    context = invocation.context
    header = invocation.header("idempotency-key")
    with keyed(context.submitter, user_id, ROUTE, header) as key, database_trouble_told():
        body = await invocation.json(QueueJob)
        kind = _kind(body)
        prompt = await _prompt(invocation, body)
        submission = _submission(invocation, body, kind, prompt)
        acceptance = await _accept(invocation, body, kind, submission, key)
        return await _answer(invocation, kind, acceptance, submission)


async def _accept(
    invocation: Invocation, body: QueueJob, kind: JobType, submission: Submission, key: Key
) -> Acceptance:
    url = body.metadata.get("reference_image_url")
    urls = [url] if isinstance(url, str) else []
    if urls and not kind.is_sdxl:
        raise InvalidRequest(
            "reference_not_taken", f"A job of type {kind.name} starts from its prompt alone."
        )
    if urls and (replayed := await key.replayed(body)) is not None:
        return replayed
    key.mark(submission, body)
    # A worker's machine must not be sent to whatever address a user names.
    return await submit_with(
        invocation.context, invocation.principal, submission, urls, only_here=True
    )


def _kind(body: QueueJob) -> JobType:
    kind = jobs.offered_types().get(body.jobType)
    if kind is None:
        raise InvalidRequest(
            "job_type_unknown",
            f"There is no job type {body.jobType[:60]!r}.",
            hint="Use one of validJobTypes.",
            details={"success": False, "validJobTypes": list(jobs.offered_types())},
        )
    given = {"videoId": body.videoId, "imageId": body.imageId}
    other = "imageId" if kind.media_type == "video" else "videoId"
    if given[other] is not None:
        raise InvalidRequest(
            "asset_of_other_type", f"A job of type {kind.name} does not fill {other}."
        )
    if len(msgspec.json.encode(body.metadata)) > METADATA_BYTES_MAX:
        raise InvalidRequest(
            "metadata_too_large", f"metadata has at most {METADATA_BYTES_MAX} bytes as JSON."
        )
    return kind


async def _prompt(invocation: Invocation, body: QueueJob) -> str:
    """Return the request's prompt, else that of the project or of the row to be filled."""
    given = body.metadata.get("prompt")
    prompt = given if isinstance(given, str) else await _prompt_of_rows(invocation, body)
    prompt = (prompt or "").strip()
    if not prompt:
        raise InvalidRequest(
            "prompt_empty",
            "There is no prompt.",
            hint="Send metadata.prompt, or a project whose canvas_state has one.",
        )
    if len(prompt) > PROMPT_CHARACTERS_MAX:
        raise InvalidRequest(
            "prompt_too_long",
            f"The prompt has {len(prompt)} characters; {PROMPT_CHARACTERS_MAX} are allowed.",
        )
    return prompt


async def _prompt_of_rows(invocation: Invocation, body: QueueJob) -> str | None:
    """Read as the caller: what row-level security hides is not there."""
    principal = invocation.principal
    async with transaction(
        invocation.context.pool, role=principal.role, claims=principal.claims
    ) as connection:
        asset_id = body.imageId or body.videoId
        if asset_id is not None:
            prompt = await connection.fetchval(
                "select prompt from public.generations where id = $1", asset_id
            )
            if prompt:
                return str(prompt)
        if body.projectId is None:
            return None
        state = await connection.fetchval(
            "select canvas_state from public.projects where id = $1", body.projectId
        )
    if state is None:
        raise NotFound("project_not_found", "There is no such project of yours.")
    prompt = state.get("prompt") if isinstance(state, dict) else None
    return prompt if isinstance(prompt, str) else None


def _submission(invocation: Invocation, body: QueueJob, kind: JobType, prompt: str) -> Submission:
    quantity = _quantity(body, kind)
    worker = invocation.context.config.worker
    asset_id = body.videoId or body.imageId
    row_id = asset_id or jobs.new_id()
    payload: dict[str, Any] = {
        "bucket": kind.bucket,
        "model_variant": kind.model_variant,
        "config": _config(body, kind, quantity),
    }
    if kind.is_sdxl:
        wanted = body.metadata.get("negative_prompt")
        payload["negative_prompt"] = negative_prompt(
            prompt, wanted=wanted if isinstance(wanted, str) else None
        )
    return Submission(
        user_id=invocation.principal.require_user(),
        amount=kind.price_credits * quantity,
        units=quantity,
        quantity=quantity,
        prompt=prompt,
        payload=payload,
        metadata={name: one for name, one in body.metadata.items() if name not in DECIDED_HERE},
        expires_seconds=OUTSIDE_WAITING_SECONDS_MAX,
        max_retries=len(worker.retry_seconds),
        project_id=body.projectId,
        image_id=row_id if kind.media_type == "image" else None,
        video_id=row_id if kind.media_type == "video" else None,
        asset_id=asset_id,
        job_type=kind.name,
        queue=kind.queue,
    )


def _quantity(body: QueueJob, kind: JobType) -> int:
    given = body.metadata.get("num_images", body.metadata.get("numImages", kind.outputs))
    if isinstance(given, bool) or given not in kind.outputs_allowed:
        raise InvalidRequest(
            "quantity_out_of_range",
            f"A job of type {kind.name} makes {', '.join(map(str, kind.outputs_allowed))} at once.",
        )
    return int(given)


def _config(body: QueueJob, kind: JobType, quantity: int) -> dict[str, Any]:
    config = worker_config(kind, quantity)
    seed = body.metadata.get("seed")
    if seed is not None:
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= SEED_MAX:
            raise InvalidRequest("seed_out_of_range", f"seed is 0 to {SEED_MAX}.")
        config["seed"] = seed
    return config | (_sdxl_config(body) if kind.is_sdxl else {})


def _sdxl_config(body: QueueJob) -> dict[str, Any]:
    config: dict[str, Any] = {}
    strength = body.metadata.get("denoise_strength")
    if strength is not None:
        if not _is_number(strength) or not 0 < strength <= 1:
            raise InvalidRequest(
                "strength_out_of_range", "denoise_strength is over 0 and at most 1."
            )
        config["denoise_strength"] = strength
    lora = body.metadata.get("lora")
    if lora is not None:
        name = lora.get("name") if isinstance(lora, dict) else None
        weight = lora.get("weight", 1.0) if isinstance(lora, dict) else None
        if (
            not isinstance(name, str)
            or not LORA_NAME.fullmatch(name)
            or not _is_number(weight)
            or abs(weight) > LORA_WEIGHT_MAX
        ):
            raise InvalidRequest(
                "lora_invalid",
                "lora is {name, weight}: the name of a .safetensors file, and a number from "
                f"-{LORA_WEIGHT_MAX:g} to {LORA_WEIGHT_MAX:g}.",
            )
        config["lora"] = {"path": name, "weight": weight}
    return config


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


async def _answer(
    invocation: Invocation, kind: JobType, acceptance: Acceptance, submission: Submission
) -> Queued:
    pool = invocation.context.pool
    row = await pool.fetchval(
        "select to_jsonb(j) - 'has_assets' from public.jobs as j where j.id = $1",
        acceptance.job_id,
    )
    return Queued(
        job=row,
        message="Job queued successfully",
        queueLength=await jobs.waiting(pool, kind.queue, at_most=QUEUE_LENGTH_MAX),
        modelVariant=kind.model_variant,
        jobType=kind.name,
        queue=kind.queue,
        isSDXL=kind.is_sdxl,
        jobId=acceptance.job_id,
        creditsHeld=acceptance.held,
        creditsRemaining=acceptance.available,
        debug=Told(
            userId=submission.user_id,
            hasPrompt=True,
            redisConfigured=True,
            timestamp=clock.now(),
        ),
    )
