"""How much of the GPU's memory is there, and what lies in it?"""

import gc
from typing import Any

import torch

GIB = 2**30


class Placement:
    """Where a pipeline's parts lie: all on the device, or each only while it works.

    Pipelines that share their parts share this too: a part has the hooks of one pipeline at a time,
    which move it.
    """

    def __init__(self, device: Any, *, is_offloaded: bool) -> None:
        self.device = device
        self.is_offloaded = is_offloaded
        self._hooked: Any = None

    def settle(self, pipeline: Any) -> None:
        """Have `pipeline` ready to run."""
        if not self.is_offloaded:
            pipeline.to(self.device)
        elif pipeline is not self._hooked:
            pipeline.enable_model_cpu_offload(device=self.device)
            self._hooked = pipeline

    def loosen(self, pipeline: Any) -> None:
        """Let the parts be changed; `settle` again before they run."""
        if self.is_offloaded:
            pipeline.remove_all_hooks()
            self._hooked = None


def bytes_of(*modules: Any) -> int:
    """Return how many bytes the weights of modules take."""
    return sum(
        one.numel() * one.element_size()
        for module in modules
        for one in (*module.parameters(), *module.buffers())
    )


def weights_of(pipeline: Any) -> list[Any]:
    """Return the modules of a pipeline that have weights."""
    return [one for one in pipeline.components.values() if isinstance(one, torch.nn.Module)]


def free_bytes(device: Any) -> int | None:
    """Return how much memory of the GPU is free; None where there is no GPU to count."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return int(free)


def release_memory() -> None:
    """Give back to the GPU what nothing uses any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
