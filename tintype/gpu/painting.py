"""How does a pipeline make the pictures or the video of one job?

A painter has one pipeline and belongs to one thread: schedulers keep state between steps, and two
threads in one pipeline break it.
"""

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import diffusers
import torch
from PIL import Image, ImageOps

from tintype.gpu.memory import Placement
from tintype.gpu.recipe import Recipe
from tintype.gpu.video import encode_mp4
from tintype.gpu.watch import Watch
from tintype.worker_client import JobFailed

PIXELS_MAX = 100_000_000
WAN_GUIDANCE = 6.5


class Painter(Protocol):
    """Makes what a recipe asks for, output by output."""

    pipeline: Any

    def paint(
        self, recipe: Recipe, references: Sequence[bytes], watch: Watch, *, begin: float
    ) -> Iterator[bytes]:
        """Yield each output as the bytes of its file; tell progress from `begin` to 100 per cent.

        Raises `Stopped` between two steps, `JobFailed` for what this pipeline does not make.
        """
        ...

    def take_less(self) -> None:
        """Work on less at once from now on: the memory was not enough."""
        ...


class Stills(ABC):
    """Pictures: from text, or from another picture where the job has a reference.

    `at_once` pictures of a job are made together: faster on a GPU, with more memory.
    """

    called: str
    guidance: float
    # The smallest step of a picture's sides, in the numbers that one of the autoencoder's holds.
    patch: int

    def __init__(self, pipeline: Any, placement: Placement, *, at_once: int) -> None:
        self.pipeline = pipeline
        self.at_once = at_once
        self._placement = placement
        self._from_image = self._beginning_with_a_picture()
        self._from_image.set_progress_bar_config(disable=True)

    def paint(
        self, recipe: Recipe, references: Sequence[bytes], watch: Watch, *, begin: float
    ) -> Iterator[bytes]:
        """Yield PNGs; see `Painter.paint`."""
        if recipe.media_type != "image":
            raise JobFailed(f"{self.called} makes pictures, no video.")
        unit = self.pipeline.vae_scale_factor * self.patch
        width, height = _fitted(recipe.width, unit), _fitted(recipe.height, unit)
        pipeline = self._from_image if references else self.pipeline
        settings = self._settings(recipe, width, height)
        if references:
            settings |= {
                "image": _reference(references[0], width, height),
                "strength": recipe.strength,
                # So few steps that the strength would leave none are still one.
                "num_inference_steps": max(recipe.steps, int(1 / recipe.strength) + 1),
            }
        else:
            settings |= {"width": width, "height": height, "num_inference_steps": recipe.steps}
        self._placement.settle(pipeline)
        batches = list(_batches(recipe.seeds, self.at_once))
        for number, seeds in enumerate(batches):
            made = _run(
                pipeline,
                _steps(watch, begin, number, len(batches)),
                prompt=recipe.prompt,
                guidance_scale=self.guidance if recipe.guidance is None else recipe.guidance,
                num_images_per_prompt=len(seeds),
                generator=_generators(seeds),
                output_type="pt",
                **settings,
            ).images
            for picture in _pixels(made):
                yield _png(picture)

    def take_less(self) -> None:
        """Halve what is made at once."""
        self.at_once = max(1, self.at_once // 2)

    @abstractmethod
    def _beginning_with_a_picture(self) -> Any:
        """Return the pipeline that makes pictures from pictures, of the same parts."""

    @abstractmethod
    def _settings(self, recipe: Recipe, width: int, height: int) -> dict[str, Any]:
        """Return what this model alone is told."""


class Sdxl(Stills):
    """SDXL."""

    called = "SDXL"
    guidance = 6.5
    patch = 1

    def _beginning_with_a_picture(self) -> Any:
        return diffusers.StableDiffusionXLImg2ImgPipeline(
            **self.pipeline.components,
            force_zeros_for_empty_prompt=self.pipeline.config.force_zeros_for_empty_prompt,
            add_watermarker=False,
        )

    def _settings(self, recipe: Recipe, width: int, height: int) -> dict[str, Any]:
        return {"negative_prompt": recipe.negative_prompt}


class Flux(Stills):
    """FLUX.1. Its guidance is an input of the network, so that there is no negative prompt."""

    called = "FLUX"
    guidance = 3.5
    patch = 2

    def _beginning_with_a_picture(self) -> Any:
        return diffusers.FluxImg2ImgPipeline(**self.pipeline.components)

    def _settings(self, recipe: Recipe, width: int, height: int) -> dict[str, Any]:
        return {"width": width, "height": height}


class Wan:
    """WAN 2.x: text to video as H.264, or one frame of it as a picture."""

    def __init__(self, pipeline: Any, placement: Placement) -> None:
        self.pipeline = pipeline
        self._placement = placement
        self._scheduler = pipeline.scheduler

    def paint(
        self, recipe: Recipe, references: Sequence[bytes], watch: Watch, *, begin: float
    ) -> Iterator[bytes]:
        """Yield an MP4 or PNG for each output; see `Painter.paint`.

        The model makes 4k + 1 frames: as many as are asked for are made, and the rest cut off.
        """
        if references:
            raise JobFailed("This worker makes videos from text, not from a picture.")
        pipeline = self.pipeline
        unit = pipeline.vae_scale_factor_spatial * pipeline.transformer.config.patch_size[1]
        frames = recipe.frames if recipe.media_type == "video" else 1
        stride = pipeline.vae_scale_factor_temporal
        pipeline.scheduler = self._scheduled(recipe.shift)
        self._placement.settle(pipeline)
        for number, seed in enumerate(recipe.seeds):
            made = _run(
                pipeline,
                _steps(watch, begin, number, recipe.quantity),
                prompt=recipe.prompt,
                negative_prompt=recipe.negative_prompt,
                width=_fitted(recipe.width, unit),
                height=_fitted(recipe.height, unit),
                num_frames=-(-(frames - 1) // stride) * stride + 1,
                num_inference_steps=recipe.steps,
                guidance_scale=WAN_GUIDANCE if recipe.guidance is None else recipe.guidance,
                generator=_generators([seed])[0],
                output_type="pt",
            ).frames
            pictures = _pixels(made[0, :frames])
            if recipe.media_type == "video":
                yield encode_mp4(pictures, frames_per_second=recipe.frames_per_second)
            else:
                yield _png(next(iter(pictures)))

    def take_less(self) -> None:
        """Decode in tiles: the rest of a video cannot be made in parts."""
        self.pipeline.vae.enable_tiling()

    def _scheduled(self, shift: float | None) -> Any:
        if shift is None:
            return self._scheduler
        return diffusers.UniPCMultistepScheduler.from_config(
            self._scheduler.config,
            prediction_type="flow_prediction",
            use_flow_sigmas=True,
            flow_shift=shift,
        )


def _run(pipeline: Any, on_step: Any, **settings: Any) -> Any:
    try:
        return pipeline(callback_on_step_end=on_step, **settings)
    except BaseException:
        # Broken off in the middle: what was moved to the GPU for this step goes back.
        pipeline.maybe_free_model_hooks()
        raise


def _steps(watch: Watch, begin: float, number: int, count: int) -> Any:
    """Return what a pipeline calls after each step of batch `number` of `count`."""

    def on_step(pipeline: Any, step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        done = (number + (step + 1) / pipeline.num_timesteps) / count
        watch.at(begin + (100 - begin) * done)
        return tensors

    return on_step


def _generators(seeds: Sequence[int]) -> list[Any]:
    """Return a source of noise for each seed: the processor's, which is the same on any GPU."""
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def _batches(seeds: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for first in range(0, len(seeds), size):
        yield seeds[first : first + size]


def _fitted(side: int, unit: int) -> int:
    """Return the nearest size below `side` that the model can make."""
    return max(side // unit, 1) * unit


def _pixels(made: Any) -> Iterator[Any]:
    """Yield pictures, values of 0 to 1, as uint8 arrays of height, width, RGB.

    Raises `JobFailed` where the model ran out of its numbers: such a picture would be black.
    """
    if not torch.isfinite(made).all():
        raise JobFailed("The model did not make a picture of this.")
    levels = (made.float() * 255).round().clamp(0, 255).to(torch.uint8)
    for picture in levels.permute(0, 2, 3, 1).cpu():
        yield picture.numpy()


def _png(pixels: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def _reference(data: bytes, width: int, height: int) -> Image.Image:
    """Return a reference picture, turned upright and cut to the size that is to be made."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > PIXELS_MAX:
                raise JobFailed("The reference picture is too large.")
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise JobFailed("The reference is not a picture.") from error
    return ImageOps.fit(upright, (width, height), Image.Resampling.LANCZOS)
