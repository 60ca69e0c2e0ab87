"""What is in the file of a trained adapter, and does it fit this model?

A file comes from another machine, for a user who is a stranger. What is taken from it are the two
factors of each layer and one number, their scale; nothing else that it says reaches a library.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import safetensors
import safetensors.torch
import torch

from tintype.worker_client import JobFailed

HEADER_BYTES_MAX = 8 * 2**20
LENGTH_BYTES = 8
RANK_MAX = 512
SCALE_MAX = 64.0
# As diffusers writes them: the part of the pipeline, the layer, and one of its two factors.
NAME = re.compile(r"(transformer|unet)\.([\w.]+)\.lora_(A|B)\.weight", re.ASCII)
DESCRIBED = "lora_adapter_metadata"
DTYPES = frozenset((torch.float32, torch.float16, torch.bfloat16))


class Layer(msgspec.Struct, frozen=True):
    """How many numbers go into a layer of the model, and how many come out."""

    inputs: int
    outputs: int


def layers_of(pipeline: Any) -> dict[str, Layer]:
    """Return the layers that an adapter may change, by their names in a file of an adapter.

    Ask before anything is loaded into the pipeline: it renames what it is put on.
    """
    part = "unet" if hasattr(pipeline, "unet") else "transformer"
    layers: dict[str, Layer] = {}
    for name, module in getattr(pipeline, part).named_modules():
        if isinstance(module, torch.nn.Linear):
            layers[f"{part}.{name}"] = Layer(module.in_features, module.out_features)
        elif isinstance(module, torch.nn.Conv2d) and module.groups == 1:
            layers[f"{part}.{name}"] = Layer(module.in_channels, module.out_channels)
    return layers


def check_file(file: Path) -> None:
    """Check that a file is an adapter's, without reading its weights.

    Raises `JobFailed`, not to be tried again: it is no safetensors (a pickle, say), its header is
    over `HEADER_BYTES_MAX`, or it holds anything but the factors of layers.
    """
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(LENGTH_BYTES), "little")
        if length > HEADER_BYTES_MAX:
            raise JobFailed("The adapter is no safetensors file, or its header is too long.")
        with safetensors.safe_open(file, framework="pt") as tensors:
            names = list(tensors.keys())
    except safetensors.SafetensorError as error:
        raise JobFailed("The adapter is no safetensors file.") from error
    strange = next((name for name in names if not NAME.fullmatch(name)), None)
    if strange is not None or not names:
        raise JobFailed("The adapter's file is not that of a LoRA.")


def read_fitting(file: Path, layers: Mapping[str, Layer]) -> tuple[dict[str, Any], float]:
    """Return an adapter's weights, in main memory, and their scale.

    Raises `JobFailed`, not to be tried again, when the adapter is not one for these layers.
    """
    check_file(file)
    with safetensors.safe_open(file, framework="pt") as opened:
        described = (opened.metadata() or {}).get(DESCRIBED)
    tensors = safetensors.torch.load_file(file)
    rank = _rank(tensors, layers)
    return tensors, _scale(described, rank)


def _rank(tensors: Mapping[str, Any], layers: Mapping[str, Layer]) -> int:
    """Return the one rank of all layers, having found that each fits the model."""
    ranks: set[int] = set()
    for name in tensors:
        layer, _, _ = name.rpartition(".lora_")
        first: Any = tensors.get(f"{layer}.lora_A.weight")
        second: Any = tensors.get(f"{layer}.lora_B.weight")
        fits = (
            layer in layers
            and first is not None
            and second is not None
            and first.ndim in (2, 4)
            and first.ndim == second.ndim
            and first.shape[1] == layers[layer].inputs
            and second.shape[0] == layers[layer].outputs
            and first.shape[0] == second.shape[1]
            and {first.dtype, second.dtype} <= DTYPES
        )
        if not fits:
            raise _misfit()
        ranks.add(int(first.shape[0]))
    if len(ranks) != 1 or max(ranks) > RANK_MAX or min(ranks) < 1:
        raise _misfit()
    return ranks.pop()


def _scale(described: str | None, rank: int) -> float:
    """Return alpha by rank, as peft counts it; 1 where the file says nothing of it."""
    if described is None:
        return 1.0
    try:
        said = msgspec.json.decode(described, type=dict[str, Any])
        values = {name.rpartition(".")[2]: value for name, value in said.items()}
        if values.get("rank_pattern") or values.get("alpha_pattern") or values.get("use_dora"):
            raise _misfit()
        alpha = msgspec.convert(values.get("lora_alpha", rank), float, strict=True)
    except msgspec.MsgspecError as error:
        raise _misfit() from error
    scale = alpha / (math.sqrt(rank) if values.get("use_rslora") is True else rank)
    if not 0 <= scale <= SCALE_MAX:
        raise _misfit()
    return scale


def _misfit() -> JobFailed:
    return JobFailed("The adapter cannot be used with this model.")
