"""What does one process that renders consist of?

One pipeline, perhaps an instruct model beside it, and the memory that they share.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from tintype import clock, events
from tintype.errors import OperatorError
from tintype.gpu.adapters import Adapters, Trained
from tintype.gpu.enhancing import Enhancer
from tintype.gpu.memory import (
    GIB,
    Placement,
    bytes_of,
    free_bytes,
    release_memory,
    weights_of,
)
from tintype.gpu.painting import Flux, Painter, Sdxl, Stills, Wan
from tintype.gpu.pipelines import FAMILIES, Queue, device_of, load_pipeline, quiet
from tintype.gpu.recipe import Recipe
from tintype.gpu.watch import Stopped, Watch
from tintype.worker_client import JobFailed

NO_ENHANCER = "none"
# What one more picture of 1024² at once needs, estimated.
PICTURE_BYTES = 2 * GIB
PICTURES_AT_ONCE_MAX = 6
# The part of a job's progress that rewriting its prompt is.
ENHANCING_PERCENT = 10.0
STILLS: dict[str, type[Stills]] = {"FluxPipeline": Flux, "StableDiffusionXLPipeline": Sdxl}


class Made(msgspec.Struct, frozen=True):
    """The outputs of one job, as files with their seeds, and the prompt if it was rewritten."""

    files: list[bytes]
    seeds: list[int]
    enhanced_prompt: str | None


class Studio:
    """Loads the models of a queue and makes its jobs. Blocking, and for one thread at a time."""

    def __init__(
        self,
        queue: Queue,
        *,
        model: str | None = None,
        enhancer: str | None = None,
        loras: Path | None = None,
        device: str = "auto",
        memory_gib: float | None = None,
    ) -> None:
        """Load `model` and `enhancer` (folders or Hub repositories; None: the queue's own).

        The enhancer "none" loads none. Where the weights and the work do not fit into what is free
        of the GPU's memory, or into `memory_gib`, each part of the pipeline is on the GPU only
        while it works. Raises `OperatorError` `model_unusable`, `device_unusable`, or
        `gpu_too_small` when not even the largest part alone fits.
        """
        quiet()
        began = clock.monotonic_seconds()
        family = FAMILIES[queue]
        self.model = model or family.model
        self.device = device_of(device)
        pipeline = load_pipeline(family, self.model, self.device)
        writer = enhancer or family.enhancer
        self._enhancer = (
            None if writer in (None, NO_ENHANCER) else Enhancer(str(writer), self.device)
        )
        free = free_bytes(self.device) if memory_gib is None else int(memory_gib * GIB)
        needed = bytes_of(*weights_of(pipeline)) + family.working_bytes
        needed += 0 if self._enhancer is None else self._enhancer.bytes
        self.is_offloaded = free is not None and needed > free
        if free is not None:
            _check_parts(pipeline, free)
        placement = Placement(self.device, is_offloaded=self.is_offloaded)
        placement.settle(pipeline)
        if self.is_offloaded:
            pipeline.vae.enable_tiling()
        if self._enhancer is not None:
            self._enhancer.settle(is_guest=self.is_offloaded)
        self._adapters = Adapters(pipeline, placement, loras)
        kind = STILLS.get(family.pipeline)
        at_once = _pictures_at_once(None if free is None else free - needed)
        self.painter: Painter = (
            Wan(pipeline, placement) if kind is None else kind(pipeline, placement, at_once=at_once)
        )
        events.emit(
            events.ModelLoaded(
                model=self.model,
                device=str(self.device),
                is_offloaded=self.is_offloaded,
                seconds=round(clock.monotonic_seconds() - began, 1),
            )
        )

    def make(
        self,
        recipe: Recipe,
        references: Sequence[bytes],
        watch: Watch,
        adapters: Sequence[Trained] = (),
    ) -> Made:
        """Make one job's outputs; `adapters` are those of the recipe, as files.

        Raises `Stopped` soon after `watch.stop()`; `JobFailed` for what cannot be made, to be tried
        again where the GPU's memory was not enough: less is then made at once. Whatever happens,
        the next job finds the models as this one did.
        """
        try:
            return self._make(recipe, references, watch, adapters)
        except torch.OutOfMemoryError:
            # The error holds what did not fit; it has to be gone before memory is given back.
            pass
        self.painter.take_less()
        self._adapters.drop()
        release_memory()
        raise JobFailed("The GPU has not enough memory for this job.", retry=True)

    def _make(
        self,
        recipe: Recipe,
        references: Sequence[bytes],
        watch: Watch,
        adapters: Sequence[Trained],
    ) -> Made:
        enhanced, begin = None, 0.0
        if recipe.is_enhanced:
            enhanced, begin = self._enhanced(recipe.prompt, watch), ENHANCING_PERCENT
            recipe = msgspec.structs.replace(recipe, prompt=enhanced or recipe.prompt)
            watch.at(begin)
        self._adapters.wear(recipe.lora, adapters)
        files = list(self.painter.paint(recipe, references, watch, begin=begin))
        return Made(files, recipe.seeds, enhanced)

    def _enhanced(self, prompt: str, watch: Watch) -> str | None:
        """Return the prompt rewritten; None when that did not work, which is no reason to fail."""
        try:
            if self._enhancer is None:
                raise LookupError("this worker has no enhancer")
            return self._enhancer.enhance(prompt, watch)
        except Stopped:
            raise
        except Exception as error:
            told = str(error) or type(error).__name__
        release_memory()
        events.emit(events.PromptKept(error=told))
        return None


def _check_parts(pipeline: Any, free: int) -> None:
    largest = max(bytes_of(part) for part in weights_of(pipeline))
    if largest > free:
        raise OperatorError(
            "gpu_too_small",
            f"The largest part of the model takes {largest / GIB:.1f} GiB,"
            f" and {free / GIB:.1f} GiB of the GPU's memory are free.",
            hint="Name a smaller model with --model, or end what else is on the GPU.",
        )


def _pictures_at_once(left_bytes: int | None) -> int:
    """Return how many pictures fit beside everything else; a processor makes one at a time."""
    if left_bytes is None:
        return 1
    return min(1 + max(left_bytes, 0) // PICTURE_BYTES, PICTURES_AT_ONCE_MAX)
