"""`train-identity`: from a person's pictures to a model of that person.

The pictures come inside the JSON, up to 40 of 20 MB: they are received as a stream, judged, written
anew and stored; then one committed transaction holds the identity, the job and the credits. The
answer is sent when the pictures are published; the training itself goes on after it.
"""

import asyncio
import hashlib
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn
from uuid import UUID

import msgspec

from tintype import clock, credits, identities, jobs
from tintype.auth import Principal
from tintype.database import named_queries
from tintype.errors import (
    BadGateway,
    Conflict,
    InsufficientCredits,
    InvalidRequest,
    NotFound,
    RequestError,
    Unavailable,
)
from tintype.functions.acting import ACTING_REFUSALS, acting_for
from tintype.functions.contract import Contract, told
from tintype.functions.function import Reply
from tintype.functions.invocation import Invocation
from tintype.functions.submission import (
    IDEMPOTENCY_KEY,
    SUBMISSION_REFUSALS,
    Acceptance,
    Submission,
    database_trouble_told,
    keyed,
)
from tintype.functions.submission.repeating import idempotency_key
from tintype.functions.training import (
    TRAINING_REFUSALS,
    TRAINING_SECONDS_MAX,
    TrainingChoices,
    training_price,
    training_settings,
    trigger_word_of,
)
from tintype.functions.wire.reading import check_content_type
from tintype.identities import (
    ANSWER_SECONDS_MAX,
    BODY_BYTES_MAX,
    Finding,
    ImageSet,
    Kept,
    TrainIdentity,
)
from tintype.jobs import Job
from tintype.storage import BackendFailed
from tintype.workers import STORAGE_SCHEME

methods = ("POST",)
body_bytes_max = BODY_BYTES_MAX
answer_seconds_max = ANSWER_SECONDS_MAX

ROUTE = "train-identity"
JOB_TYPE = "train_identity"
# How long the answer waits for the pictures to be published; longer than most trouble with a Hub.
PUBLISH_SECONDS_MAX = 120.0
RESPOND_ASYNC = "respond-async"
# What was stored for a request that nobody accepted goes after this: no request takes so long.
PLAN_SECONDS = 2 * 3600
CONSENT_CHARACTERS_MAX = 10_000
READ_BYTES = 1024 * 1024


class ImageFile(msgspec.Struct, frozen=True, kw_only=True):
    """One picture: the client's name for it, and its bytes as base64 or as a data URL."""

    name: Annotated[str, told(maxLength=255)]
    data: Annotated[str, told(contentEncoding="base64")]


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """What the depicted person agreed to. `text` is what was shown to that person."""

    given: bool
    text: Annotated[str, told(maxLength=CONSENT_CHARACTERS_MAX)] | None = None


class Asked(TrainingChoices, rename="camel", frozen=True, kw_only=True):
    """The body. `userId` is the caller; pictures are JPEG or PNG of at most 20 MB."""

    identity_name: Annotated[str, told(minLength=1, maxLength=100, pattern=r"\S")]
    image_files: Annotated[list[ImageFile], told(minItems=3, maxItems=40)]
    user_id: UUID
    consent: bool | Consent | None = None
    consent_text: Annotated[str, told(maxLength=CONSENT_CHARACTERS_MAX)] | None = None


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """The consent as it is kept. `given` is None when nothing was said; `user_id` said it."""

    given: bool | None
    text: str | None
    at: datetime
    user_id: UUID
    address: str | None


