"""What does a job ask for?

The names on the wire are those of `config` in a job of `queue-job`; anything that is missing has
the default here, and anything out of range ends the job with a sentence.
"""

import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from tintype.worker_client import JobFailed

PIXELS_PER_SIDE_MAX = 4096
STEPS_MAX = 200
FRAMES_MAX = 257
FRAMES_PER_SECOND_MAX = 120
QUANTITY_MAX = 64
PROMPT_CHARACTERS_MAX = 20_000
ADAPTERS_MAX = 4
ADAPTER_BYTES_MAX = 2 * 2**30
# A base seed that nobody gave; the seeds of a batch follow it.
SEED_MAX = 2**31 - 1

Side = Annotated[int, msgspec.Meta(ge=16, le=PIXELS_PER_SIDE_MAX)]


class Lora(msgspec.Struct, frozen=True):
    """A LoRA to wear: a file of the worker's folder, or a repository of the Hub."""

    path: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
    weight: Annotated[float, msgspec.Meta(ge=-4, le=4)] = 1.0


class Adapter(msgspec.Struct, frozen=True):
    """A trained adapter to wear: where it is, and what its bytes are."""

    url: Annotated[str, msgspec.Meta(max_length=8192)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    bytes: Annotated[int, msgspec.Meta(ge=1, le=ADAPTER_BYTES_MAX)]
    weight: Annotated[float, msgspec.Meta(ge=-4, le=4)] = 1.0


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """One job as the pipelines read it. Output number `n` is made with the seed `seed + n`.

    `strength` is how much of a reference picture is painted anew, `shift` the flow shift of WAN's
    sampler. `frames` count for a video only. Without a `guidance` it is the pipeline's own.
    """

    prompt: Annotated[str, msgspec.Meta(max_length=PROMPT_CHARACTERS_MAX)]
    seed: Annotated[int, msgspec.Meta(ge=0, le=SEED_MAX)]
    quantity: Annotated[int, msgspec.Meta(ge=1, le=QUANTITY_MAX)] = 1
    negative_prompt: str | None = None
    width: Side = 1024
    height: Side = 1024
    steps: Annotated[int, msgspec.Meta(ge=1, le=STEPS_MAX)] = msgspec.field(
        default=25, name="sample_steps"
    )
    guidance: Annotated[float, msgspec.Meta(ge=0, le=50)] | None = msgspec.field(
        default=None, name="sample_guide_scale"
    )
    media_type: Literal["image", "video"] = msgspec.field(default="image", name="content_type")
    frames: Annotated[int, msgspec.Meta(ge=1, le=FRAMES_MAX)] = msgspec.field(
        default=1, name="frame_num"
    )
    frames_per_second: Annotated[int, msgspec.Meta(ge=0, le=FRAMES_PER_SECOND_MAX)] = msgspec.field(
        default=16, name="fps"
    )
    is_enhanced: bool = msgspec.field(default=False, name="enhance_prompt")
    solver: Literal["unipc"] = msgspec.field(default="unipc", name="sample_solver")
    shift: Annotated[float, msgspec.Meta(gt=0, le=50)] | None = msgspec.field(
        default=None, name="sample_shift"
    )
    strength: Annotated[float, msgspec.Meta(gt=0, le=1)] = msgspec.field(
        default=0.6, name="denoise_strength"
    )
    lora: Lora | None = None
    adapters: Annotated[tuple[Adapter, ...], msgspec.Meta(max_length=ADAPTERS_MAX)] = ()

    @property
    def seeds(self) -> list[int]:
        """The seed of each output, in order."""
        return [self.seed + position for position in range(self.quantity)]


def recipe_of(job: Mapping[str, Any]) -> Recipe:
    """Return what a claimed job asks for; without a seed a random one is chosen.

    Raises `JobFailed`, not to be tried again, for what no pipeline can make.
    """
    asked = _given(job.get("config") or {}) | {
        "prompt": job.get("prompt") or "",
        "negative_prompt": job.get("negative_prompt"),
        "quantity": job["quantity"],
        "adapters": [_given(adapter) for adapter in job.get("adapters") or ()],
    }
    asked.setdefault("seed", secrets.randbelow(SEED_MAX))
    try:
        recipe = msgspec.convert(asked, Recipe)
    except msgspec.ValidationError as error:
        raise JobFailed(f"This job cannot be made as it is asked for: {error}.") from error
    if recipe.media_type == "video" and recipe.frames_per_second == 0:
        raise JobFailed("This job cannot be made as it is asked for: a video has frames a second.")
    return recipe


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said: null is the same as nothing."""
    return {name: value for name, value in values.items() if value is not None}
