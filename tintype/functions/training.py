"""How may a training be asked for?

The settings of `train-model` and `train-identity`: what a caller may choose, within which ranges,
and what stands for what was left out. What comes out is the `training` of the job's payload.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec

from tintype.config import IdentitiesConfig
from tintype.errors import InvalidRequest
from tintype.functions.contract import told
from tintype.jobs import JobType

BASES = ("flux", "sdxl")
IMAGES_MAX = 40
STEPS_MAX = 10_000
LEARNING_RATE_MIN = 1e-6
LEARNING_RATE_MAX = 1e-1
RESOLUTION_PIXELS_MIN = 64
RESOLUTION_PIXELS_MAX = 1024
RESOLUTION_PIXELS_UNIT = 16
RANK_MAX = 128
SEED_MAX = 2**31 - 1
CAPTION_CHARACTERS_MAX = 1000
TRIGGER_CHARACTERS_MAX = 64
# Text encoders split other scripts into so many pieces that nothing is left of the word.
TRIGGER_WORD = r"^[A-Za-z0-9_-]+( [A-Za-z0-9_-]+)*$"
CHECKPOINT_EVERY_STEPS = 100
# From the request to the end, the wait for a GPU included.
TRAINING_SECONDS_MAX = 7 * 24 * 3600
SAMPLE_PROMPTS = (
    "a portrait photo of {}, soft window light",
    "a full body photo of {} in a city street at night",
    "a photo of {} on a mountain path in the morning sun",
    "a studio photo of {} in front of a grey background",
)
NAME_CHARACTERS_KEPT = 12
HASH_CHARACTERS = 4
# What `training_settings` may refuse with.
TRAINING_REFUSALS = {
    "base_model_unknown": 400,
    "caption_invalid": 400,
    "captions_do_not_match": 400,
    "learning_rate_out_of_range": 400,
    "rank_out_of_range": 400,
    "resolution_out_of_range": 400,
    "seed_out_of_range": 400,
    "steps_out_of_range": 400,
    "trigger_word_invalid": 400,
}
T = TypeVar("T")

_trigger_word = re.compile(TRIGGER_WORD)


class TrainingChoices(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What a caller may choose of a training; None is the operator's choice.

    `resolution` in pixels is the side of the square whose area a picture has. `captions` has one
    for each picture, in order.
    """

    steps: Annotated[int, told(minimum=1, maximum=STEPS_MAX)] | None = None
    learning_rate: (
        Annotated[float, told(minimum=LEARNING_RATE_MIN, maximum=LEARNING_RATE_MAX)] | None
    ) = None
    resolution: (
        Annotated[
            int,
            told(
                minimum=RESOLUTION_PIXELS_MIN,
                maximum=RESOLUTION_PIXELS_MAX,
                multipleOf=RESOLUTION_PIXELS_UNIT,
            ),
        ]
        | None
    ) = None
    rank: Annotated[int, told(minimum=1, maximum=RANK_MAX)] | None = None
    seed: Annotated[int, told(minimum=0, maximum=SEED_MAX)] | None = None
    base_model: Annotated[str, told(enum=list(BASES))] | None = None
    trigger_word: (
        Annotated[str, told(pattern=TRIGGER_WORD, maxLength=TRIGGER_CHARACTERS_MAX)] | None
    ) = None
    captions: (
        Annotated[
            list[
                Annotated[str, told(minLength=1, maxLength=CAPTION_CHARACTERS_MAX, pattern=r"\S")]
            ],
            told(maxItems=IMAGES_MAX),
        ]
        | None
    ) = None


