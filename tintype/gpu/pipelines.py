"""Which model is loaded, and from where?

Weights come as safetensors or not at all: a pickle runs whatever its author wrote into it.
"""

import warnings
from typing import Any, Literal

import diffusers
import msgspec
import torch
import transformers

from tintype.errors import OperatorError
from tintype.gpu.memory import GIB

Queue = Literal["flux_queue", "sdxl_adapter_queue", "sdxl_queue", "wan_queue"]

MESSAGE_CHARACTERS_MAX = 500


class Family(msgspec.Struct, frozen=True):
    """A kind of pipeline, and what it is loaded with unless told otherwise.

    `half_variant` are the smaller weights of `model` for a GPU; `working_bytes` is what a job needs
    beside the weights, estimated.
    """

    pipeline: str
    model: str
    half_variant: str | None
    enhancer: str | None
    working_bytes: int


SDXL = Family(
    pipeline="StableDiffusionXLPipeline",
    model="stabilityai/stable-diffusion-xl-base-1.0",
    half_variant="fp16",
    enhancer=None,
    working_bytes=5 * GIB,
)
FAMILIES: dict[Queue, Family] = {
    "flux_queue": Family(
        pipeline="FluxPipeline",
        model="black-forest-labs/FLUX.1-dev",
        half_variant=None,
        enhancer=None,
        working_bytes=5 * GIB,
    ),
    "sdxl_adapter_queue": SDXL,
    "sdxl_queue": SDXL,
    "wan_queue": Family(
        pipeline="WanPipeline",
        model="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        half_variant=None,
        enhancer="Qwen/Qwen2.5-7B-Instruct",
        working_bytes=8 * GIB,
    ),
}


def device_of(name: str) -> Any:
    """Return the device called `name`; "auto" is the GPU where there is one.

    Raises `OperatorError` `device_unusable`.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise OperatorError(
            "device_unusable",
            f"The device {name} cannot be used: {_told(error)}",
            hint="Leave out --device, or name cuda, cuda:1 or cpu.",
        ) from error
    return device


def load_pipeline(family: Family, model: str, device: Any) -> Any:
    """Return the pipeline of a folder or of a repository on the Hub, still in main memory.

    Half precision on a GPU, single on a processor. Raises `OperatorError` `model_unusable` when it
    is not there, is of another kind, or has weights as pickles only.
    """
    kind = getattr(diffusers, family.pipeline)
    dtype: Any
    match family.pipeline:
        case "WanPipeline":
            # Half precision shows in what WAN's autoencoder decodes. SDXL's turns itself up.
            dtype = {"default": _half(device, torch.bfloat16), "vae": torch.float32}
        case "FluxPipeline":
            # In float16 FLUX runs out of numbers: an old GPU computes this slowly instead.
            dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        case _:
            dtype = _half(device, torch.float16)
    is_half = device.type == "cuda" and model == family.model
    try:
        pipeline = kind.from_pretrained(
            model,
            dtype=dtype,
            variant=family.half_variant if is_half else None,
            use_safetensors=True,
        )
    except Exception as error:
        raise _unusable(model, error) from error
    pipeline.set_progress_bar_config(disable=True)
    # One picture of a batch is decoded at a time, to the same bytes.
    pipeline.vae.enable_slicing()
    return pipeline


def load_writer(model: str, device: Any) -> tuple[Any, Any]:
    """Return an instruct model in main memory, and its tokenizer. Raises as `load_pipeline`."""
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        writer = transformers.AutoModelForCausalLM.from_pretrained(
            model, dtype=_half(device, torch.bfloat16), use_safetensors=True
        )
    except Exception as error:
        raise _unusable(model, error) from error
    if tokenizer.chat_template is None:
        raise OperatorError(
            "model_unusable",
            f"{model} is no instruct model: its tokenizer has no chat template.",
            hint="Qwen/Qwen2.5-7B-Instruct is one.",
        )
    return writer.eval(), tokenizer


def quiet() -> None:
    """Let the libraries speak of errors only."""
    warnings.filterwarnings("ignore", category=FutureWarning, module="diffusers")
    # Several adapters in one model are what is wanted.
    warnings.filterwarnings("ignore", category=UserWarning, module="peft")
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def _half(device: Any, wanted: Any) -> Any:
    if device.type != "cuda":
        return torch.float32
    if wanted is torch.bfloat16 and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return wanted


def _unusable(model: str, error: Exception) -> OperatorError:
    return OperatorError(
        "model_unusable",
        f"The model {model} cannot be loaded: {_told(error)}",
        hint="Name a folder or a Hub repository in diffusers' layout with safetensors weights.",
    )


def _told(error: BaseException) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    return said[:MESSAGE_CHARACTERS_MAX]
