"""What of a base is trained?

A low-rank adapter on its attention. The base's own weights stay as they are, in their own
precision; those of the adapter are kept in single precision, which is what small steps need.
"""

import hashlib
from pathlib import Path
from typing import Any

import peft
import torch

from tintype.gpu.training.learning import Learner

ADAPTER_FILE = "pytorch_lora_weights.safetensors"
WEIGHT_DECAY = 1e-4


class Adapter:
    """The adapter that a learner wears, new, with its optimizer.

    A new adapter changes nothing: one of the two factors of each weight is zero, and the other is
    drawn from the seed.
    """

    def __init__(self, learner: Learner, *, rank: int, seed: int) -> None:
        """Put it on. Whatever happens then, `take_off` has to follow."""
        self._learner = learner
        denoiser = learner.denoiser
        denoiser.requires_grad_(False)
        denoiser.add_adapter(
            peft.LoraConfig(
                r=rank,
                lora_alpha=rank,
                init_lora_weights="gaussian",
                target_modules=list(learner.targets),
            )
        )
        self.weights: dict[str, Any] = {
            name: one for name, one in denoiser.named_parameters() if one.requires_grad
        }
        for name, weight in self.weights.items():
            weight.data = weight.data.float()
            if "lora_A" in name:
                # Drawn by the processor, to be the same on every device.
                source = source_of(seed, name)
                weight.data.copy_(torch.randn(weight.shape, generator=source) / rank)
        self.optimizer = torch.optim.AdamW(list(self.weights.values()), weight_decay=WEIGHT_DECAY)
        denoiser.enable_gradient_checkpointing()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each weight."""
        return {name: tuple(one.shape) for name, one in self.weights.items()}

    def tensors(self) -> dict[str, tuple[Any, Any, Any]]:
        """Return each weight with its two moments."""
        states = self.optimizer.state
        return {
            name: (one, states[one]["exp_avg"], states[one]["exp_avg_sq"])
            for name, one in self.weights.items()
        }

    def restore(self, step: int, tensors: Any) -> None:
        """Go back to what `tensors` returned after `step`."""
        states = {}
        for number, (name, weight) in enumerate(self.weights.items()):
            saved, first, second = tensors[name]
            weight.data.copy_(saved)
            states[number] = {
                "step": torch.tensor(float(step)),
                "exp_avg": first,
                "exp_avg_sq": second,
            }
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": states, "param_groups": groups})

    def save(self, folder: Path) -> Path:
        """Write the adapter alone, as pipelines load it, and return the file."""
        denoiser = self._learner.denoiser
        layers = {
            name: one.detach().cpu().contiguous()
            for name, one in peft.get_peft_model_state_dict(denoiser).items()
        }
        metadata = denoiser.peft_config["default"].to_dict()
        self._learner.save(str(folder), layers, metadata)
        return folder / ADAPTER_FILE

    def take_off(self) -> None:
        """Leave the base as it was."""
        denoiser = self._learner.denoiser
        denoiser.disable_gradient_checkpointing()
        denoiser.unload_lora()


def source_of(seed: int, *what: object) -> Any:
    """Return a source of random numbers that depends on `seed` and `what` alone."""
    digest = hashlib.sha256(repr((seed, *what)).encode()).digest()
    return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8]) >> 1)