def training_settings(
    choices: TrainingChoices,
    defaults: IdentitiesConfig,
    *,
    trigger_word: str,
    images: int,
    base: str | None = None,
) -> dict[str, Any]:
    """Return the `training` of a job's payload, for so many pictures.

    What the caller chose wins over `trigger_word` and `base`, and these over the operator's choice.
    Raises `InvalidRequest` with one of `TRAINING_REFUSALS` for what is out of its range.
    """
    chosen = {
        "steps": _or(choices.steps, defaults.steps),
        "learning_rate": _or(choices.learning_rate, defaults.learning_rate),
        "resolution": _or(choices.resolution, defaults.resolution),
        "rank": _or(choices.rank, defaults.rank),
        "seed": _or(choices.seed, 0),
    }
    _check_numbers(chosen)
    word = _or(choices.trigger_word, trigger_word)
    if len(word) > TRIGGER_CHARACTERS_MAX or not _trigger_word.fullmatch(word):
        raise InvalidRequest(
            "trigger_word_invalid",
            f"A trigger word has at most {TRIGGER_CHARACTERS_MAX} letters (a to z), digits, _ and "
            "-, and single blanks between them.",
        )
    named = _or(choices.base_model, _or(base, defaults.base_model))
    if named not in BASES:
        raise InvalidRequest(
            "base_model_unknown",
            f"There is no base model {named[:40]!r}.",
            hint=f"Choose one of {', '.join(BASES)}.",
            details={"choices": list(BASES)},
        )
    return chosen | {
        "base": named,
        "trigger_word": word,
        "captions": _captions(choices.captions, images),
        "sample_prompts": [prompt.format(word) for prompt in SAMPLE_PROMPTS],
        "checkpoint_every": CHECKPOINT_EVERY_STEPS,
    }


def training_price(kind: JobType, steps: int) -> int:
    """Return what a training costs, in credits: the type's price for each `kind.steps` begun."""
    return kind.price_credits * -(-steps // kind.steps)


def trigger_word_of(name: str, owner: object) -> str:
    """Return a word that stands for `name` and that no text encoder has a meaning for yet.

    The same for the same name and owner, whenever it is asked for.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    letters = re.sub(r"[^a-z0-9]", "", plain)[:NAME_CHARACTERS_KEPT]
    digest = hashlib.sha256(f"{owner}/{name}".encode()).hexdigest()
    return f"{letters or 'person'}{digest[:HASH_CHARACTERS]}"


def _or(chosen: T | None, otherwise: T) -> T:
    return otherwise if chosen is None else chosen


def _check_numbers(chosen: Mapping[str, float]) -> None:
    if not 1 <= chosen["steps"] <= STEPS_MAX:
        raise InvalidRequest("steps_out_of_range", f"steps is 1 to {STEPS_MAX}.")
    if not LEARNING_RATE_MIN <= chosen["learning_rate"] <= LEARNING_RATE_MAX:
        raise InvalidRequest(
            "learning_rate_out_of_range",
            f"learningRate is {LEARNING_RATE_MIN:g} to {LEARNING_RATE_MAX:g}.",
        )
    pixels = chosen["resolution"]
    if (
        not RESOLUTION_PIXELS_MIN <= pixels <= RESOLUTION_PIXELS_MAX
        or pixels % RESOLUTION_PIXELS_UNIT
    ):
        raise InvalidRequest(
            "resolution_out_of_range",
            f"resolution is {RESOLUTION_PIXELS_MIN} to {RESOLUTION_PIXELS_MAX}, in steps of "
            f"{RESOLUTION_PIXELS_UNIT}.",
        )
    if not 1 <= chosen["rank"] <= RANK_MAX:
        raise InvalidRequest("rank_out_of_range", f"rank is 1 to {RANK_MAX}.")
    if not 0 <= chosen["seed"] <= SEED_MAX:
        raise InvalidRequest("seed_out_of_range", f"seed is 0 to {SEED_MAX}.")


def _captions(captions: list[str] | None, images: int) -> list[str] | None:
    if not captions:
        return None
    if len(captions) != images:
        raise InvalidRequest(
            "captions_do_not_match",
            f"There are {len(captions)} captions for {images} pictures.",
            hint="Give one for each picture, in order, or none.",
        )
    if not all(one.strip() and len(one) <= CAPTION_CHARACTERS_MAX for one in captions):
        raise InvalidRequest(
            "caption_invalid", f"A caption has 1 to {CAPTION_CHARACTERS_MAX} characters."
        )
    return captions
