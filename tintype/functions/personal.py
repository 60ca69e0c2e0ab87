"""Which way does an identity or a model get into a picture?

Two ways: a GPU worker wears the adapter that was trained for it, or a provider is shown its
training pictures. A provider's model that is named decides for the second; else the adapter is
worn when it is ready and a worker is there for it, and the pictures are shown when not.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from tintype import jobs
from tintype.auth import Principal
from tintype.database import named_queries, transaction
from tintype.errors import Conflict, InvalidRequest, NotFound, RequestError, Unavailable
from tintype.functions.context import Context
from tintype.jobs import JobType
from tintype.providers import Model
from tintype.workers import STORAGE_SCHEME

AUTO = "auto"
ADAPTER = "adapter"
REFERENCES = "references"
RENDERS = (AUTO, ADAPTER, REFERENCES)
WEIGHT_MAX = 2.0
# A worker begins a picture with at most one other.
BEGINNINGS_MAX = 1
JOB_TYPE_OF_BASE = {"flux": "flux_image", "sdxl": "sdxl_adapter_image"}
# What the verbs here may refuse with.
PERSONAL_REFUSALS = {
    "identity_ambiguous": 400,
    "model_takes_no_references": 400,
    "references_too_many": 400,
    "render_contradicts_model": 400,
    "identity_not_found": 404,
    "model_not_found": 404,
    "identity_not_ready": 409,
    "no_gpu_worker": 503,
}


class Likeness(msgspec.Struct, frozen=True):
    """An identity or model, as far as pictures need it. `image_paths` are `bucket/name`."""

    status: str
    base_model: str | None
    trigger_word: str | None
    image_paths: list[str]
    adapter_bucket: str | None
    adapter_path: str | None
    adapter_bytes: int | None
    adapter_sha256: str | None

    def adapter(self, weight: float) -> dict[str, Any]:
        """Return the adapter as a job's payload names it."""
        return {
            "id": self.adapter_sha256,
            "bucket": self.adapter_bucket,
            "path": self.adapter_path,
            "sha256": self.adapter_sha256,
            "bytes": self.adapter_bytes,
            "weight": weight,
            "trigger_word": self.trigger_word,
        }


async def likeness_of(
    context: Context, principal: Principal, *, identity_id: UUID | None, model_id: int | None
) -> Likeness | None:
    """Return the identity or model that a request names, read as its caller; None if it names none.

    Raises `NotFound` (`identity_not_found`, `model_not_found`: not there, or not the caller's) and
    `InvalidRequest` (`identity_ambiguous`) for both at once.
    """
    if identity_id is not None and model_id is not None:
        raise InvalidRequest(
            "identity_ambiguous", "identityId and modelId are both given; a picture has one."
        )
    row_id = model_id if identity_id is None else identity_id
    if row_id is None:
        return None
    return msgspec.convert(await own_row(context, principal, row_id), Likeness)


async def own_row(context: Context, principal: Principal, row_id: UUID | int) -> Mapping[str, Any]:
    """Return the row of the identity (by its UUID) or model (by its number) of a user.

    Raises `NotFound`: `identity_not_found` or `model_not_found`.
    """
    query = named_queries("functions")["own_model" if isinstance(row_id, int) else "own_identity"]
    async with transaction(
        context.pool, role=principal.role, claims=principal.claims
    ) as connection:
        row = await connection.fetchrow(query, row_id, principal.require_user())
    if row is not None:
        return dict(row)
    if isinstance(row_id, int):
        raise NotFound("model_not_found", "There is no such model of yours.")
    raise NotFound("identity_not_found", "There is no such identity of yours.")


async def worn_by(
    context: Context, likeness: Likeness, *, render: str, default: Model | None, urls: Sequence[str]
) -> JobType | None:
    """Return the type of the job that wears the adapter; None: its pictures are shown instead.

    `default` is the provider's model for it when the caller named none. Raises
    `InvalidRequest` (`render_contradicts_model`: the adapter is wanted from a provider;
    `references_too_many`), `Conflict` (`identity_not_ready`) or `Unavailable` (`no_gpu_worker`)
    when there is no way.
    """
    if render == REFERENCES:
        return None
    if default is None:
        if render == ADAPTER:
            raise InvalidRequest(
                "render_contradicts_model",
                "A provider's model cannot wear an adapter.",
                hint="Leave out model, or render.",
            )
        return None
    hindrance = await _hindrance(context, likeness, urls)
    if hindrance is None:
        return jobs.job_types()[JOB_TYPE_OF_BASE[str(likeness.base_model)]]
    if render == AUTO and default.references_max > 0 and (likeness.image_paths or urls):
        return None
    raise hindrance


def shown(likeness: Likeness, model: Model, urls: Sequence[str]) -> list[str]:
    """Return the training pictures that are shown beside the caller's `urls`, for a payload.

    As many as the model takes. Raises `InvalidRequest` (`model_takes_no_references`,
    `references_too_many`: the caller's leave no room) or `Conflict` (`identity_not_ready`).
    """
    if not model.references_max:
        raise InvalidRequest(
            "model_takes_no_references",
            f"The model {model.id} takes no pictures, so it cannot be shown a likeness.",
            hint="Choose another model, or leave it out.",
        )
    if not likeness.image_paths and not urls:
        raise _not_ready(likeness)
    room = model.references_max - len(urls)
    if likeness.image_paths and room < 1:
        raise InvalidRequest(
            "references_too_many",
            f"{model.id} takes {model.references_max} references, and needs one for the likeness.",
            hint="Give fewer references.",
        )
    return [f"{STORAGE_SCHEME}{path}" for path in likeness.image_paths[: max(room, 0)]]


async def _hindrance(
    context: Context, likeness: Likeness, urls: Sequence[str]
) -> RequestError | None:
    """Return why no worker can wear the adapter now, None if one can."""
    if likeness.status != "ready" or likeness.adapter_sha256 is None:
        return _not_ready(likeness)
    kind = jobs.job_types()[JOB_TYPE_OF_BASE[str(likeness.base_model)]]
    query = named_queries("functions")["is_queue_served"]
    if not await context.pool.fetchval(query, kind.queue):
        return Unavailable(
            "no_gpu_worker",
            "No worker is there that could make pictures with this adapter.",
            hint="Ask the operator for a GPU worker, or name a model that takes pictures.",
        )
    if len(urls) > BEGINNINGS_MAX:
        return InvalidRequest(
            "references_too_many",
            f"A picture with an adapter begins with {BEGINNINGS_MAX} other at most.",
            hint='Give fewer, or say render "references".',
        )
    return None


def _not_ready(likeness: Likeness) -> Conflict:
    is_training = likeness.status == "training"
    return Conflict(
        "identity_not_ready",
        "Its training goes on." if is_training else "Its training failed.",
        hint="Wait until its status is ready." if is_training else "Train it again.",
    )
