"""Which adapters does the pipeline wear?"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from tintype.gpu.memory import Placement, release_memory, weights_of
from tintype.gpu.recipe import Lora
from tintype.gpu.tensors import layers_of, read_fitting
from tintype.worker_client import JobFailed

ENDING = ".safetensors"
# Where diffusers keeps those of FLUX's own weights that a file has replaced.
OVERWRITTEN = ("_transformer_norm_layers", "_overwritten_params")
# owner/name, or owner/name/file.safetensors
REPOSITORY = re.compile(r"([\w.-]+/[\w.-]+)(?:/([\w./-]+\.safetensors))?", re.ASCII)
# How many stay in the pipeline, worn or not. One of rank 16 takes 20 to 100 MB.
ADAPTERS_WARM_MAX = 8


class Trained(msgspec.Struct, frozen=True):
    """A trained adapter that lies on this machine. The hash is that of the file."""

    sha256: str
    file: Path
    weight: float = 1.0


class Adapters:
    """The adapters of one pipeline: loaded once, put on and off, the least recently worn let go."""

    def __init__(
        self,
        pipeline: Any,
        placement: Placement,
        folder: Path | None,
        *,
        warm_max: int = ADAPTERS_WARM_MAX,
    ) -> None:
        """`folder` is that of the files that jobs may name."""
        self._pipeline = pipeline
        self._placement = placement
        self._folder = None if folder is None else folder.resolve()
        self._warm_max = warm_max
        self._layers = layers_of(pipeline)
        # The scale of each that is in the pipeline, by its name there; worn last stands last.
        self._warm: dict[str, float] = {}
        self._worn: dict[str, float] | None = {}

    def wear(self, lora: Lora | None, trained: Sequence[Trained] = ()) -> None:
        """Put on `lora` and `trained` in place of what is worn; without them, nothing.

        Raises `JobFailed`: not to be tried again when there is no such LoRA or one does not fit;
        to be tried again when the file of a trained one is gone. What is worn then is not known,
        and the next call puts it right.
        """
        wanted = {_name(one.sha256): one for one in trained}
        worn = {name: self._warmed(name, one) * one.weight for name, one in wanted.items()}
        if lora is not None:
            name, place, file = self._find(lora.path)
            worn[name] = self._named(name, lora.path, place, file) * lora.weight
        if worn == self._worn:
            return
        try:
            self._change(worn)
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Take all adapters out of the pipeline, and out of memory."""
        if self._warm:
            self._placement.loosen(self._pipeline)
            self._unload()
            release_memory()

    def _change(self, worn: dict[str, float]) -> None:
        self._worn = None
        self._placement.loosen(self._pipeline)
        # A layer whose adapters are switched off is the model's own, to the last bit.
        for layer in self._adapted():
            layer.enable_adapters(bool(worn))
        if worn:
            self._pipeline.set_adapters([*worn], [*worn.values()])
        for name in [*self._warm][: max(len(self._warm) - max(self._warm_max, len(worn)), 0)]:
            self._pipeline.delete_adapters(name)
            del self._warm[name]
        self._worn = worn

    def _adapted(self) -> list[Any]:
        return [
            module
            for part in weights_of(self._pipeline)
            for module in part.modules()
            if isinstance(module, BaseTunerLayer)
        ]

    def _warmed(self, name: str, trained: Trained) -> float:
        """Return the scale of a trained adapter, having it in the pipeline."""
        if name not in self._warm:
            try:
                tensors, scale = read_fitting(trained.file, self._layers)
            except OSError as error:
                raise JobFailed("The adapter's file cannot be read.", retry=True) from error
            self._load("The adapter", tensors, name=name)
            self._warm[name] = scale
        return self._used(name)

    def _named(self, name: str, path: str, place: str, file: str | None) -> float:
        """Return the scale of a LoRA that was named, having it in the pipeline."""
        if name not in self._warm:
            self._load(f"The LoRA {path}", place, name=name, weight_name=file, use_safetensors=True)
            self._warm[name] = 1.0
        return self._used(name)

    def _used(self, name: str) -> float:
        self._warm[name] = scale = self._warm.pop(name)
        return scale

    def _load(self, called: str, source: Any, *, name: str, **settings: Any) -> None:
        self._placement.loosen(self._pipeline)
        try:
            # What is loaded is active at once, also beside what is worn.
            self._worn = None
            self._pipeline.load_lora_weights(source, adapter_name=name, **settings)
            changed = self._overwritten()
        except torch.OutOfMemoryError:
            self._unload()
            raise
        except Exception as error:
            self._unload()
            raise JobFailed(f"{called} cannot be used with this model.") from error
        if changed:
            self._unload()
            raise JobFailed(f"{called} would change the model itself.")

    def _overwritten(self) -> bool:
        """Return whether a file has changed the model's own weights, as FLUX's control LoRA do."""
        part = getattr(self._pipeline, "transformer", None)
        return any(getattr(part, name, None) for name in OVERWRITTEN)

    def _unload(self) -> None:
        """Take out everything, known or half loaded."""
        if self._overwritten():
            self._pipeline.unload_lora_weights(reset_to_overwritten_params=True)
        else:
            self._pipeline.unload_lora_weights()
        self._warm.clear()
        self._worn = {}

    def _find(self, path: str) -> tuple[str, str, str | None]:
        """Return a name for it, and a folder and a file in it, or a repository and perhaps one."""
        if self._folder is not None:
            file = (self._folder / path).resolve()
            if file.is_relative_to(self._folder) and file.suffix == ENDING and file.is_file():
                about = file.stat()
                # A file that is written anew is another.
                name = _name(path, str(about.st_mtime_ns), str(about.st_size))
                return name, str(file.parent), file.name
        found = REPOSITORY.fullmatch(path)
        if found is None:
            raise JobFailed(f"There is no LoRA {path} here.")
        return _name(path), found[1], found[2]


def _name(*words: str) -> str:
    """Return the name in the pipeline. It becomes that of a module, which has no dots."""
    return f"adapter_{hashlib.sha256('|'.join(words).encode()).hexdigest()}"
