"""Which kinds of job do workers with GPUs do?

One table, `types.toml`: read once, and the only place where a type's queue, size, time or price
stands.
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
    With `is_enhanced` the worker rewrites the prompt before it renders.
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

    @property
    def bucket(self) -> str:
        """The bucket of what it makes: each type has its own, under the type's name."""
        return self.name

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
def lease_seconds_by_type() -> Mapping[str, int]:
    """Return for each type after how many seconds a job without a report goes back."""
    return MappingProxyType({name: kind.lease_seconds for name, kind in job_types().items()})
