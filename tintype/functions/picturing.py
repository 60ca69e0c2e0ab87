"""What does a request for pictures ask for, and who makes them?

A provider makes them on the queue of images; with an identity or a model of the user's own, a GPU
worker may, on the queue of its adapter's base.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import msgspec

from tintype import clock
from tintype.auth import Principal
from tintype.errors import InvalidRequest
from tintype.functions import personal
from tintype.functions.context import Context
from tintype.functions.contract import told
from tintype.functions.examples import EXAMPLE_REFUSALS, submit_with
from tintype.functions.ordering import worker_config
from tintype.functions.personal import PERSONAL_REFUSALS, Likeness
from tintype.functions.prompting import negative_prompt
from tintype.functions.submission import (
    OUTSIDE_WAITING_SECONDS_MAX,
    SUBMISSION_REFUSALS,
    Acceptance,
    Submission,
)
from tintype.jobs import JobType
from tintype.providers import Model

PROMPT_CHARACTERS_MAX = 5000
# What every provider takes: a signed 32-bit number; each picture has the next.
SEED_MAX = 2**31 - 1
# An aspect ratio that apps send for "as the model likes".
AUTO = "auto"
# What a worker's picture may be, and the unit that its sides are a multiple of.
ASPECT_RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
SIDE_PIXELS_UNIT = 16
# A worker's picture has the area of its type's own size.
WORKER_IMAGE_SIZE = "1K"
# What `begin` may refuse with.
PICTURE_REFUSALS = (
    SUBMISSION_REFUSALS
    | EXAMPLE_REFUSALS
    | PERSONAL_REFUSALS
    | {
        "aspect_ratio_unknown": 400,
        "identity_weight_out_of_range": 400,
        "image_size_unknown": 400,
        "model_not_available": 400,
        "model_retired": 400,
        "model_unknown": 400,
        "person_generation_not_supported": 400,
        "person_generation_unknown": 400,
        "prompt_empty": 400,
        "prompt_too_long": 400,
        "reference_elsewhere": 400,
        "render_unknown": 400,
        "seed_out_of_range": 400,
        "user_required": 403,
    }
)

RowId = (
    Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    | Annotated[str, msgspec.Meta(pattern="^[0-9]{1,18}$")]
)
"""The number of a row, as a number or in a string."""


class PictureChoices(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What every request for pictures may say. Only `prompt` is needed; None is the default.

    `identity_id` or `model_id` is who is in the picture, `render` which way ("auto", "adapter",
    "references"), `identity_weight` how much of an adapter.
    """

    prompt: Annotated[str, told(minLength=1, maxLength=PROMPT_CHARACTERS_MAX, pattern=r"\S")]
    aspect_ratio: str | None = None
    project_id: UUID | None = None
    model: str | None = None
    image_size: str | None = None
    seed: Annotated[int, told(minimum=0, maximum=SEED_MAX)] | None = None
    person_generation: str | None = None
    identity_id: UUID | None = None
    model_id: RowId | None = None
    render: Annotated[str, told(enum=list(personal.RENDERS))] = personal.AUTO
    identity_weight: Annotated[float, told(minimum=0, maximum=personal.WEIGHT_MAX)] = 1.0

    @property
    def is_personal(self) -> bool:
        """Whether an identity or a model is to be in the picture."""
        return self.identity_id is not None or self.model_id is not None

    @property
    def chosen_aspect_ratio(self) -> str | None:
        """The aspect ratio; None where the model may choose."""
        return None if self.aspect_ratio == AUTO else self.aspect_ratio


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A submission that is ready to be made, with the references that come first.

    `only_here` is for a job whose references no foreign address may be among.
    """

    submission: Submission
    known: Sequence[str] = ()
    only_here: bool = False
    warnings: Sequence[str] = ()

    async def submit(
        self, context: Context, principal: Principal, urls: Sequence[str]
    ) -> Acceptance:
        """Store the references and submit; see `submit_with`."""
        return await submit_with(
            context, principal, self.submission, urls, known=self.known, only_here=self.only_here
        )


class _Way(msgspec.Struct, frozen=True, kw_only=True):
    """Who makes the pictures, at what price each; `kind` None: a provider."""

    price: int
    payload: dict[str, Any]
    kind: JobType | None = None
    known: Sequence[str] = ()


async def begin(
    context: Context,
    principal: Principal,
    choices: PictureChoices,
    urls: Sequence[str],
    quantity: int,
) -> Begun:
    """Return the job that a user's request asks for, judged and priced; nothing is stored.

    Raises `InvalidRequest`, `NotFound`, `Conflict` or `Unavailable` with one of
    `PICTURE_REFUSALS`.
    """
    user_id = principal.require_user()
    _check(choices, quantity)
    model_id = None if choices.model_id is None else int(choices.model_id)
    likeness = await personal.likeness_of(
        context, principal, identity_id=choices.identity_id, model_id=model_id
    )
    model, warnings = context.providers.catalogue.resolve(choices.model, clock.now())
    kind = None
    if likeness is not None:
        default = model if choices.model is None else None
        kind = await personal.worn_by(
            context, likeness, render=choices.render, default=default, urls=urls
        )
    if likeness is not None and kind is not None:
        way, warnings = _worn(choices, likeness, kind, quantity), []
    else:
        way = _provided(choices, model, likeness, urls)
    worker = context.config.worker
    submission = Submission(
        user_id=user_id,
        amount=way.price * quantity,
        units=quantity,
        quantity=quantity,
        prompt=choices.prompt,
        payload={name: value for name, value in way.payload.items() if value is not None},
        expires_seconds=worker.job_seconds_max if kind is None else OUTSIDE_WAITING_SECONDS_MAX,
        max_retries=len(worker.retry_seconds),
        project_id=choices.project_id,
        identity_id=choices.identity_id,
        model_id=model_id,
    )
    if kind is not None:
        submission.job_type, submission.queue = kind.name, kind.queue
    # A worker's machine must not be sent to whatever address a user names.
    return Begun(
        submission=submission, known=way.known, only_here=kind is not None, warnings=warnings
    )


def size_of(aspect_ratio: str | None, kind: JobType) -> tuple[int, int]:
    """Return width and height in pixels: the type's own area, the sides in whole units."""
    across, down = (int(side) for side in (aspect_ratio or "1:1").split(":"))
    area = kind.width * kind.height

    def side(pixels: float) -> int:
        return round(pixels / SIDE_PIXELS_UNIT) * SIDE_PIXELS_UNIT

    return side(math.sqrt(area * across / down)), side(math.sqrt(area * down / across))


