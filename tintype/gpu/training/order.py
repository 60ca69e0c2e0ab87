"""What is a training job asked to train?

The names are those of `training` in a claimed job. Anything out of range ends the job with a
sentence.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from tintype.gpu.recipe import SEED_MAX
from tintype.worker_client import JobFailed

IMAGES_MAX = 200
STEPS_MAX = 10_000
RANK_MAX = 128
CAPTION_CHARACTERS_MAX = 1000
TRIGGER_CHARACTERS_MAX = 100
SAMPLE_PROMPTS_MAX = 4
ADAPTER_BYTES_MAX = 2 * 2**30

BaseName = Literal["flux", "sdxl"]
Caption = Annotated[str, msgspec.Meta(min_length=1, max_length=CAPTION_CHARACTERS_MAX)]
Steps = Annotated[int, msgspec.Meta(ge=1, le=STEPS_MAX)]


class Saved(msgspec.Struct, frozen=True):
    """A checkpoint that an earlier worker uploaded, and the last step it has done."""

    url: str
    step: Steps


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One training. `resolution` in pixels is the side of the square whose area a picture has.

    `captions` has one for each picture; None: all are "a photo of" the trigger word. After every
    `checkpoint_every` steps the state is saved and a sample made.
    """

    job: str
    base: BaseName
    trigger_word: Annotated[str, msgspec.Meta(min_length=1, max_length=TRIGGER_CHARACTERS_MAX)]
    sample_prompts: Annotated[
        list[Caption], msgspec.Meta(min_length=1, max_length=SAMPLE_PROMPTS_MAX)
    ]
    steps: Steps = 1000
    learning_rate: Annotated[float, msgspec.Meta(ge=1e-6, le=1e-1)] = 4e-4
    resolution: Annotated[int, msgspec.Meta(ge=32, le=1024, multiple_of=16)] = 512
    rank: Annotated[int, msgspec.Meta(ge=1, le=RANK_MAX)] = 16
    seed: Annotated[int, msgspec.Meta(ge=0, le=SEED_MAX)] = 0
    captions: Annotated[list[Caption], msgspec.Meta(max_length=IMAGES_MAX)] | None = None
    checkpoint_every: Steps = 100
    checkpoint: Saved | None = None
    adapter_bytes_max: Annotated[int, msgspec.Meta(ge=1)] = ADAPTER_BYTES_MAX

    def captions_of(self, images: int) -> list[str]:
        """Return the caption of each of so many pictures, with the trigger word in it."""
        captions = self.captions or [f"a photo of {self.trigger_word}"] * images
        return [
            one if self.trigger_word in one else f"{self.trigger_word}, {one}" for one in captions
        ]


def order_of(job: Mapping[str, Any]) -> Order:
    """Return what a claimed job asks for.

    Raises `JobFailed`, not to be tried again, for what cannot be trained.
    """
    asked = job.get("training")
    if not isinstance(asked, Mapping):
        raise JobFailed("This job cannot be trained: it does not say how.")
    given = {name: one for name, one in asked.items() if one is not None}
    try:
        order = msgspec.convert(given | {"job": str(job["id"])}, Order)
    except msgspec.ValidationError as error:
        raise JobFailed(f"This job cannot be trained as it is asked for: {error}.") from error
    images = len(job.get("references") or [])
    if not 1 <= images <= IMAGES_MAX:
        raise JobFailed(f"A training has 1 to {IMAGES_MAX} pictures; this job has {images}.")
    if order.captions is not None and len(order.captions) != images:
        raise JobFailed(
            f"Every picture has a caption or none has: {len(order.captions)} captions were given"
            f" for {images} pictures."
        )
    return order
