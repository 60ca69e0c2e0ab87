"""Which parts of a base are on the GPU now?"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from tintype.gpu.memory import release_memory


class Stage:
    """The device, and who may stay there.

    Where there is room for everything at once, what has come stays. Else a part leaves when its
    work is done: text encoders and autoencoder are not there while the steps run.
    """

    def __init__(self, device: Any, *, is_roomy: bool) -> None:
        self.device = device
        self.is_roomy = is_roomy

    @contextmanager
    def on(self, *parts: Any) -> Iterator[None]:
        """Have `parts` on the device."""
        try:
            for part in parts:
                part.to(self.device)
            yield
        finally:
            if not self.is_roomy:
                for part in parts:
                    part.to("cpu")
                release_memory()


def trained_dtype(device: Any) -> Any:
    """Return the number type of frozen weights: bfloat16 where the GPU has it, else single."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32
