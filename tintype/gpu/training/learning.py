"""What does a base have to know of itself to be trained?

`flux` and `sdxl` answer it. Latents and words (what the text encoders make of a prompt) are kept in
main memory, as single precision and as the encoders made them.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import msgspec
import torch
from PIL import Image

from tintype.gpu.training.buckets import Framed, Size
from tintype.worker_client import JobFailed

Words = dict[str, Any]
OnStep = Callable[..., dict[str, Any]]


class Example(msgspec.Struct, frozen=True):
    """A picture as the steps see it."""

    latents: Any
    words: Words
    framed: Framed


class Learner(Protocol):
    """A base model that can wear an adapter and be trained with it. For one thread at a time."""

    targets: ClassVar[list[str]]
    pipeline: Any
    autoencoder: Any
    denoiser: Any
    encoders: list[Any]

    def words_of(self, prompt: str) -> Words:
        """Return what the text encoders, which are on the device, make of a prompt."""
        ...

    def loss(self, example: Example, noise: Any, source: Any) -> Any:
        """Return how far off the denoiser is at a moment that is drawn from `source`.

        `noise` has the shape of the example's latents and is on the device. The result can be
        differentiated.
        """
        ...

    def sample(self, words: Words, size: Size, seed: int, on_step: OnStep) -> Image.Image:
        """Return a picture of `size` (width, height) by the denoiser as it is now."""
        ...

    def save(self, folder: str, layers: dict[str, Any], metadata: dict[str, Any]) -> None:
        """Write an adapter's layers to the folder, as the pipeline loads them."""
        ...


def kept(**words: Any) -> Words:
    """Return words in main memory, without those there are none of."""
    return {name: one.cpu() for name, one in words.items() if one is not None}


def on(device: Any, dtype: Any, words: Words) -> Words:
    """Return words on the device."""
    return {name: one.to(device, dtype) for name, one in words.items()}


def latents_of(autoencoder: Any, framed: Framed) -> Any:
    """Return what the autoencoder, which is on the device, makes of a picture."""
    config = autoencoder.config
    pixels = framed.pixels[None].to(autoencoder.device, autoencoder.dtype)
    with torch.no_grad():
        latents = autoencoder.encode(pixels).latent_dist.mode()
    return ((latents.float() - (config.shift_factor or 0.0)) * config.scaling_factor).cpu()


def picture_of(autoencoder: Any, latents: Any) -> Image.Image:
    """Return what the autoencoder, which is on the device, makes of latents.

    Raises `JobFailed` where the model ran out of its numbers.
    """
    config = autoencoder.config
    latents = latents.float() / config.scaling_factor + (config.shift_factor or 0.0)
    with torch.no_grad():
        made = autoencoder.decode(latents.to(autoencoder.dtype)).sample[0].float()
    if not torch.isfinite(made).all():
        raise JobFailed("The adapter makes no pictures: its numbers ran out of bounds.")
    levels = ((made / 2 + 0.5) * 255).round().clamp(0, 255).to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).cpu().numpy())
