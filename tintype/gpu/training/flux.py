"""How does FLUX learn?

By flow matching: half-way between a picture and noise it says which way the noise lies. The moments
are drawn where most is to be learned, by a logit-normal distribution, as in "Scaling Rectified Flow
Transformers for High-Resolution Image Synthesis" (Esser et al., 2024).
"""

from typing import Any, ClassVar

import diffusers
import torch
from PIL import Image

from tintype.gpu.training.buckets import Size
from tintype.gpu.training.learning import Example, OnStep, Words, kept, on, picture_of

TOKENS_MAX = 512
# FLUX.1-dev has its guidance distilled into it; unguided is what the training pictures are.
TRAINING_GUIDANCE = 1.0
SAMPLE_GUIDANCE = 3.5
SAMPLE_STEPS = 20


class Flux:
    """FLUX.1: a transformer over packed latents. See `Learner`."""

    targets: ClassVar[list[str]] = [
        "attn.to_q",
        "attn.to_k",
        "attn.to_v",
        "attn.to_out.0",
        "attn.add_q_proj",
        "attn.add_k_proj",
        "attn.add_v_proj",
        "attn.to_add_out",
    ]

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.autoencoder = pipeline.vae
        self.denoiser = pipeline.transformer
        self.encoders = [pipeline.text_encoder, pipeline.text_encoder_2]
        # Without the text encoders, which may be elsewhere.
        self._painter = diffusers.FluxPipeline(
            scheduler=pipeline.scheduler,
            vae=pipeline.vae,
            text_encoder=None,
            tokenizer=None,
            text_encoder_2=None,
            tokenizer_2=None,
            transformer=pipeline.transformer,
        )
        self._painter.set_progress_bar_config(disable=True)

    def words_of(self, prompt: str) -> Words:
        """See `Learner.words_of`."""
        device = self.pipeline.text_encoder.device
        with torch.no_grad():
            words, pooled, _ = self.pipeline.encode_prompt(
                prompt, device=device, max_sequence_length=TOKENS_MAX
            )
        return kept(prompt_embeds=words, pooled_prompt_embeds=pooled)

    def loss(self, example: Example, noise: Any, source: Any) -> Any:
        """See `Learner.loss`."""
        moment = torch.sigmoid(torch.randn(1, generator=source)).to(noise.device)
        latents = example.latents.to(noise.device)
        dtype = self.denoiser.dtype
        words = on(noise.device, dtype, example.words)
        height, width = latents.shape[2] // 2, latents.shape[3] // 2
        guidance = (
            torch.full((1,), TRAINING_GUIDANCE, device=noise.device)
            if self.denoiser.config.guidance_embeds
            else None
        )
        said = self.denoiser(
            hidden_states=_packed((1 - moment) * latents + moment * noise).to(dtype),
            timestep=moment,
            guidance=guidance,
            pooled_projections=words["pooled_prompt_embeds"],
            encoder_hidden_states=words["prompt_embeds"],
            txt_ids=torch.zeros(words["prompt_embeds"].shape[1], 3, device=noise.device),
            img_ids=_places(height, width).to(noise.device),
            return_dict=False,
        )[0]
        return torch.nn.functional.mse_loss(said.float(), _packed(noise - latents))

    def sample(self, words: Words, size: Size, seed: int, on_step: OnStep) -> Image.Image:
        """See `Learner.sample`."""
        width, height = size
        made = self._painter(
            **on(self.denoiser.device, self.denoiser.dtype, words),
            width=width,
            height=height,
            num_inference_steps=SAMPLE_STEPS,
            guidance_scale=SAMPLE_GUIDANCE,
            generator=torch.Generator("cpu").manual_seed(seed),
            callback_on_step_end=on_step,
            output_type="latent",
        ).images
        factor = self._painter.vae_scale_factor
        return picture_of(
            self.autoencoder, self._painter._unpack_latents(made, height, width, factor)
        )

    def save(self, folder: str, layers: dict[str, Any], metadata: dict[str, Any]) -> None:
        """See `Learner.save`."""
        self.pipeline.save_lora_weights(
            folder,
            transformer_lora_layers=layers,
            transformer_lora_adapter_metadata=metadata,
        )


def _packed(latents: Any) -> Any:
    """Return latents as FLUX reads them: each square of 2 by 2 is one token."""
    one, channels, height, width = latents.shape
    squares = latents.view(one, channels, height // 2, 2, width // 2, 2)
    return squares.permute(0, 2, 4, 1, 3, 5).reshape(one, height // 2 * (width // 2), channels * 4)


def _places(height: int, width: int) -> Any:
    """Return where each token is."""
    places = torch.zeros(height, width, 3)
    places[..., 1] = torch.arange(height)[:, None]
    places[..., 2] = torch.arange(width)[None, :]
    return places.reshape(height * width, 3)
