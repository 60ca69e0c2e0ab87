"""How does SDXL learn?

By denoising: it says which noise was added to a picture, at one of a thousand levels, or the
velocity where the base was trained for that. It is told of each picture how large it was and where
it was cut, as in "SDXL" (Podell et al., 2023), section 2.2.
"""

from typing import Any, ClassVar

import diffusers
import torch
from PIL import Image

from tintype.gpu.training.buckets import Size
from tintype.gpu.training.learning import Example, OnStep, Words, kept, on, picture_of
from tintype.worker_client import JobFailed

SAMPLE_GUIDANCE = 6.5
SAMPLE_STEPS = 25


class Sdxl:
    """SDXL: a UNet over latents. See `Learner`."""

    targets: ClassVar[list[str]] = ["to_q", "to_k", "to_v", "to_out.0"]

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.autoencoder = pipeline.vae
        self.denoiser = pipeline.unet
        self.encoders = [pipeline.text_encoder, pipeline.text_encoder_2]
        self._noising = diffusers.DDPMScheduler.from_config(pipeline.scheduler.config)
        # Without the text encoders, which may be elsewhere.
        self._painter = diffusers.StableDiffusionXLPipeline(
            vae=pipeline.vae,
            text_encoder=None,
            text_encoder_2=None,
            tokenizer=None,
            tokenizer_2=None,
            unet=pipeline.unet,
            scheduler=pipeline.scheduler,
            add_watermarker=False,
        )
        self._painter.set_progress_bar_config(disable=True)

    def words_of(self, prompt: str) -> Words:
        """See `Learner.words_of`."""
        device = self.pipeline.text_encoder.device
        with torch.no_grad():
            words, negative, pooled, negative_pooled = self.pipeline.encode_prompt(
                prompt, device=device, do_classifier_free_guidance=True
            )
        return kept(
            prompt_embeds=words,
            negative_prompt_embeds=negative,
            pooled_prompt_embeds=pooled,
            negative_pooled_prompt_embeds=negative_pooled,
        )

    def loss(self, example: Example, noise: Any, source: Any) -> Any:
        """See `Learner.loss`."""
        levels = self._noising.config.num_train_timesteps
        level = torch.randint(levels, (1,), generator=source).to(noise.device)
        latents = example.latents.to(noise.device)
        dtype = self.denoiser.dtype
        words = on(noise.device, dtype, example.words)
        framed = example.framed
        said = self.denoiser(
            self._noising.add_noise(latents, noise, level).to(dtype),
            level,
            encoder_hidden_states=words["prompt_embeds"],
            added_cond_kwargs={
                "text_embeds": words["pooled_prompt_embeds"],
                "time_ids": torch.tensor(
                    [[*framed.original, *framed.corner, *framed.size]],
                    device=noise.device,
                    dtype=torch.float32,
                ),
            },
            return_dict=False,
        )[0]
        return torch.nn.functional.mse_loss(said.float(), self._wanted(latents, noise, level))

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
        return picture_of(self.autoencoder, made)

    def save(self, folder: str, layers: dict[str, Any], metadata: dict[str, Any]) -> None:
        """See `Learner.save`."""
        self.pipeline.save_lora_weights(
            folder, unet_lora_layers=layers, unet_lora_adapter_metadata=metadata
        )

    def _wanted(self, latents: Any, noise: Any, level: Any) -> Any:
        kind = self._noising.config.prediction_type
        if kind == "epsilon":
            return noise
        if kind == "v_prediction":
            return self._noising.get_velocity(latents, noise, level)
        raise JobFailed(f"A base that predicts {kind} cannot be trained.")
