"""What is needed to go on where a training was broken off?

One safetensors file: the adapter's weights in single precision and the optimizer's two moments of
each; in its header the step, and a fingerprint of everything that decides what the steps do. A file
that is not whole, or of another training, is never used in part.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tintype.gpu.training.order import Order

FORMAT = "tintype-training-1"
# What only says how the training is told of.
UNBOUND = frozenset({"sample_prompts", "checkpoint_every", "checkpoint", "adapter_bytes_max"})
PARTS = ("weight", "exp_avg", "exp_avg_sq")


class CheckpointUnusable(Exception):
    """The file cannot be gone on from. The message says why."""


class State(msgspec.Struct, frozen=True):
    """A training after `step`: for each weight of the adapter the weight and its moments."""

    step: int
    loss: float
    tensors: Mapping[str, tuple[Any, Any, Any]]


def fingerprint(order: Order, images: Sequence[Path]) -> str:
    """Return what two trainings have in common only if the same steps lead to the same adapter.

    That is the job with its settings, and the bytes of its pictures in their order.
    """
    settings = {
        name: one for name, one in msgspec.to_builtins(order).items() if name not in UNBOUND
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in images:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def write(path: Path, state: State, mark: str) -> None:
    """Write a checkpoint. It appears under its name when it is whole."""
    tensors = {
        f"{part}.{name}": tensor.detach().float().cpu().contiguous()
        for name, three in state.tensors.items()
        for part, tensor in zip(PARTS, three, strict=True)
    }
    about = {
        "format": FORMAT,
        "fingerprint": mark,
        "step": str(state.step),
        "loss": state.loss.hex(),
    }
    unfinished = path.with_suffix(".unfinished")
    save_file(tensors, unfinished, metadata=about)
    unfinished.replace(path)


def read(path: Path, mark: str, shapes: Mapping[str, tuple[int, ...]], steps: int) -> State:
    """Read a checkpoint of the training `mark` of so many steps, whose weights have `shapes`.

    Raises `CheckpointUnusable`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("format") != FORMAT:
                raise CheckpointUnusable("it is no checkpoint of a training")
            if about.get("fingerprint") != mark:
                raise CheckpointUnusable("it belongs to another training")
            step, loss = int(about["step"]), float.fromhex(about["loss"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointUnusable("it cannot be read") from error
    expected = {f"{part}.{name}": shape for name, shape in shapes.items() for part in PARTS}
    if {name: tuple(one.shape) for name, one in tensors.items()} != expected:
        raise CheckpointUnusable("it has other weights")
    if not 1 <= step <= steps or not math.isfinite(loss):
        raise CheckpointUnusable("its step is none of this training")
    if not all(one.dtype == torch.float32 and one.isfinite().all() for one in tensors.values()):
        raise CheckpointUnusable("it has values that are no numbers")
    return State(
        step, loss, {name: tuple(tensors[f"{part}.{name}"] for part in PARTS) for name in shapes}
    )