def _check(choices: PictureChoices, quantity: int) -> None:
    if not choices.prompt.strip():
        raise InvalidRequest("prompt_empty", "The prompt is empty.")
    if len(choices.prompt) > PROMPT_CHARACTERS_MAX:
        raise InvalidRequest(
            "prompt_too_long",
            f"A prompt has at most {PROMPT_CHARACTERS_MAX} characters.",
        )
    seed_max = SEED_MAX - quantity
    if choices.seed is not None and not 0 <= choices.seed <= seed_max:
        raise InvalidRequest("seed_out_of_range", f"seed is 0 to {seed_max}.")
    if choices.render not in personal.RENDERS:
        raise InvalidRequest(
            "render_unknown",
            f"There is no way {choices.render[:40]!r}.",
            details={"choices": list(personal.RENDERS)},
        )
    if not 0 <= choices.identity_weight <= personal.WEIGHT_MAX:
        raise InvalidRequest(
            "identity_weight_out_of_range", f"identityWeight is 0 to {personal.WEIGHT_MAX:g}."
        )


def _provided(
    choices: PictureChoices, model: Model, likeness: Likeness | None, urls: Sequence[str]
) -> _Way:
    known = [] if likeness is None else personal.shown(likeness, model, urls)
    aspect_ratio = choices.chosen_aspect_ratio
    model.validate(
        aspect_ratio=aspect_ratio,
        image_size=choices.image_size,
        reference_count=len(known) + len(urls),
        person_generation=choices.person_generation,
    )
    payload = {
        "model": model.id,
        "aspect_ratio": aspect_ratio,
        "image_size": choices.image_size,
        "seed": choices.seed,
        "person_generation": choices.person_generation,
    }
    return _Way(price=model.price(choices.image_size), payload=payload, known=known)


def _worn(choices: PictureChoices, likeness: Likeness, kind: JobType, quantity: int) -> _Way:
    _check_worn(choices, kind)
    aspect_ratio = choices.chosen_aspect_ratio
    config = worker_config(kind, quantity, size=size_of(aspect_ratio, kind))
    if choices.seed is not None:
        config["seed"] = choices.seed
    payload = {
        "bucket": kind.bucket,
        "model_variant": kind.model_variant,
        "aspect_ratio": aspect_ratio,
        "config": config,
        "adapters": [likeness.adapter(choices.identity_weight)],
        "trigger_word": likeness.trigger_word,
    }
    # FLUX is guided another way and reads none.
    if likeness.base_model == "sdxl":
        payload["negative_prompt"] = negative_prompt(choices.prompt)
    return _Way(price=kind.price_credits, payload=payload, kind=kind)


def _check_worn(choices: PictureChoices, kind: JobType) -> None:
    for field, value, known in (
        ("aspect_ratio", choices.chosen_aspect_ratio, ASPECT_RATIOS),
        ("image_size", choices.image_size, (WORKER_IMAGE_SIZE,)),
    ):
        if value is not None and value not in known:
            raise InvalidRequest(
                f"{field}_unknown",
                f"{kind.name} takes no {field} {value[:40]!r}.",
                hint=f"Choose one of {', '.join(known)}.",
                details={"choices": list(known)},
            )
    if choices.person_generation is not None:
        raise InvalidRequest(
            "person_generation_not_supported",
            "A picture of somebody is not made without persons.",
            hint="Leave personGeneration out.",
        )
