"""`job-callback`: a worker outside the server says what became of a job.

Both of the original's dialects are read: `jobId, filePath | outputUrl | imageUrls, errorMessage,
enhancedPrompt` and `job_id, assets, error_message, metadata`. Nobody is believed without proof: the
worker's own key as bearer, or a signature with its secret.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from tintype import events
from tintype.errors import InvalidRequest, Unauthenticated
from tintype.functions.contract import Contract
from tintype.functions.invocation import Invocation
from tintype.functions.submission import database_trouble_told
from tintype.workers import outside
from tintype.workers.outside import OutsideWorker, Report

methods = ("POST",)
body_bytes_max = 256 * 1024

PATHS_MAX = 64
# What the secret of nobody is compared with, so that a job nobody has costs the same.
NO_SECRET = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"  # noqa: S105


class JobCallback(msgspec.Struct, frozen=True, kw_only=True):
    """The body, in either dialect; camel case counts where both are given.

    With the `attempt` that came with the job, a report of an earlier one is late; without it, it
    counts for whatever attempt of the job the worker has.
    """

    status: Literal["processing", "completed", "failed"]
    jobId: UUID | None = None
    job_id: UUID | None = None
    filePath: str | None = None
    outputUrl: str | None = None
    imageUrls: list[str] | None = None
    assets: list[str | dict[str, Any]] | None = None
    errorMessage: str | None = None
    error_message: str | None = None
    enhancedPrompt: str | None = None
    enhanced_prompt: str | None = None
    progress: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    attempt: int | None = None
    metadata: dict[str, Any] | None = None


class Debug(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the outcome was known already."""

    duplicate: bool


class Noted(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The answer. `status` is the job's now."""

    success: bool = True
    message: str
    job_id: UUID
    job_id_snake: UUID = msgspec.field(name="job_id")
    status: str
    debug: Debug


contract = Contract(
    summary="A worker outside the server says what became of a job.",
    request=JobCallback,
    answers=(Noted,),
    refusals={
        "file_changed": 400,
        "file_empty": 400,
        "file_too_large": 400,
        "file_unreadable": 400,
        "native_protocol_required": 400,
        "outputs_missing": 400,
        "path_missing": 400,
        "path_out_of_scope": 400,
        "too_many_outputs": 400,
        "callback_not_proved": 401,
        "job_not_held": 404,
        "database_unavailable": 503,
    },
    headers={
        "X-Callback-Signature": str,
        "webhook-id": str,
        "webhook-timestamp": str,
        "webhook-signature": str,
    },
)


async def serve(invocation: Invocation) -> Noted:
    """Let the report count once and answer 200; the same again is 200 and changes nothing.

    401 `callback_not_proved` without a worker's key or a valid signature; 404 `job_not_held` for a
    job the worker has not: an unknown one looks the same. 400 for files that cannot be believed.
    """
    body = await invocation.json(JobCallback)
    job_id = body.jobId or body.job_id
    with database_trouble_told():
        worker = await _proved(invocation, job_id, body.status)
        if job_id is None:
            raise InvalidRequest("field_invalid", "jobId is missing.", details={"field": "jobId"})
        applied = await outside.apply(
            invocation.context.kernel,
            worker,
            job_id,
            _report(body),
            attempt=body.attempt,
            renews=True,
        )
    message = "The job was known to have ended." if applied.is_duplicate else "Noted."
    return Noted(
        message=message,
        job_id=job_id,
        job_id_snake=job_id,
        status=applied.status,
        debug=Debug(duplicate=applied.is_duplicate),
    )


async def _proved(invocation: Invocation, job_id: UUID | None, status: str) -> OutsideWorker:
    pool = invocation.context.pool
    worker = await outside.worker_of_principal(pool, invocation.principal)
    if worker is None and job_id is not None:
        worker = await _signer(invocation, job_id)
    if worker is None:
        events.emit(
            events.CallbackReceived(
                job=str(job_id or ""), worker="", status=status, outcome="callback_not_proved"
            )
        )
        raise Unauthenticated(
            "callback_not_proved",
            "A callback needs the key of a worker, or a signature with its secret.",
            hint="Add the worker with `tintype workers add` and give it what that prints.",
        )
    return worker


async def _signer(invocation: Invocation, job_id: UUID) -> OutsideWorker | None:
    headers = {
        name: value
        for name in outside.SIGNATURE_HEADERS
        if (value := invocation.header(name)) is not None
    }
    if not outside.is_signed(headers):
        return None
    raw = await invocation.body()
    keys = invocation.context.keys
    signers = await outside.signers_of(invocation.context.pool, job_id)
    found = None
    for worker in signers:
        if outside.verify(headers, raw, outside.callback_secret(keys, worker.key_id)):
            found = worker
    if not signers:
        outside.verify(headers, raw, NO_SECRET)
    return found


def _report(body: JobCallback) -> Report:
    metadata = body.metadata or {}
    return Report(
        status=body.status,
        paths=_paths(body),
        error_message=body.errorMessage or body.error_message,
        enhanced_prompt=body.enhancedPrompt
        or body.enhanced_prompt
        or _text(metadata.get("enhanced_prompt")),
        progress=int(body.progress or 0),
        metadata=metadata,
    )


def _paths(body: JobCallback) -> list[str]:
    """Return the files of every dialect's field, in order, each once."""
    given: list[str] = [*(body.imageUrls or [])]
    for asset in body.assets or []:
        path = asset if isinstance(asset, str) else _text(asset.get("path") or asset.get("url"))
        given += [path] if path else []
    given += [one for one in (body.filePath, body.outputUrl) if one]
    return list(dict.fromkeys(given))[:PATHS_MAX]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
