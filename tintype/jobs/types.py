"""Which kinds of job do workers with GPUs do?

`offered_types` are those that `queue-job` takes; the others are asked for by functions of their
own: pictures with a trained adapter, and trainings. One table, `types.toml`: read once, and the
only place where a type's queue, size, time or price stands.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import msgspec


class JobType(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One type of job. `seconds` is expected, `lease_seconds` is granted; prices are per output.

    `guidance` is the classifier-free guidance scale. A video has `frames` at `frames_per_second`.
    With `is_enhanced` the worker rewrites the prompt before it renders. What a training gives is an
    adapter, and the one picture that shows what it can do.
    """

    name: str
    queue: str
    media_type: Literal["image", "video"]
    model_variant: str
    format: Literal["image", "video"]
    quality: Literal["fast", "high"]
    width: int
    height: int
    steps: int
    guidance: float
    seconds: int
    lease_seconds: int
    price_credits: int
    frames: int = 1
    frames_per_second: int = 0
    outputs: int = 1
    outputs_allowed: tuple[int, ...] = (1,)
    is_enhanced: bool = False
    is_offered: bool = True
    bucket_name: str | None = None

    @property
    def bucket(self) -> str:
        """The bucket of what it makes: each type that makes pictures has its own, by its name."""
        return self.bucket_name or self.name

    @property
    def is_sdxl(self) -> bool:
        """Whether SDXL makes it; only SDXL takes a negative prompt."""
        return self.queue == "sdxl_queue"

    @property
    def extension(self) -> str:
        """The ending of its files."""
        return "mp4" if self.media_type == "video" else "png"

    @property
    def content_type(self) -> str:
        """The media type of its files."""
        return "video/mp4" if self.media_type == "video" else "image/png"


@cache
def job_types() -> Mapping[str, JobType]:
    """Return the types by name, in the table's order."""
    table = tomllib.loads((Path(__file__).parent / "types.toml").read_text("utf-8"))
    return MappingProxyType(
        {name: msgspec.convert({"name": name, **row}, JobType) for name, row in table.items()}
    )


@cache
def offered_types() -> Mapping[str, JobType]:
    """Return the types that `queue-job` takes."""
    return MappingProxyType({name: kind for name, kind in job_types().items() if kind.is_offered})


@cache
def lease_seconds_by_type() -> Mapping[str, int]:
    """Return for each type after how many seconds a job without a report goes back."""
    return MappingProxyType({name: kind.lease_seconds for name, kind in job_types().items()})