class Training(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The answer. While `status` is `publishing`, `modelUrl` may not be known yet."""

    success: bool = True
    repo_id: str
    model_url: str | None
    identity_id: UUID
    job_id: UUID
    status: Literal["training", "publishing"]
    findings: list[Finding]
    credits_held: int
    credits_remaining: int
    consent: Recorded


contract = Contract(
    summary="Publish a person's pictures privately and train a model of that person.",
    request=Asked,
    answers=(Training,),
    statuses=(200, 202),
    refusals=SUBMISSION_REFUSALS
    | ACTING_REFUSALS
    | TRAINING_REFUSALS
    | {
        "consent_denied": 400,
        "consent_required": 400,
        "image_not_base64": 400,
        "image_not_supported": 400,
        "image_too_many_pixels": 400,
        "image_too_small": 400,
        "image_unreadable": 400,
        "member_repeated": 400,
        "nested_too_deeply": 400,
        "too_few_distinct_images": 400,
        "too_few_images": 400,
        "too_many_images": 400,
        "upload_too_slow": 400,
        "identity_not_found": 404,
        "job_canceled": 409,
        "image_too_large": 413,
        "text_too_large": 413,
        "publishing_refused": 502,
        "backend_unavailable": 503,
        "busy": 503,
        "disk_full": 503,
        "huggingface_token_missing": 503,
        "publishing_failed": 503,
    },
    refusal_fields={"success": False},
    headers={
        "Idempotency-Key": IDEMPOTENCY_KEY,
        "Prefer": Annotated[str, told(examples=[RESPOND_ASYNC])],
    },
    answer_headers={"Preference-Applied": str},
)


async def serve(invocation: Invocation) -> Reply:
    """Receive the pictures, hold the credits, and answer when the pictures are published.

    202 with `status` `publishing` when that takes longer than `PUBLISH_SECONDS_MAX`, is put off,
    or the caller would not wait (`Prefer: respond-async`); the job goes on all the same, also when
    the caller leaves. What a refused request stored is removed.
    """
    check_content_type(invocation.header("content-type"))
    _check_hub(invocation)
    with database_trouble_told():
        principal = invocation.principal
        if not principal.is_service:
            user_id = principal.require_user()
            # A request that was answered before is answered again, whatever is left by now.
            if idempotency_key(invocation.header("idempotency-key")) is None:
                await _check_credits(invocation, user_id)
        announced = int(invocation.header("content-length") or 0)
        intake = invocation.context.intake
        async with intake.entered(str(principal.user_id), announced_bytes=announced) as folder:
            acceptance = await _receive(invocation, folder)
        return await _answer(invocation, acceptance)


def _check_hub(invocation: Invocation) -> None:
    chosen = invocation.context.config.identities
    if chosen.hub == "huggingface" and not chosen.huggingface_token:
        raise Unavailable(
            "huggingface_token_missing",
            "HUGGINGFACE_TOKEN environment variable not set",
            hint='The operator sets it, or hub = "storage" in [tintype.identities].',
        )


async def _check_credits(invocation: Invocation, user_id: UUID) -> None:
    """Refuse who could not pay the least before a gigabyte is read; the hold itself decides."""
    account = await credits.get(invocation.context.pool, user_id)
    available = invocation.context.config.credits.welcome if account is None else account.available
    least = training_price(jobs.job_types()[JOB_TYPE], 1)
    if available < least:
        raise InsufficientCredits(required=least, available=available)


async def _receive(invocation: Invocation, folder: Path) -> Acceptance:
    received = await identities.receive(invocation.chunks(), folder)
    principal = await acting_for(invocation, _user_id(received.userId))
    user_id = principal.require_user()
    header = invocation.header("idempotency-key")
    said = None if header is None else await asyncio.to_thread(_told_apart, received)
    with keyed(invocation.context.submitter, user_id, ROUTE, header) as key:
        replayed = await key.replayed(said)
        if replayed is not None:
            return replayed
        draft = _Draft(invocation, principal, received)
        await _check_credits(invocation, user_id)
        found = await identities.validate(received.imageFiles, folder)
        submission = draft.submission()
        key.mark(submission, said)
        return await draft.submit(submission, found)


def _user_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidRequest(
            "field_invalid", "Field `userId`: it is no UUID.", details={"field": "userId"}
        ) from None


def _told_apart(received: TrainIdentity) -> dict[str, Any]:
    """Return what makes this request another than one before: all it says, and each picture's
    digest. Blocks."""
    return {
        "identityName": received.identityName,
        "userId": received.userId,
        "images": [[one.name, one.bytes, _digest(one.path)] for one in received.imageFiles],
        "extra": received.extra,
    }


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


class _Draft:
    """One identity that is to be: everything that is checked before a picture is decoded."""

    def __init__(
        self, invocation: Invocation, principal: Principal, received: TrainIdentity
    ) -> None:
        self._context = invocation.context
        self._user_id = principal.require_user()
        self._name = received.identityName
        self._id = jobs.new_id()
        self._now = clock.now()
        self._consent = _consent(invocation, self._user_id, received.extra, self._now)
        self._settings = training_settings(
            _converted(received.extra, TrainingChoices),
            self._context.config.identities,
            trigger_word=trigger_word_of(self._name, self._user_id),
            images=len(received.imageFiles),
        )
        self._repository = self._context.intake.name(self._name)
        self._folder = identities.tree_folder(self._user_id, self._repository)

    def submission(self) -> Submission:
        """Return the job to be, still without its pictures."""
        return Submission(
            user_id=self._user_id,
            amount=training_price(jobs.job_types()[JOB_TYPE], self._settings["steps"]),
            units=1,
            quantity=1,
            prompt="; ".join(self._settings["sample_prompts"]),
            payload={},
            expires_seconds=TRAINING_SECONDS_MAX,
            max_retries=len(self._context.config.worker.retry_seconds),
            identity_id=self._id,
            job_type=JOB_TYPE,
            queue=jobs.IDENTITIES_QUEUE,
        )

    async def submit(self, submission: Submission, found: ImageSet) -> Acceptance:
        """Store the pictures and submit. What was stored goes again unless this very job needs
        it: the plan for that stands before the first byte."""
        pool = self._context.pool
        place = {"bucket": identities.TREES, "prefix": self._folder}
        await pool.execute(
            "select tintype.plan_removal($1, $2, 'identity', null, $3, $4)",
            self._id,
            self._user_id,
            [place],
            PLAN_SECONDS,
        )
        files = [
            Kept(
                identities.TREES,
                f"{self._folder}images/{image.path.name}",
                image.path,
                image.media_type,
            )
            for image in found.images
        ]
        try:
            await identities.keep(self._context.storage, pool, files, owner=self._user_id)
            submission.payload = self._payload(files, found)
            acceptance = await self._context.submitter.submit(submission)
        except Unavailable:
            # Nobody knows whether it was accepted: the plan stays.
            raise
        except BackendFailed as error:
            raise Unavailable(
                "backend_unavailable", "The object store cannot be used at the moment."
            ) from error
        except RequestError:
            await self._remove_now()
            raise
        if acceptance.job_id != submission.job_id:
            await self._remove_now()
        return acceptance

    async def _remove_now(self) -> None:
        await self._context.pool.execute(
            "select tintype.end_removal($1, null, 'The request was not accepted.', 0)", self._id
        )

    def _payload(self, files: list[Kept], found: ImageSet) -> dict[str, Any]:
        paths = [f"{file.bucket}/{file.name}" for file in files]
        chosen = self._context.config.identities
        return {
            "bucket": jobs.job_types()[JOB_TYPE].bucket,
            "stage": identities.PREPARE,
            "training": self._settings,
            "references": [f"{STORAGE_SCHEME}{path}" for path in paths],
            "identity": {
                "identity_name": self._name,
                "model_id": self._repository,
                "repository": _repository(chosen.hub, chosen.namespace, self._repository),
                "huggingface_repo_url": None,
                "consent": msgspec.to_builtins(self._consent),
                "training_config": self._config(len(files)),
                "findings": msgspec.to_builtins(found.findings),
                "image_paths": paths,
                "thumbnail_url": self._context.storage.object_url(files[0].bucket, files[0].name),
            },
        }

    def _config(self, images: int) -> dict[str, Any]:
        config: dict[str, Any] = msgspec.json.decode(
            identities.training_config(
                identity_name=self._name,
                user_id=str(self._user_id),
                images_count=images,
                created_at=self._now,
                trigger_word=self._settings["trigger_word"],
                base=self._settings["base"],
                params={name: self._settings[name] for name in identities.TRAINING_PARAMS},
            )
        )
        return config


def _repository(hub: str, namespace: str | None, name: str) -> str | None:
    if hub == "storage":
        return None
    return f"{namespace}/{name}" if namespace else name


class _Said(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    consent: bool | Consent | None = None
    consent_text: Annotated[str, msgspec.Meta(max_length=CONSENT_CHARACTERS_MAX)] | None = None


def _consent(
    invocation: Invocation, user_id: UUID, extra: dict[str, Any], now: datetime
) -> Recorded:
    """Return the consent as it is recorded. Raises `InvalidRequest`: `consent_denied`, and
    `consent_required` where the operator wants it said."""
    said = _converted(extra, _Said)
    whole = said.consent if isinstance(said.consent, Consent) else None
    given = whole.given if whole is not None else said.consent
    assert given is None or isinstance(given, bool)
    if given is False:
        raise InvalidRequest(
            "consent_denied", "The person in the pictures does not consent to the training."
        )
    if invocation.context.config.identities.consent == "required" and given is None:
        raise InvalidRequest(
            "consent_required",
            "A training needs the consent of the person in the pictures.",
            hint='Ask that person, and send "consent": {"given": true, "text": "…"}.',
        )
    client = invocation.request.client
    return Recorded(
        given=given,
        text=whole.text if whole is not None and whole.text is not None else said.consent_text,
        at=now,
        user_id=user_id,
        address=client.host if client is not None else None,
    )


def _converted(extra: dict[str, Any], kind: type[Any]) -> Any:
    try:
        return msgspec.convert(extra, kind)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        field = place.strip("`").lstrip(".") or "$"
        raise InvalidRequest(
            "field_invalid", f"Field `{field}`: {reason}.", details={"field": field}
        ) from None


async def _answer(invocation: Invocation, acceptance: Acceptance) -> Reply:
    context = invocation.context
    is_async = RESPOND_ASYNC in (invocation.header("prefer") or "").lower()
    seconds = 0.0 if is_async else PUBLISH_SECONDS_MAX
    job = await context.publishing.wait(acceptance.job_id, seconds)
    is_prepared = job is not None and job.payload.get("stage") != identities.PREPARE
    if job is not None and not is_prepared and job.is_terminal:
        _refuse(job)
    row = await context.pool.fetchrow(named_queries("identities")["answered"], acceptance.job_id)
    if row is None:
        raise NotFound("identity_not_found", "The identity was deleted.")
    url = row["huggingface_repo_url"]
    if row["repository"] is None:
        url = identities.tree_url(context.storage, row["user_id"], row["model_id"])
    training = Training(
        repo_id=row["model_id"],
        model_url=url,
        identity_id=row["id"],
        job_id=acceptance.job_id,
        status="training" if is_prepared else "publishing",
        findings=msgspec.convert(row["findings"], list[Finding]),
        credits_held=acceptance.held,
        credits_remaining=acceptance.available,
        consent=msgspec.convert(row["consent"], Recorded),
    )
    headers = {"preference-applied": RESPOND_ASYNC} if is_async else {}
    return Reply(200 if is_prepared else 202, training, headers)


def _refuse(job: Job) -> NoReturn:
    """Tell why the pictures were not published; the credits are released."""
    if job.status == "canceled":
        raise Conflict("job_canceled", "The training was canceled.")
    reason = job.error_message or "no reason was told"
    if job.error_code == "invalid":
        raise BadGateway("publishing_refused", f"Failed to upload files: {reason}")
    raise Unavailable("publishing_failed", f"Failed to upload files: {reason}")
